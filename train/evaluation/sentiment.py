"""CMU-MOSI's own figures: a sentiment from -3 to 3, as MulT's and MMSA's evaluation code scores it.

A network here answers labels, not a number. Its sentiment of a turn is the expected one: with the seven labels of
``mosi-7``, the mean of -3 to 3 by their probabilities. The two labels of ``mosi`` tell which way a sentiment goes, not
how strong it is: -1 and 1 stand for them, and MAE and Acc-7, which are of a strength, are left out.

Notation: N turns, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotrack.train.corpora.mosi import DEGREES, LABELS
from emotrack.train.evaluation.metrics import score

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SentimentScores:
    """How near sentiments are to the truth; None where there is no such figure."""

    mae: float | None  # mean absolute error
    corr: float | None  # Pearson's; none where either side is the same throughout
    acc_7: float | None  # of sentiments rounded to whole numbers, half to even
    has0_acc_2: float  # negative, or not: a sentiment of 0 counts as positive
    has0_f1: float  # weighted, of the same
    non0_acc_2: float | None  # negative or positive, without the turns whose true sentiment is 0
    non0_f1: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {name: None if value is None else round(value, 4) for name, value in asdict(self).items()}


SENTIMENT_METRICS = {
    "mae": "MAE",
    "corr": "Corr",
    "acc_7": "Acc-7",
    "has0_acc_2": "Acc-2 with 0",
    "has0_f1": "F1 with 0",
    "non0_acc_2": "Acc-2 without 0",
    "non0_f1": "F1 without 0",
}


def sentiment_of(probabilities: NDArray[np.floating[Any]], labels: Sequence[str]) -> Array | None:
    """(N, C) -> (N,) expected sentiments; None where the labels are not those of CMU-MOSI."""
    if set(labels) == set(DEGREES):
        return np.asarray(probabilities @ np.array([float(label) for label in labels]), dtype=np.float64)
    if set(labels) == set(LABELS):
        return np.asarray(probabilities @ np.where(np.array(labels) == "negative", -1.0, 1.0), dtype=np.float64)
    return None


def score_sentiment(
    probabilities: NDArray[np.floating[Any]], truth: Sequence[float | None], labels: Sequence[str]
) -> SentimentScores | None:
    """Score (N, C) probabilities against N true sentiments; None where labels or truth are of something else."""
    known = [row for row, each in enumerate(truth) if each is not None]
    said = sentiment_of(probabilities[known], labels)  # (N,)
    if said is None or not known:
        return None
    true = np.array([truth[row] for row in known], dtype=np.float64)  # (N,)
    strength = len(labels) == len(DEGREES)
    either = true != 0
    has0 = _of_two(said >= 0, true >= 0)
    non0 = _of_two(said[either] > 0, true[either] > 0) if either.any() else (None, None)
    return SentimentScores(
        mae=float(np.abs(said - true).mean()) if strength else None,
        corr=float(np.corrcoef(said, true)[0, 1]) if said.std() > 0 and true.std() > 0 else None,
        acc_7=float((np.round(said) == np.round(true)).mean()) if strength else None,
        has0_acc_2=has0[0],
        has0_f1=has0[1],
        non0_acc_2=non0[0],
        non0_f1=non0[1],
    )


def _of_two(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[float, float]:
    """(N,) each -> accuracy and weighted F1."""
    found = score(np.eye(2)[said.astype(int)], true.astype(int), LABELS)
    return found.accuracy, found.weighted_f1
