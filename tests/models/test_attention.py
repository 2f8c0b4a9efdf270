"""Attention between turns, against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from emotrack.models.attention import TurnAttention

HEADS, HEAD_WIDTH = 2, 4


@pytest.mark.parametrize("has_bias", [False, True])
def test_it_is_scaled_dot_product_attention_added_to_the_turns(has_bias: bool) -> None:
    torch.manual_seed(0)
    attention = TurnAttention(8, HEADS, HEAD_WIDTH).eval()
    turns, others, missing = torch.randn(3, 5, 8), torch.randn(3, 7, 8), torch.rand(3, 7) < 0.3
    missing[:, 0] = False
    bias = torch.randn(3, HEADS, 5, 7) if has_bias else torch.zeros(3, HEADS, 5, 7)

    def split(projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (HEADS, HEAD_WIDTH)).transpose(1, 2)

    attended = scaled_dot_product_attention(
        split(attention.queries(turns)),
        split(attention.keys(others)),
        split(attention.values(others)),
        attn_mask=bias.masked_fill(missing[:, None, None, :], -torch.inf),
    )
    expected = attention.norm(turns + attention.output(attended.transpose(1, 2).flatten(2)))
    torch.testing.assert_close(attention(turns, others, missing, bias if has_bias else None), expected)
