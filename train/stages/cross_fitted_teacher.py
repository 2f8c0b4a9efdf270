"""An honest listener: how an emotion sounds to somebody who has never met the speaker.

A linear classifier on what the teacher heard of each clip, fitted to other speakers only (cross-fitted, a share of the
speakers of every corpus at a time). A network trained on a clip knows its label; this listener has to hear it. So its
opinions are softer and truer targets than the labels.

Notation: N clips, F features, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

FOLDS = 5
PENALTY = 0.1  # on the squared weights; of .003, .01, .03 and .1 the best on dev speakers
STEPS = 80


def listen(features: Tensor, labels: Tensor, weights: Tensor, speakers: Sequence[str], count: int) -> Tensor:
    """The listener's opinion of every clip.

    Args:
        features: (N, F), standardised.
        labels: (N,) the emotions that the actors meant.
        weights: (N,) how much each clip counts.
        speakers: of each clip; nobody is judged by a classifier that has heard them.
        count: C.

    Returns:
        (N, C) probabilities.
    """
    names = sorted(set(speakers))
    folds = min(FOLDS, len(names))
    fold_of = {name: place % folds for place, name in enumerate(names)}  # the names begin with the corpus's
    folds_of = torch.tensor([fold_of[speaker] for speaker in speakers])  # (N,)
    found = torch.full((len(labels), count), 1.0 / count)  # (N, C)
    for fold in range(folds):
        known = folds_of != fold  # (N,)
        if known.any():
            classify = _fitted(features[known], labels[known], weights[known], count)
            with torch.inference_mode():
                found[~known] = classify(features[~known]).softmax(dim=1)
    return found


def _fitted(features: Tensor, labels: Tensor, weights: Tensor, count: int) -> nn.Linear:
    classify = nn.Linear(features.shape[1], count)
    nn.init.zeros_(classify.weight)
    nn.init.zeros_(classify.bias)
    optimizer = torch.optim.LBFGS(classify.parameters(), max_iter=STEPS)

    def loss() -> Tensor:
        optimizer.zero_grad()
        each = nn.functional.cross_entropy(classify(features), labels, reduction="none")  # (N,)
        total: Tensor = (weights * each).sum() / weights.sum() + PENALTY * classify.weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return classify
