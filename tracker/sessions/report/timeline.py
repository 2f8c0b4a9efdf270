"""The timeline: rows of four minutes, made of stretches of one minute that a narrow page puts below each other.

A stretch has a lane for every speaker and a link for every turn in it. Long silence is left out and said so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from emotrack.tracker.messages.wording import clock
from emotrack.tracker.sessions.report.moments import Moment
from emotrack.tracker.sessions.report.view import SeenTurn, View
from emotrack.tracker.sessions.report.wording import percent

STRETCH_S = 60.0
STRETCHES_IN_ROW = 4
_LETTER_S = 2.0  # a bar of a stretch of a minute that is shorter has no room for a letter
_LAST_TICK = 0.88  # the label of a later one would run over the end of the axis
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 36_000, 86_400)


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment on a time axis."""

    left: str
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A turn, or the part of it that lies in one stretch."""

    turn: SeenTurn
    left: str
    width: str
    first: bool
    """False for what continues from the stretch before; a turn has one first bar."""
    lettered: bool
    text: str
    """What a screen reader says, and a tooltip shows."""


@dataclass(slots=True)
class Minute:
    """One minute of conversation."""

    lanes: list[list[Bar]]
    ticks: list[Tick]
    used: str
    """How much of it lies before the session's end."""
    moments: list[tuple[Moment, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """Stretches that stand side by side where there is room."""

    start: str
    end: str
    silence: str
    """The silence before this row that was left out, or an empty string."""
    stretches: list[Minute]


def share(part: float, whole: float) -> str:
    """A CSS percentage."""
    return f"{min(100.0, max(0.0, 100.0 * part / whole)):.2f}%"


def ticks(start_s: float, length_s: float, about: int, used_s: float = math.inf) -> list[Tick]:
    """About so many round moments on an axis of ``length_s``, of which only the first ``used_s`` have any."""
    gap = next((gap for gap in _TICKS_S if length_s / gap <= about), math.ceil(length_s / about))
    first = math.ceil(start_s / gap)
    last = math.ceil((start_s + min(_LAST_TICK * length_s, used_s)) / gap)
    return [Tick(share(n * gap - start_s, length_s), clock(n * gap)) for n in range(first, last)]


def rows(view: View, moments: list[Moment]) -> list[TimelineRow]:
    """The rows in which something happens, in order."""
    if not view.turns and not moments:
        return []
    count = max(1, math.ceil(view.seconds / STRETCH_S))
    length = view.seconds / count if count <= STRETCHES_IN_ROW else STRETCH_S
    stretches: dict[int, Minute] = {}

    def stretch(number: int) -> Minute:
        if number not in stretches:
            start = number * length
            left = max(0.0, min(length, view.seconds - start))
            lanes: list[list[Bar]] = [[] for _ in view.lane_names]
            stretches[number] = Minute(lanes, ticks(start, length, 4, left), share(left, length))
        return stretches[number]

    for turn in view.drawn:
        for number, bar in _bars(view, turn, length, count):
            stretch(number).lanes[view.lane(turn)].append(bar)
    for moment in moments:
        if moment.kind == "back":
            continue  # stands where the audio was lost, on the stream's clock
        if len(view.drawn) < len(view.turns) and moment.at_s > view.drawn[-1].end_s:
            break  # as do all that follow
        number = min(int(moment.at_s / length), count - 1)
        stretch(number).moments.append((moment, share(moment.at_s - number * length, length)))
    in_row = min(STRETCHES_IN_ROW, count)
    found = []
    shown = 0
    for row in sorted({number // in_row for number in stretches}):
        first, last = row * in_row, min((row + 1) * in_row, count)
        start, end = first * length, min(last * length, view.seconds)
        silence = f"{clock(shown * length)} to {clock(start)}" if first > shown else ""
        side_by_side = [stretch(number) for number in range(first, first + in_row)]
        found.append(TimelineRow(clock(start), clock(end), silence, side_by_side))
        shown = last
    return found


def says(view: View, turn: SeenTurn) -> str:
    """A turn in one line."""
    parts = [f"Turn {turn.id}", view.name(turn.speaker), clock(turn.start_s)]
    if turn.corrected:
        parts.append(f"{turn.label.name}, as a person corrected it")
    else:
        parts.append(f"{turn.label.name}, {percent(turn.turn.confidence)}")
        if turn.uncertain:
            parts.append("uncertain")
    if turn.overlapped:
        parts.append(f"others speak in {turn.overlapped} of it")
    if turn.doubt:
        parts.append(turn.doubt)
    return ", ".join(parts)


def _bars(view: View, turn: SeenTurn, length: float, count: int) -> Iterator[tuple[int, Bar]]:
    text = says(view, turn)
    first = min(count - 1, int(turn.start_s / length))
    last = min(count - 1, max(first, math.ceil(turn.end_s / length) - 1))
    parts = {n: (max(turn.start_s, n * length), min(turn.end_s, (n + 1) * length)) for n in range(first, last + 1)}
    widest = max(parts, key=lambda n: parts[n][1] - parts[n][0])
    for number, (start, end) in parts.items():
        lettered = number == widest and end - start >= _LETTER_S * length / STRETCH_S
        left, width = share(start - number * length, length), share(end - start, length)
        yield number, Bar(turn, left, width, number == first, lettered, text)
