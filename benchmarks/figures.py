"""What a benchmark finds: repeats of one quantity, side by side with the same quantity of a rival."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity, measured once or more often."""

    row: str
    """What was measured: a kind of turn, a number of rooms."""
    column: str
    """Of whom: ours, or a rival."""
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        return percentile(self.values, 95)


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that belongs under the table."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of something that takes long is done."""

    what: str
    share: float
    """From 0 to 1."""


Found = Iterator[Figure | Note | Progress]


@dataclass(frozen=True, slots=True)
class Settings:
    """How long to look, and where to leave what is made on the way."""

    quick: bool
    workspace: Path
    recordings: Path | None = None
    """A folder of recordings with RTTM files beside them."""
    clips: Path | None = None
    """A folder of acted speech, a corpus a folder."""
    hours: float = 3.0
    """Of the long talk."""


class UnavailableError(Exception):
    """This machine lacks what the benchmark needs; the message says what."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Something to measure. ``measure`` yields as it goes: figures of one row and column add up."""

    name: str
    """On the command line."""
    title: str
    measure: Callable[[Settings], Found]


def percentile(values: Iterable[float], share: float) -> float:
    """The value that ``share`` per cent of them do not exceed: one that was measured, never one in between."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 100) - 1)]


def gathered(figures: Iterable[Figure]) -> list[Figure]:
    """One figure for each row, column and unit, in order of appearance, with the values of all."""
    together: dict[tuple[str, str, str], tuple[float, ...]] = {}
    for figure in figures:
        key = figure.row, figure.column, figure.unit
        together[key] = together.get(key, ()) + figure.values
    return [Figure(*key, values) for key, values in together.items()]
