"""The text encoder: a compact BERT, so that its first weights may come from any checkpoint of that layout.

Notation: B batch, N tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Dimensions of a text encoder; the defaults are MiniLM-L6's."""

    vocabulary: int = 30_522
    width: int = 384
    layers: int = 6
    heads: int = 12
    feed_forward: int = 1_536
    max_tokens: int = 128  # longer texts are cut: 25 s of quick speech has about 110


class TextEncoder(nn.Module):
    """Token ids -> one embedding an utterance: the mean over its tokens of the last layer (Devlin et al. 2019)."""

    def __init__(self, config: TextConfig, dropout: float = 0.1) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.max_tokens, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            config.feed_forward,
            dropout,
            activation="gelu",
            layer_norm_eps=1e-12,
            batch_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    def forward(self, ids: Tensor, padding: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            ids: (B, N) token ids, N <= ``max_tokens``.
            padding: (B, N) True where there is no token.

        Returns:
            (B, D) embeddings.
        """
        places = torch.arange(ids.shape[1], device=ids.device)  # (N,)
        states = self.dropout(self.norm(self.tokens(ids) + self.positions(places)))  # (B, N, D)
        states = self.layers(states, src_key_padding_mask=padding)  # (B, N, D)
        present = (~padding).unsqueeze(-1).to(states.dtype)  # (B, N, 1)
        mean: Tensor = (states * present).sum(dim=1) / present.sum(dim=1)  # (B, D)
        return mean
