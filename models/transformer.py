"""A transformer layer that runs quickly on a processor.

torch multiplies float matrices with MKL, which takes twice as long as oneDNN, torch's other library for it, on
processors of other makes than Intel's. Where nothing is trained, this layer asks oneDNN; elsewhere it is torch's own
layer, whose weights and names it has. A processor with bfloat16 takes half the time for matrices that are kept so.

Notation: B batch, T places, D width, F feed-forward width, H heads, W width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emotrack.models.bfloat16 import has_quick_bfloat16


class TransformerLayer(nn.TransformerEncoderLayer):
    """Self-attention and two fully connected layers with GELU; batch first."""

    def __init__(
        self,
        width: int,
        heads: int,
        feed_forward: int,
        dropout: float = 0.1,
        *,
        norm_first: bool = False,
        layer_norm_eps: float = 1e-5,
    ) -> None:
        super().__init__(
            width,
            heads,
            feed_forward,
            dropout,
            activation="gelu",
            layer_norm_eps=layer_norm_eps,
            batch_first=True,
            norm_first=norm_first,
        )

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """(B, T, D), and as ``src_key_padding_mask`` (B, T) True where padded -> (B, T, D)."""
        padding = src_key_padding_mask
        if src_mask is not None or padding is None or padding.dtype != torch.bool or not self._is_for_one_dnn(src):
            plain: Tensor = super().forward(src, src_mask, src_key_padding_mask, is_causal)
            return plain
        present = ~padding[:, None, None] if bool(padding.any()) else None  # (B, 1, 1, T)
        if self.norm_first:
            states = src + self._attend(self.norm1(src), present)  # (B, T, D)
            return states + self._feed_forward(self.norm2(states))  # (B, T, D)
        states = self.norm1(src + self._attend(src, present))  # (B, T, D)
        related: Tensor = self.norm2(states + self._feed_forward(states))  # (B, T, D)
        return related

    def store_by_columns(self) -> None:
        """Keep matrices column by column, if oneDNN multiplies with them so: it then need not reorder them every time.

        It does with AVX-512; with AVX2, rows are as quick for small matrices and twice as quick for large ones.
        """
        if self.linear1.weight.is_cpu and torch.backends.cpu.get_cpu_capability() == "AVX512":
            for matrix in self._matrices():
                matrix.data = matrix.data.t().contiguous().t()

    def store_in_half(self) -> None:
        """Keep matrices in bfloat16, if the processor multiplies so: that takes half the time, and half the memory.

        For inference alone: what is rounded off cannot be learned again.
        """
        if self.linear1.weight.is_cpu and has_quick_bfloat16():
            for matrix in self._matrices():
                matrix.data = matrix.data.bfloat16()

    def _matrices(self) -> tuple[Tensor, ...]:
        """Four, of (F, D) each."""
        attention = self.self_attn
        return attention.in_proj_weight, attention.out_proj.weight, self.linear1.weight, self.linear2.weight

    def _is_for_one_dnn(self, states: Tensor) -> bool:
        is_float = states.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        is_inference = not self.training and not torch.is_grad_enabled()
        has_one_dnn = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
        return is_inference and states.is_cpu and is_float and has_one_dnn

    def _attend(self, states: Tensor, present: Tensor | None) -> Tensor:
        """(B, T, D), (B, 1, 1, T) True where there is something to attend to, None where there is everywhere."""
        attention = self.self_attn
        projected = _linear(states, attention.in_proj_weight, attention.in_proj_bias).float()  # (B, T, 3 D)
        shape = (*states.shape[:2], 3, attention.num_heads, attention.head_dim)
        queries, keys, values = projected.view(shape).permute(2, 0, 3, 1, 4)  # (B, H, T, W) each
        attended = nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask=present)  # (B, H, T, W)
        joined = attended.transpose(1, 2).flatten(2)  # (B, T, D)
        return _linear(joined, attention.out_proj.weight, attention.out_proj.bias).float()  # (B, T, D)

    def _feed_forward(self, states: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        wide = _linear(states, self.linear1.weight, self.linear1.bias, "gelu")  # (B, T, F)
        return _linear(wide, self.linear2.weight, self.linear2.bias).float()  # (B, T, D)


def _linear(inputs: Tensor, weight: Tensor, bias: Tensor, then: str = "none") -> Tensor:
    """(..., D) -> (..., F) by oneDNN in the matrix's precision, and GELU if that is to follow."""
    exactly = "none" if then == "gelu" else ""  # GELU as it is, not its tanh approximation
    alike = inputs.to(weight.dtype), weight, bias.to(weight.dtype)
    result: Tensor = torch.ops.mkldnn._linear_pointwise(*alike, then, [], exactly)  # noqa: SLF001
    return result
