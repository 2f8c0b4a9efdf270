"""Scaled dot-product attention between turns, some of which may be missing.

Notation: B batch, Q attending turns, K attended turns, D width, H heads, W width of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

OUTPUT_DROPOUT = 0.5
ATTENTION_DROPOUT = 0.1


class TurnAttention(nn.Module):
    """Turns attend to turns: attention, dropout, residual, layer norm (the sub-block of stages II and III)."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * head_width
        self.queries = nn.Linear(width, inner)
        self.keys = nn.Linear(width, inner)
        self.values = nn.Linear(width, inner)
        self.attention_dropout = nn.Dropout(ATTENTION_DROPOUT)
        self.output = nn.Linear(inner, width)
        self.output_dropout = nn.Dropout(OUTPUT_DROPOUT)
        self.norm = nn.LayerNorm(width)

    def forward(self, turns: Tensor, others: Tensor, missing: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            turns: (B, Q, D) the turns that attend.
            others: (B, K, D) the turns that are attended to.
            missing: (B, K) True where there is nothing to attend to; a turn with nothing at all attends to nothing.
            bias: (B, H, Q, K) added to the attention scores.

        Returns:
            (B, Q, D).
        """
        queries = self._split(self.queries(turns))  # (B, H, Q, W)
        keys = self._split(self.keys(others))  # (B, H, K, W)
        values = self._split(self.values(others))  # (B, H, K, W)
        scores = queries @ keys.mT / math.sqrt(queries.shape[-1])  # (B, H, Q, K)
        if bias is not None:
            scores = scores + bias
        hidden = missing[:, None, None, :]  # (B, 1, 1, K)
        weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(dim=-1)  # (B, H, Q, K)
        weights = self.attention_dropout(weights.masked_fill(hidden, 0.0))  # (B, H, Q, K)
        attended = (weights @ values).transpose(1, 2).flatten(2)  # (B, Q, H W)
        result: Tensor = self.norm(turns + self.output_dropout(self.output(attended)))  # (B, Q, D)
        return result

    def _split(self, projected: Tensor) -> Tensor:
        """(B, T, H W) -> (B, H, T, W)."""
        return projected.view(*projected.shape[:2], self.heads, -1).transpose(1, 2)
