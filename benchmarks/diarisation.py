"""Who spoke when, as it is and as it was found: errors, as a share of the time in which people speak.

Frames of 10 ms. Found speakers are paired with true ones, one to one, so that most time agrees. Around true borders,
COLLAR_S are not counted; speech of several people at once is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

COLLAR_S: Final = 0.25
STEP_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Span:
    """Somebody speaks."""

    start_s: float
    end_s: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Errors:
    """Seconds of a speaker's time, of all speakers."""

    speech: float = 0.0
    missed: float = 0.0
    false_alarm: float = 0.0
    confused: float = 0.0

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.speech + other.speech,
            self.missed + other.missed,
            self.false_alarm + other.false_alarm,
            self.confused + other.confused,
        )

    @property
    def rate(self) -> float:
        """The diarisation error rate."""
        return (self.missed + self.false_alarm + self.confused) / max(self.speech, STEP_S)


@dataclass(frozen=True, slots=True)
class Turns:
    """How many turns belong mostly to the speaker that they name."""

    found: int = 0
    right: int = 0
    """Found speakers are paired with true ones, one to one."""
    pure: int = 0
    """A found speaker counts as whoever speaks in most of its turns."""

    def __add__(self, other: Turns) -> Turns:
        return Turns(self.found + other.found, self.right + other.right, self.pure + other.pure)


def read_rttm(path: Path) -> list[Span]:
    """The spans of a file in NIST's format: SPEAKER file channel start duration <NA> <NA> name ..."""
    rows = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return [Span(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows if row[:1] == ["SPEAKER"]]


def errors(truth: Sequence[Span], found: Sequence[Span]) -> Errors:
    """How far ``found`` is from ``truth``."""
    true, guessed = _active(truth, found)
    pairs = _pairs(truth, found)
    kept = np.ones(true.shape[1], dtype=bool)
    for span in truth:
        for border in (span.start_s, span.end_s):
            kept[max(0, round((border - COLLAR_S) / STEP_S)) : round((border + COLLAR_S) / STEP_S)] = False
    speaking, named = true[:, kept].sum(axis=0), guessed[:, kept].sum(axis=0)  # (frames,)
    right = sum(int((true[one] & guessed[other])[kept].sum()) for one, other in pairs)
    return Errors(
        speech=STEP_S * int(speaking.sum()),
        missed=STEP_S * int(np.maximum(speaking - named, 0).sum()),
        false_alarm=STEP_S * int(np.maximum(named - speaking, 0).sum()),
        confused=STEP_S * (int(np.minimum(speaking, named).sum()) - right),
    )


def turns(truth: Sequence[Span], found: Sequence[Span]) -> Turns:
    """How many of the turns ``found`` belong to whom they name."""
    true, _ = _active(truth, found)
    people, named = _speakers(truth), _speakers(found)
    meant = {named[other]: people[one] for one, other in _pairs(truth, found)}
    right = 0
    said: dict[str, Counter[str]] = {name: Counter() for name in named}
    for span in found:
        frames = true[:, _frames(span)].sum(axis=1)  # (people,)
        if frames.any():
            person = people[int(frames.argmax())]
            right += meant.get(span.speaker) == person
            said[span.speaker][person] += 1
    pure = sum(max(each.values(), default=0) for each in said.values())
    return Turns(len(found), right, pure)


def best_pairs(agree: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of a row and a column, none of them twice, that agree most in all: (rows, columns), a dozen the fewer."""
    if agree.shape[0] > agree.shape[1]:
        return [(row, column) for column, row in best_pairs(agree.T)]
    best: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {0: (0, ())}  # by the set of rows that are taken
    for column in range(agree.shape[1]):
        for taken, (sum_, pairs) in list(best.items()):
            for row in range(agree.shape[0]):
                now, gain = taken | 1 << row, int(agree[row, column])
                if now != taken and gain and sum_ + gain > best.get(now, (0, ()))[0]:
                    best[now] = sum_ + gain, (*pairs, (row, column))
    return list(max(best.values())[1])


def _pairs(truth: Sequence[Span], found: Sequence[Span]) -> list[tuple[int, int]]:
    true, guessed = _active(truth, found)
    return best_pairs(true.astype(np.int64) @ guessed.T.astype(np.int64))


def _active(truth: Sequence[Span], found: Sequence[Span]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who speaks in which frame, (speakers, frames) each, in the order of their names."""
    frames = round(max((span.end_s for span in (*truth, *found)), default=0.0) / STEP_S) + 1
    active = []
    for spans in (truth, found):
        names = _speakers(spans)
        grid = np.zeros((len(names), frames), dtype=bool)
        for span in spans:
            grid[names.index(span.speaker), _frames(span)] = True
        active.append(grid)
    return active[0], active[1]


def _frames(span: Span) -> slice:
    return slice(round(span.start_s / STEP_S), round(span.end_s / STEP_S))


def _speakers(spans: Iterable[Span]) -> list[str]:
    return sorted({span.speaker for span in spans})
