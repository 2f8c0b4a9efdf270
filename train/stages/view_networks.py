"""Stage I, voice: the small networks beside the linear views (``models.view_networks``).

Each learns from a part of the speakers, drawn.

Notation: M clips, W versions of each, P networks of a view, B batch, V numbers that tell a voice, C labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from emotrack.models.view_networks import ViewNetworks

SPEAKERS = 2 / 3  # share that each network learns from
STEPS, BATCH = 325, 256
RATE, WEIGHT_DECAY = 2e-3, 0.01
INPUT_DROPOUT, DROPOUT = 0.2, 0.5


def fit_networks(
    networks: Iterable[nn.Module], views: Tensor, shares: Tensor, targets: Tensor, speakers: Sequence[str]
) -> None:
    """Train the networks of both views; what is random is drawn from torch's own generator.

    Args:
        networks: of each view.
        views: (2, M W, V) of W versions of M clips.
        shares: (M, W) how much each version counts.
        targets: (M,) indices of labels.
        speakers: of the M clips.
    """
    names = sorted(set(speakers))
    spoken = torch.tensor([names.index(speaker) for speaker in speakers])  # (M,)
    targets = targets.repeat_interleave(shares.shape[1])  # (M W,)
    for each, view in zip(networks, views, strict=True):
        assert isinstance(each, ViewNetworks)  # noqa: S101
        heard = [torch.randperm(len(names))[: math.ceil(SPEAKERS * len(names))] for _ in each.weight]
        chances = torch.stack([(shares * torch.isin(spoken, those).unsqueeze(1)).flatten() for those in heard])
        _fit(each, view, chances, targets)


def _fit(networks: ViewNetworks, view: Tensor, chances: Tensor, targets: Tensor) -> None:
    """By (M W, V), of which each network draws with its own (P, M W) chances, and (M W,) labels."""
    deviation = view.std()
    optimizer = torch.optim.AdamW(networks.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        drawn = torch.multinomial(chances, BATCH, replacement=True)  # (P, B)
        heard = nn.functional.dropout(view[drawn] / deviation, INPUT_DROPOUT)  # (P, B, V)
        scores = networks.scores(heard, DROPOUT)  # (P, B, C)
        each = nn.functional.cross_entropy(scores.mT, targets[drawn], reduction="none")  # (P, B)
        optimizer.zero_grad()
        each.mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        networks.hidden_weight.div_(deviation)
