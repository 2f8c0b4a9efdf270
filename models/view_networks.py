"""Small networks beside the linear classifier of a view, which hear what no line tells apart.

A network is sure where nothing like what it hears was learned from. So there are several, each of which learned from
other speakers: where that matters they disagree, and their mean is unsure.

Notation: P networks, N turns, V numbers that tell a voice, H hidden units, C labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST = 1e-6  # probability of a label


class ViewNetworks(nn.Module):
    """The networks of one view, side by side."""

    def __init__(self, networks: int, voice: int, hidden: int, labels: int) -> None:
        super().__init__()
        self.hidden_weight = nn.Parameter(torch.empty(networks, voice, hidden))  # (P, V, H)
        self.hidden_bias = nn.Parameter(torch.zeros(networks, 1, hidden))
        self.weight = nn.Parameter(torch.empty(networks, hidden, labels))  # (P, H, C)
        self.bias = nn.Parameter(torch.zeros(networks, 1, labels))
        nn.init.normal_(self.hidden_weight, std=voice**-0.5)
        nn.init.normal_(self.weight, std=hidden**-0.5)

    def scores(self, views: Tensor, dropout: float = 0.0) -> Tensor:
        """(N, V), or (P, N, V) for each network its own, -> (P, N, C); ``dropout`` of the hidden units."""
        hidden = nn.functional.gelu(views @ self.hidden_weight + self.hidden_bias)  # (P, N, H)
        found: Tensor = nn.functional.dropout(hidden, dropout) @ self.weight + self.bias
        return found

    def forward(self, views: Tensor) -> Tensor:
        """(N, V) -> (N, C) log of the mean of their probabilities."""
        return self.scores(views).softmax(dim=-1).mean(dim=0).clamp(min=LEAST).log()
