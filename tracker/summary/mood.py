"""The mood of a conversation: what its recent turns sound like together, as far as that is believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

HALF_LIFE_S: Final = 60.0  # a turn counts half as much after a minute
ENOUGH_S: Final = 8.0  # of turns that are believed, as far as they have not faded; of less there is no mood


class Sounding(Protocol):
    """A turn, wherever it is kept."""

    @property
    def probabilities(self) -> Mapping[str, float]: ...

    @property
    def uncertain(self) -> bool: ...


def believed(turn: Sounding) -> Mapping[str, float]:
    """What a turn counts for in moods: its probabilities, or nothing where they are a guess. An unsure fear is none."""
    return {} if turn.uncertain else turn.probabilities


class Mood:
    """A running average of what is believed of the turns, weighted by their length and fading with their age."""

    def __init__(self, half_life_s: float = HALF_LIFE_S) -> None:
        self._half_life_s = half_life_s
        self._weights: dict[str, float] = {}
        self.at_s = 0.0
        """Stream time of the end of the latest turn."""

    def add(self, probabilities: Mapping[str, float], start_s: float, end_s: float) -> None:
        """Count a turn from ``start_s`` to ``end_s`` on the stream clock."""
        self._weights = self.weights(end_s)
        self.at_s = max(self.at_s, end_s)
        for label, probability in probabilities.items():
            self._weights[label] = self._weights.get(label, 0.0) + probability * (end_s - start_s)

    def revise(self, before: Mapping[str, float], after: Mapping[str, float], start_s: float, end_s: float) -> None:
        """Count a turn that was added with the probabilities ``before`` as if it had been added with ``after``."""
        share = 0.5 ** (max(0.0, self.at_s - end_s) / self._half_life_s) * (end_s - start_s)
        for label in before.keys() | after.keys():
            change = (after.get(label, 0.0) - before.get(label, 0.0)) * share
            self._weights[label] = max(0.0, self._weights.get(label, 0.0) + change)  # never below for rounding alone

    def join(self, other: Mood) -> None:
        """Count the turns of another mood of the same half-life, too."""
        at_s = max(self.at_s, other.at_s)
        weights = self.weights(at_s)
        for label, weight in other.weights(at_s).items():
            weights[label] = weights.get(label, 0.0) + weight
        self._weights, self.at_s = weights, at_s

    def weights(self, at_s: float) -> dict[str, float]:
        """How much each label weighs at a moment that is no earlier than the latest turn."""
        fading = 0.5 ** (max(0.0, at_s - self.at_s) / self._half_life_s)
        return {label: weight * fading for label, weight in self._weights.items()}

    @property
    def probabilities(self) -> dict[str, float]:
        """Each label's share, summing to 1; empty where too little was heard."""
        total = sum(self._weights.values())
        return {label: weight / total for label, weight in self._weights.items()} if total >= ENOUGH_S else {}

    @property
    def label(self) -> str | None:
        """The prevailing emotion; None where too little was heard."""
        shares = self.probabilities
        return max(shares, key=shares.__getitem__, default=None)
