"""A second opinion on words alone: what another corpus would call them, by their tokens.

A network is as sure as it is right on conversations like those it learned from, and too sure elsewhere. So what a
classifier that learned from another corpus calls a turn is mixed into the turn's probabilities, the more, the less its
tokens are like those of the network's own corpus (``train/experiments.md``).

Notation: N tokens, C labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEW = 3.0  # tokens, by which a short turn tells less


class SecondOpinion(nn.Module):
    """A row of numbers for each token; those of a turn are summed."""

    def __init__(self, vocabulary: int, labels: int) -> None:
        super().__init__()
        self.width = labels + 1
        self.tokens = nn.Embedding(vocabulary, self.width)  # the last number: how unlike the network's own corpus
        self.bias = nn.Parameter(torch.zeros(self.width))
        nn.init.zeros_(self.tokens.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """(N,) a turn's own tokens, without marks -> (C + 1,) scores of the labels, and of its own share."""
        told: Tensor = self.tokens(ids).float().sum(dim=0) / (len(ids) + FEW) ** 0.5 + self.bias
        return told

    def mixed(self, probabilities: Tensor, told: Tensor) -> Tensor:
        """(..., C) what the network believes, (..., C + 1) from ``forward`` -> (..., C) both together."""
        share = told[..., -1:].sigmoid()  # (..., 1)
        return (1.0 - share) * probabilities + share * told[..., :-1].softmax(dim=-1)
