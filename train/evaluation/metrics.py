"""How good predictions are: from probabilities and truth to one record of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ECE_BINS = 15


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one evaluation, each between 0 and 1; a label that never occurs in the truth has no part in means."""

    labels: tuple[str, ...]
    count: int
    weighted_f1: float  # F1 per label, weighted by how often the label is true
    macro_f1: float
    uar: float  # unweighted average recall
    accuracy: float
    ece: float  # expected calibration error
    ece_by_chance: float
    """What that would be on average were the probabilities exactly right: much with few turns."""
    f1: tuple[float, ...]  # per label
    confusion: tuple[tuple[int, ...], ...]  # rows truth, columns prediction

    @property
    def collapsed(self) -> str | None:
        """The one answer given to everything, in words; None where there are several, or where just one is true."""
        predicted = [sum(column) for column in zip(*self.confusion, strict=True)]
        if max(predicted) < self.count or max(map(sum, self.confusion)) == self.count:
            return None
        return f"every dev item is called {self.labels[predicted.index(self.count)]}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "count": self.count,
            "weighted_f1": round(self.weighted_f1, 4),
            "macro_f1": round(self.macro_f1, 4),
            "uar": round(self.uar, 4),
            "accuracy": round(self.accuracy, 4),
            "ece": round(self.ece, 4),
            "ece_by_chance": round(self.ece_by_chance, 4),
            "f1": {label: round(value, 4) for label, value in zip(self.labels, self.f1, strict=True)},
            "collapsed": self.collapsed,
            "labels": list(self.labels),
            "confusion": [list(row) for row in self.confusion],
        }


def score(probabilities: NDArray[np.floating[Any]], truth: NDArray[np.integer[Any]], labels: tuple[str, ...]) -> Scores:
    """Score (N, C) probabilities against (N,) true label indices.

    Raises:
        ValueError: there is nothing to score.
    """
    if len(truth) == 0:
        raise ValueError("nothing to score")
    classes = len(labels)
    predicted = probabilities.argmax(axis=1)  # (N,)
    confusion = np.zeros((classes, classes), dtype=np.int64)  # (C, C)
    np.add.at(confusion, (truth, predicted), 1)
    hits = confusion.diagonal()  # (C,)
    support = confusion.sum(axis=1)  # (C,)
    f1 = 2 * hits / np.maximum(support + confusion.sum(axis=0), 1)  # (C,)
    present = support > 0  # (C,)
    return Scores(
        labels=labels,
        count=len(truth),
        weighted_f1=float((f1 * support).sum() / support.sum()),
        macro_f1=float(f1[present].mean()),
        uar=float((hits[present] / support[present]).mean()),
        accuracy=float(hits.sum() / support.sum()),
        ece=expected_calibration_error(probabilities, truth),
        ece_by_chance=calibration_error_by_chance(probabilities),
        f1=tuple(f1.tolist()),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def expected_calibration_error(probabilities: NDArray[np.floating[Any]], truth: NDArray[np.integer[Any]]) -> float:
    """Mean distance between confidence and accuracy over equally wide bins of confidence (Guo et al. 2017).

    Takes (N, C) probabilities and (N,) true label indices.
    """
    confidence = probabilities.max(axis=1)  # (N,)
    correct = probabilities.argmax(axis=1) == truth  # (N,)
    gaps = np.bincount(confidence_bins(confidence), weights=correct - confidence)  # (bins,)
    return float(np.abs(gaps).sum() / len(truth))


def calibration_error_by_chance(probabilities: NDArray[np.floating[Any]]) -> float:
    """The expected calibration error that (N, C) probabilities have on average if they are exactly right.

    How many of a bin are then right is up to chance, and taken to be normally distributed. Where items depend on each
    other, it is larger.
    """
    confidence = probabilities.max(axis=1)  # (N,)
    variance = np.bincount(confidence_bins(confidence), weights=confidence * (1.0 - confidence))  # (bins,)
    return float(np.sqrt(variance * 2.0 / np.pi).sum() / len(confidence))


def confidence_bins(confidence: NDArray[np.floating[Any]]) -> NDArray[np.integer[Any]]:
    """Which of the equally wide bins each of (N,) confidences is in."""
    which: NDArray[np.integer[Any]] = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)  # (N,)
    return which
