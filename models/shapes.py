"""Few shapes for batches of any size, as what the libraries prepare for a shape (oneDNN, cuDNN) is used again.

Notation: B rows, T positions.
"""

from __future__ import annotations

import torch
from torch import Tensor


def with_few_lengths(batch: Tensor, limit: int) -> Tensor:
    """Pad a batch with zeros to one of few lengths: (B, T, ...) -> (B, T', ...).

    T' is longer than T by less than a quarter, but not longer than ``limit`` for that.
    """
    length = batch.shape[1]
    step = 1 << max(length.bit_length() - 3, 0)  # four or fewer lengths to each power of two
    longer = max(min(-(-length // step) * step, limit), length)
    return torch.cat([batch, batch.new_zeros(len(batch), longer - length, *batch.shape[2:])], dim=1)  # (B, T', ...)


def with_few_rows(batch: Tensor) -> Tensor:
    """Fill a batch up to the next power of two: (B, ...) -> (B', ...).

    With its last row once more where there is none: any other row might break the module that reads it.
    """
    rows = 1 << (len(batch) - 1).bit_length()
    return torch.cat([batch, batch[-1:].expand(rows - len(batch), *batch.shape[1:])])  # (B', ...)
