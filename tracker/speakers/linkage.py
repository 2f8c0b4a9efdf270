"""Which groups of voice prints are one person's: average linkage, down to a likeness that depends on what is known.

The linkage needs no more than sums: the mean similarity of two groups of unit vectors is the product of their sums over
that of their weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Chosen on meetings, a talk and a telephone call, and on put-together talk of actors whose voices change with every
# emotion: the mean similarity of two turns' pieces is about .35 (actors: .4) within a person, .1 between persons.
ALIKE: Final = 0.25  # mean similarity from which on two groups are one person
ONE_PERSON: Final = 0.36  # the same of two that overlap: segmentation took one person for two
KNOWN_S: Final = 16.0  # of clean speech tell what a voice is like in several moods: ...
ALIKE_TO_KNOWN: Final = 0.2  # ... who has said less is that person from this mean similarity on, ...
ONE_KNOWN_PERSON: Final = 0.3  # ... and from this one on if they overlap

_APART: Final = -2.0  # similarity of groups that are not one person's
_GONE: Final = -np.inf  # ... of one that became part of another, and of one and itself


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of some groups of prints, and which of them cannot be one person's."""

    sums: NDArray[np.float32]
    """(groups, numbers): of the prints, each times its weight."""
    weights: NDArray[np.float32]
    """(groups,): seconds."""
    heard: NDArray[np.bool_]
    """(groups,): whether it holds something that was said here. One that does not takes nobody in for want of room."""
    overlap: NDArray[np.bool_]
    """(groups, groups): whether both speak at once."""
    others: NDArray[np.bool_]
    """(groups, groups): whether they surely are two people's."""


def linked(evidence: Evidence, most: int, needed_s: float) -> list[list[int]]:
    """The groups, by place, that are one person's each, in the order of their first.

    There are no more than ``most`` of them, unless they cannot be one person's, that have ``needed_s`` of speech.
    """
    linkage = _Linkage(evidence)
    while (pair := linkage.next_pair(most, needed_s)) is not None:
        linkage.join(*pair)
    return [members for members, alive in zip(linkage.members, linkage.alive, strict=True) if alive]


@dataclass(slots=True)
class _Linkage:
    """Groups that are being joined: each row and column holds what is known of all that its group took in."""

    evidence: Evidence
    members: list[list[int]] = field(init=False)
    alive: NDArray[np.bool_] = field(init=False)  # (groups,)
    _weights: NDArray[np.float32] = field(init=False)  # (groups,)
    _heard: NDArray[np.bool_] = field(init=False)  # (groups,)
    _overlap: NDArray[np.bool_] = field(init=False)  # (groups, groups)
    _others: NDArray[np.bool_] = field(init=False)  # (groups, groups)
    _products: NDArray[np.float32] = field(init=False)  # (groups, groups), of sums
    _alike: NDArray[np.float32] = field(init=False)  # (groups, groups)

    def __post_init__(self) -> None:
        groups = self.evidence
        self.members = [[place] for place in range(len(groups.weights))]
        self.alive = np.ones(len(self.members), dtype=bool)
        self._weights, self._heard = groups.weights.copy(), groups.heard.copy()
        self._overlap, self._others = groups.overlap.copy(), groups.others.copy()
        # by einsum, after which no thread of BLAS spins
        self._products = np.einsum("in,jn->ij", groups.sums, groups.sums)
        self._alike = self._similarities(slice(None))
        np.fill_diagonal(self._alike, _GONE)

    def next_pair(self, most: int, needed_s: float) -> tuple[int, int] | None:
        """Two groups that are one person's, the earlier one first; None where there are none left."""
        pair, nearest = self._nearest(self._alike)
        if nearest >= ALIKE:
            return pair
        is_known = self._weights >= KNOWN_S
        joins = (self._alike >= ALIKE_TO_KNOWN) & (is_known[:, None] ^ is_known)
        if joins.any():
            return self._nearest(np.where(joins, self._alike, _GONE))[0]
        somebody = self.alive & self._heard & (self._weights >= needed_s)
        return pair if nearest > _APART and somebody.sum() > most else None

    def join(self, first: int, second: int) -> None:
        """Let the group ``first`` take in what is in ``second``."""
        self.members[first] += self.members[second]
        self._products[first] += self._products[second]
        self._products[:, first] += self._products[:, second]
        self._weights[first] += self._weights[second]
        self._heard[first] |= self._heard[second]
        for pairs in (self._overlap, self._others):
            if pairs[second].any():
                pairs[first] |= pairs[second]
                pairs[:, first] |= pairs[:, second]
        self.alive[second] = False
        self._products[second] = self._products[:, second] = _GONE
        self._alike[first] = self._alike[:, first] = self._similarities(slice(first, first + 1))[0]
        self._alike[first, first] = self._alike[second] = self._alike[:, second] = _GONE

    @staticmethod
    def _nearest(alike: NDArray[np.float32]) -> tuple[tuple[int, int], float]:
        first, second = sorted(divmod(int(alike.argmax()), len(alike)))
        return (first, second), float(alike[first, second])

    def _similarities(self, places: slice) -> NDArray[np.float32]:
        """Of the groups at ``places`` and each group, (places, groups)."""
        weights, heard = self._weights[places, None], self._heard[places, None]  # (places, 1)
        found: NDArray[np.float32] = self._products[places] / (self._weights * weights)
        if (overlap := self._overlap[places]).any():
            is_known = np.maximum(self._weights, weights) >= KNOWN_S
            found[overlap & (found < np.where(is_known, ONE_KNOWN_PERSON, ONE_PERSON))] = _APART
        if (others := self._others[places]).any():
            found[others] = _APART
        if not self._heard.all():
            found[~(self._heard & heard) & (found < ALIKE)] = _APART
        return found
