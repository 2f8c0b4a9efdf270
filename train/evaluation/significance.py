"""Whether one network is better than another on the same turns, or only luckier.

Turns of a dialogue hang together, so dialogues are what is drawn. Both tests are paired: what one network gains on a
dialogue is set against what the other gains on that dialogue.

    bootstrap    dialogues drawn with replacement (Efron and Tibshirani 1993): between which bounds the difference lies
    permutation  which network said what is shuffled, dialogue by dialogue (Fisher's randomisation test): how often a
                 difference at least as large comes of chance alone

Notation: D dialogues, C labels, S samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotrack.train.errors import TrainError
from emotrack.train.evaluation.predictions import Predictions

AT_ONCE = 1_000  # samples
BOUNDS = (2.5, 97.5)  # percentiles
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Significance:
    """The difference of two networks' weighted F1."""

    dialogues: int
    turns: int
    first: float
    second: float
    difference: float  # of the second and the first
    low: float  # bounds that hold 95 % of the bootstrap's differences
    high: float
    p: float  # of the permutation test, two-sided
    samples: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def compare(first: Predictions, second: Predictions, samples: int, seed: int) -> Significance:
    """Compare two networks' predictions of the same turns.

    Raises:
        TrainError: they are of other turns, or hold other turns true for something else.
    """
    counts = _counts(*_aligned(first, second))  # (2, D, 3, C)
    generator = np.random.default_rng(seed)
    own = weighted_f1(counts.sum(axis=1))  # (2,)
    drawn = np.concatenate([_f1_difference(counts, each) for each in _draws(generator, counts.shape[1], samples)])
    difference = float(own[1] - own[0])
    larger = 0
    for size in _sizes(samples):
        swapped = generator.integers(0, 2, (size, counts.shape[1])).astype(bool)  # (s, D)
        chance = _swapped_difference(counts, swapped)  # (s,)
        larger += int((np.abs(chance) >= abs(difference) - 1e-12).sum())
    low, high = np.percentile(drawn, BOUNDS)
    return Significance(
        dialogues=counts.shape[1],
        turns=len(first.turns),
        first=float(own[0]),
        second=float(own[1]),
        difference=difference,
        low=float(low),
        high=float(high),
        p=(larger + 1) / (samples + 1),
        samples=samples,
        seed=seed,
    )


def weighted_f1(counts: Array) -> Array:
    """F1 of each label, weighted by how often it is true.

    Takes (..., 3, C) how often each label is right, true and predicted -> (...).
    """
    hits, support, predicted = counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]
    f1 = 2.0 * hits / np.maximum(support + predicted, 1.0)  # (..., C)
    found: Array = (f1 * support).sum(axis=-1) / np.maximum(support.sum(axis=-1), 1.0)
    return found


def _aligned(first: Predictions, second: Predictions) -> tuple[Predictions, list[int], list[int]]:
    """The first, the labels that the second predicts of its turns, and the dialogue of each of them."""
    places = {turn[:2]: row for row, turn in enumerate(second.turns)}
    if len(places) != len(second.turns) or len({turn[:2] for turn in first.turns}) != len(first.turns):
        raise TrainError("a turn of a dialogue is predicted twice in one of the tables")
    if missing := [turn for turn in first.turns if turn[:2] not in places]:
        raise TrainError(f"turn {missing[0][1]} of dialogue {missing[0][0]} is in one of the tables only")
    if len(first.turns) != len(second.turns):
        raise TrainError(f"one of the tables has {len(first.turns):,} turns, the other one {len(second.turns):,}")
    predicted, said = [], second.predicted.tolist()
    for turn, truth in zip(first.turns, first.truth.tolist(), strict=True):
        row = places[turn[:2]]
        if first.labels[truth] != second.labels[second.truth[row]]:
            raise TrainError(f"turn {turn[1]} of dialogue {turn[0]} has another truth in each of the tables")
        label = second.labels[said[row]]
        predicted.append(first.labels.index(label) if label in first.labels else -1)  # which is right of nothing
    names = {name: place for place, name in enumerate(dict.fromkeys(turn[0] for turn in first.turns))}
    return first, predicted, [names[turn[0]] for turn in first.turns]


def _counts(first: Predictions, second: list[int], dialogues: list[int]) -> Array:
    """(2, D, 3, C): of each network and dialogue, how often each label is right, true and predicted."""
    counts = np.zeros((2, max(dialogues) + 1, 3, len(first.labels) + 1))  # the last is of labels of the second alone
    where = np.array(dialogues)  # (N,)
    for own, predicted in zip(counts, (first.predicted, np.array(second)), strict=True):
        right = predicted == first.truth  # (N,)
        for kind, labels, kept in ((0, predicted, right), (1, first.truth, ...), (2, predicted, ...)):
            np.add.at(own[:, kind], (where[kept], labels[kept]), 1)
    return counts


def _draws(generator: np.random.Generator, dialogues: int, samples: int) -> Iterator[Array]:
    """(s, D) how often each dialogue is drawn, until there are so many samples."""
    for size in _sizes(samples):
        yield generator.multinomial(dialogues, np.full(dialogues, 1.0 / dialogues), size).astype(np.float64)


def _sizes(samples: int) -> Iterator[int]:
    for first in range(0, samples, AT_ONCE):
        yield min(AT_ONCE, samples - first)


def _f1_difference(counts: Array, drawn: Array) -> Array:
    """(2, D, 3, C) counts, of which each sample has (s, D) -> (s,)."""
    first, second = (weighted_f1(np.tensordot(drawn, each, axes=1)) for each in counts)
    found: Array = second - first
    return found


def _swapped_difference(counts: Array, swapped: NDArray[np.bool_]) -> Array:
    """(2, D, 3, C) counts, (s, D) True where the networks' answers change places -> (s,)."""
    more = np.tensordot(swapped.astype(np.float64), counts[1] - counts[0], axes=1)  # (s, 3, C)
    first, second = counts.sum(axis=1)  # (3, C), (3, C)
    found: Array = weighted_f1(second - more) - weighted_f1(first + more)
    return found
