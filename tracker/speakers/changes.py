"""Where somebody else goes on though segmentation heard one voice: two that are somewhat alike, without a pause.

Voices are printed in pieces while they speak. A person's pieces differ, too, with every emotion; what tells two people
apart is that each of them sounds like turns before that the other does not sound like.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.speakers.networks import VoicePrint, of_length_one

UNLIKE: Final = 0.12  # similarity of what was said before and after, below which two people said it
DISTINCT: Final = 0.3  # by so much, in all, is each more like the turns that it is most like than the other is
_MOST_LIKE: Final = 3  # turns, at most
_REMEMBERED: Final = 64  # turns


class HeardTurns:
    """What the latest turns on one channel sounded like, and so where a voice passes to another."""

    def __init__(self) -> None:
        self._turns: deque[tuple[int, VoicePrint]] = deque(maxlen=_REMEMBERED)  # frame after the last, and the print

    def remember(self, end: int, prints: Sequence[VoicePrint]) -> None:
        """A turn that ended before the frame ``end``, by the prints of its pieces, at least one."""
        self._turns.append((end, _direction(prints)))

    def changes(self, start: int, prints: Sequence[VoicePrint]) -> list[tuple[int, int]]:
        """Where a turn passes to somebody else: numbers of the last piece before and of the first one after.

        A piece between the two may hold both voices.

        Args:
            start: first frame of the turn; it is compared with turns that had ended.
            prints: of its pieces, each of length 1, one after the other.
        """
        before = [print_ for end, print_ in self._turns if end <= start]
        known = np.stack(before) if before else np.zeros((0, 1), dtype=np.float32)
        return _changes(known, prints, 0, len(prints))


def _changes(known: NDArray[np.float32], prints: Sequence[VoicePrint], first: int, last: int) -> list[tuple[int, int]]:
    """Those from the piece ``first`` to ``last``, not included; ``known`` are prints of turns, (turns, numbers)."""
    found: tuple[float, int, int] | None = None
    for between in (0, 1):
        for begin in range(first + 1 + between, last):
            end = begin - 1 - between
            one, other = _direction(prints[first : end + 1]), _direction(prints[begin:last])
            alike = float(one @ other)
            if (found is None or alike < found[0]) and (alike < UNLIKE or _distinct(known, one, other) >= DISTINCT):
                found = alike, end, begin
    if found is None:
        return []
    _, end, begin = found
    return [*_changes(known, prints, first, end + 1), (end, begin), *_changes(known, prints, begin, last)]


def _distinct(known: NDArray[np.float32], one: VoicePrint, other: VoicePrint) -> float:
    """How much more like the ``known`` turns that it is most like each print is than the other, (turns, numbers)."""
    count = min(_MOST_LIKE, len(known) // 2)
    if count == 0:
        return 0.0
    # by einsum, after which no thread of BLAS spins
    ones, others = (np.einsum("tn,n->t", known, print_) for print_ in (one, other))  # (turns,) each
    nearest_one, nearest_other = np.argsort(-ones)[:count], np.argsort(-others)[:count]
    return float((ones - others)[nearest_one].mean() + (others - ones)[nearest_other].mean())


def _direction(prints: Sequence[VoicePrint]) -> VoicePrint:
    return of_length_one(np.sum(prints, axis=0))
