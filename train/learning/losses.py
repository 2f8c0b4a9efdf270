"""The losses that a stage minimises: cross-entropy, focal loss, and a supervised contrastive term beside them.

A turn that is padding, or that nobody labelled, has no target: it adds nothing to any loss and is a class of none.

Notation: N turns, C labels, E embedding; "..." any leading dimensions, (B, T) for dialogues.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from emotrack.models.sizes import Dropout, Positive, Weight

UNLABELLED = -1  # the label index of a turn that is padding or that nobody labelled


@dataclass(frozen=True, slots=True)
class LossOptions:
    """Which loss; the defaults are plain cross-entropy.

    Raises:
        ValueError: a number is out of its bounds.
    """

    focal: Weight = 0.0  # gamma: how much less the turns count that are already right; 0 is cross-entropy
    smoothing: Dropout = 0.0  # share of a target that is spread over all labels
    balance: Weight = 0.0  # labels weigh (1 / frequency) ** balance: 0 all the same, 1 every label as much as any other
    adjustment: Annotated[float, Field(strict=True, ge=-1e3, le=1e3, allow_inf_nan=False)] = (
        0.0  # tau of logit adjustment: log frequencies times it are added to the scores in training
    )
    contrastive: Weight = 0.0  # weight of the supervised contrastive term
    temperature: Positive = 1.0  # of that term


class Loss:
    """The loss of a stage, for labels that occur ``counts`` times (C,) in its training data."""

    def __init__(self, options: LossOptions, counts: Tensor) -> None:
        self.options = options
        shares = counts.clamp(min=1.0) / counts.clamp(min=1.0).sum()  # (C,)
        self.weights = shares**-options.balance  # (C,)
        self.adjustment = options.adjustment * shares.log()  # (C,) Menon et al. 2021, section 4.2

    def __call__(self, scores: Tensor, targets: Tensor, embeddings: Tensor | None = None) -> Tensor:
        """The mean over labelled turns.

        Args:
            scores: (..., C).
            targets: (...) label indices, ``UNLABELLED`` where there is none; or (..., C) distributions over the
                labels, zeros where there is none.
            embeddings: (..., E) for the contrastive term; needed if that has a weight.

        Returns:
            A scalar; 0 if no turn has a target.

        Raises:
            ValueError: the contrastive term has a weight, and there are no embeddings.
        """
        device = scores.device
        scores = scores.float().flatten(end_dim=-2)  # (N, C)
        targets = distributions(targets, scores.shape[-1]).to(device).flatten(end_dim=-2)  # (N, C)
        known = targets.sum(dim=1) > 0  # (N,)
        if not known.any():
            return scores.sum() * 0.0
        soft = (1.0 - self.options.smoothing) * targets[known] + self.options.smoothing / scores.shape[1]  # (M, C)
        weighted = soft * self.weights.to(device)  # (M, C)
        adjusted = scores[known] + self.adjustment.to(device)  # (M, C)
        loss = focal(adjusted, weighted, self.options.focal).sum() / (targets[known] * self.weights.to(device)).sum()
        if self.options.contrastive:
            if embeddings is None:
                raise ValueError("the contrastive term needs embeddings")
            clear = targets.max(dim=1).values > 0.5  # (N,) those with one label, whatever a teacher says beside it
            loss = loss + self.options.contrastive * supervised_contrastive(
                embeddings.flatten(end_dim=-2)[clear], targets[clear].argmax(dim=1), self.options.temperature
            )
        return loss


def distributions(targets: Tensor, labels: int) -> Tensor:
    """Label indices (...) as distributions (..., C), zeros where unlabelled; distributions as they are."""
    if targets.is_floating_point():
        return targets
    known = (targets != UNLABELLED).unsqueeze(-1)  # (..., 1)
    return nn.functional.one_hot(targets.clamp(min=0), labels) * known.float()  # (..., C)


def focal(scores: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """Focal loss (Lin et al. 2017, eq. 4) of (N, C) scores against (N, C) weighted targets -> (N,)."""
    log_probabilities = scores.log_softmax(dim=1)  # (N, C)
    if gamma == 0.0:
        return -(targets * log_probabilities).sum(dim=1)
    missing = 1.0 - log_probabilities.exp()  # (N, C)
    return -(targets * missing.clamp(min=1e-6) ** gamma * log_probabilities).sum(dim=1)


def supervised_contrastive(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Turns of the same label nearer to each other than to others (Khosla et al. 2020, eq. 2).

    Takes (N, E) embeddings of any length and (N,) label indices; every one of them counts, so leave padding out first.
    The mean over the turns that share their label with another; 0 if none does.
    """
    directions = nn.functional.normalize(embeddings.float(), dim=1)  # (N, E)
    others = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)  # (N, N)
    similarity = (directions @ directions.T / temperature).masked_fill(~others, -torch.inf)  # (N, N)
    positives = (labels.unsqueeze(0) == labels.unsqueeze(1)) & others  # (N, N)
    anchors = positives.any(dim=1)  # (N,)
    if not anchors.any():
        return embeddings.sum() * 0.0
    log_shares = similarity[anchors].log_softmax(dim=1).masked_fill(~positives[anchors], 0.0)  # (A, N)
    loss: Tensor = -(log_shares.sum(dim=1) / positives[anchors].sum(dim=1)).mean()
    return loss
