"""Few shapes for batches of any size, so that what a GPU's libraries prepare for a shape is used again.

Notation: B rows, T positions.
"""

from __future__ import annotations

import torch
from torch import Tensor


def bucketed(batch: Tensor, limit: int | None = None) -> Tensor:
    """Pad a batch to one of few shapes: (B, ...) -> (B', ...), or with a ``limit`` (B, T, ...) -> (B', T', ...).

    B' is the next power of two, with the last row once more where there is none: any other row might break what reads
    it. T' is longer than T by less than a quarter, with zeros, but not longer than ``limit`` for that.
    """
    rows = 1 << (len(batch) - 1).bit_length()
    batch = torch.cat([batch, batch[-1:].expand(rows - len(batch), *batch.shape[1:])])  # (B', ...)
    if limit is None:
        return batch
    length = batch.shape[1]
    step = 1 << max(length.bit_length() - 3, 0)  # four or fewer lengths to each power of two
    longer = max(min(-(-length // step) * step, limit), length)
    return torch.cat([batch, batch.new_zeros(rows, longer - length, *batch.shape[2:])], dim=1)  # (B', T', ...)
