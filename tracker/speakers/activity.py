"""When each voice of one channel is active: overlapping windows, stitched together by votes.

Segmentation numbers the voices of every window anew. A voice of a new window is the one that the windows before heard
at the same places; who is heard at none is somebody else, or back after a while, which the voice prints tell. Where
windows disagree about a frame, most of them decide.
"""

from __future__ import annotations

from copy import deepcopy
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.speakers.networks import STEP, VOICES

MEMORY_S: Final = 45.0  # of activity is remembered: the longest turn, and a window before it
_MEMORY: Final = round(MEMORY_S * SAMPLE_RATE / STEP)  # frames
_LEAST: Final = 6  # frames of activity, .1 s, below which a voice is not a new one
_COMMON: Final = 3.0  # frames' votes that a voice has in common with the one that it is taken for
_CANDIDATES: Final = 4  # voices that one of a window may be: those with most in common


class Activity:
    """The voices of the latest ``MEMORY_S``, each with a number that no later one gets again."""

    def __init__(self) -> None:
        self._first = 0  # frame of the stream that the memory begins with
        self._votes = np.zeros((0, _MEMORY), dtype=np.float32)  # (voices, frames): windows in which each was active
        self._windows = np.zeros(_MEMORY, dtype=np.float32)  # (frames,): windows that looked there
        self._voices: list[int] = []  # their numbers
        self._numbered = 0

    def copy(self) -> Activity:
        """The same voices, which go their own way from here."""
        return deepcopy(self)

    def add(self, first: int, active: NDArray[np.bool_]) -> None:
        """Take what segmentation found, (frames, VOICES), in a window that begins with the stream's frame ``first``."""
        self._move_to(first + len(active) - _MEMORY)
        begin = max(first - self._first, 0)
        active = active[max(self._first - first, 0) :]
        place = slice(begin, begin + len(active))
        votes = active.T.astype(np.float32)  # (VOICES, frames)
        for voice, row in enumerate(self._rows(votes, place)):
            if row is not None:
                self._votes[row, place] += votes[voice]
        self._windows[place] += 1.0

    def between(self, start: int, end: int) -> dict[int, NDArray[np.bool_]]:
        """Whether each voice is active in each frame from ``start`` to ``end``, (frames,); of those that ever are."""
        place = slice(max(start - self._first, 0), max(end - self._first, 0))
        active: NDArray[np.bool_] = 2.0 * self._votes[:, place] >= np.maximum(self._windows[place], 1.0)
        forgotten = np.zeros(max(min(end, self._first) - start, 0), dtype=bool)
        return {
            voice: np.concatenate([forgotten, frames])
            for voice, frames in zip(self._voices, active, strict=True)
            if frames.any()
        }

    def join(self, voice: int, other: int) -> None:
        """Take ``other`` for the same as ``voice``, whose number both have from now on."""
        row, gone = self._voices.index(voice), self._voices.index(other)
        self._votes[row] = np.maximum(self._votes[row], self._votes[gone])
        self._votes = np.delete(self._votes, gone, axis=0)
        del self._voices[gone]

    def share_seen(self, start: int, end: int) -> float:
        """How much of the frames from ``start`` to ``end`` any window looked at."""
        place = slice(max(start - self._first, 0), max(end - self._first, 0))
        return float(np.count_nonzero(self._windows[place])) / max(end - start, 1)

    def _rows(self, votes: NDArray[np.float32], place: slice) -> list[int | None]:
        """The row of each voice of a window; None for one that is hardly there."""
        seen = self._windows[place] > 0.0
        known = [row for row in range(len(self._voices)) if self._votes[row, place].any()]
        believed = self._votes[known, place] / np.maximum(self._windows[place], 1.0)  # (known, frames)
        common = votes[:, seen] @ believed[:, seen].T  # (VOICES, known)
        likely: list[int | None] = [int(row) for row in np.argsort(-common.max(axis=0))[:_CANDIDATES]] if known else []
        pairing = max(
            permutations([*likely, *[None] * VOICES], VOICES),
            key=lambda rows: sum(common[voice, row] for voice, row in enumerate(rows) if row is not None),
        )
        rows: list[int | None] = []
        for voice, row in enumerate(pairing):
            if row is not None and common[voice, row] > _COMMON:
                rows.append(known[row])
            else:
                rows.append(self._open() if votes[voice].sum() >= _LEAST else None)
        return rows

    def _open(self) -> int:
        self._votes = np.concatenate([self._votes, np.zeros((1, _MEMORY), dtype=np.float32)])
        self._voices.append(self._numbered)
        self._numbered += 1
        return len(self._voices) - 1

    def _move_to(self, first: int) -> None:
        """Let the memory begin at ``first``, if that is later, and forget who has not spoken since."""
        gone = min(first - self._first, _MEMORY)
        if gone <= 0:
            return
        self._first = first
        self._votes = np.pad(self._votes[:, gone:], ((0, 0), (0, gone)))
        self._windows = np.pad(self._windows[gone:], (0, gone))
        speaking: NDArray[np.bool_] = np.asarray(self._votes.any(axis=1))
        self._votes = self._votes[speaking]
        self._voices = [voice for voice, speaks in zip(self._voices, speaking, strict=True) if speaks]
