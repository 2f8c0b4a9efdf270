"""Calibrated probabilities, and the confidence below which an estimate is called uncertain."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

TEMPERATURES = np.geomspace(0.25, 4.0, 161)


def fit_temperature(probabilities: Tensor, truth: Tensor) -> float:
    """The temperature that would make these probabilities likeliest (Guo et al. 2017).

    Takes (N, C) probabilities at temperature 1 and (N,) true label indices, from data that was not trained on.
    """
    scores = probabilities.log()  # (N, C)
    losses = [float(torch.nn.functional.cross_entropy(scores / value, truth)) for value in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def uncertain_threshold(probabilities: Tensor, truth: Tensor, wanted: float) -> float:
    """The lowest confidence from which up predictions are right in a share ``wanted`` of cases.

    Takes (N, C) probabilities and (N,) true label indices. When no threshold reaches the share, the one that comes
    nearest among those that leave a tenth of the predictions.
    """
    confidence, predicted = probabilities.max(dim=1)  # (N,), (N,)
    order = confidence.argsort(descending=True)  # (N,)
    right = (predicted == truth)[order].float().cumsum(0) / torch.arange(1, len(truth) + 1)  # (N,) from the top
    right = right[max(len(truth) // 10 - 1, 0) :]
    enough = (right >= wanted).nonzero()  # (M, 1)
    last = int(enough[-1]) if len(enough) else int(right.argmax())
    return float(confidence[order][last + max(len(truth) // 10 - 1, 0)])
