"""A saved session as a film: what appears when, and where the viewer stands."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from emotrack.tracker.events import Correction, Event, SessionEnded, SessionStarted, Turn
from emotrack.tracker.sessions.reading.reader import Session

SPEEDS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0)


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """An event and its place on the stream clock."""

    at_s: float
    event: Event


def moments(session: Session) -> list[TimedEvent]:
    """The session's events in the order in which they are shown.

    A turn appears when it ended, and with it what a person said of it later: a correction has no stream time.
    """
    shown: list[TimedEvent] = []
    for turn in session.turns:
        shown.append(TimedEvent(turn.end_s, turn))
        if correction := session.corrections.get(turn.turn_id):
            shown.append(TimedEvent(turn.end_s, correction))
    shown += [TimedEvent(event.at_s, event) for event in (*session.marks, *session.losses)]
    if session.started is not None:
        shown.append(TimedEvent(0.0, session.started))
    if session.ended is not None:
        last_s = max((moment.at_s for moment in shown), default=0.0)
        shown.append(TimedEvent(max(session.ended.seconds, last_s), session.ended))
    return sorted(shown, key=lambda moment: (moment.at_s, _rank(moment.event)))


def _rank(event: Event) -> tuple[int, int]:
    """The order of events that share a moment."""
    match event:
        case SessionStarted():
            return 0, 0
        case Turn() | Correction():
            return 1, event.turn_id
        case SessionEnded():
            return 3, 0
    return 2, 0


class Playhead:
    """Where a replay stands on the stream clock, and how fast it moves."""

    def __init__(self, length_s: float, speed: float = 1.0) -> None:
        self.length_s = length_s
        self.speed = speed
        self.position_s = 0.0
        self.paused = False

    @property
    def at_end(self) -> bool:
        return self.position_s >= self.length_s

    def advance(self, seconds: float) -> None:
        """Let so much of the viewer's time pass."""
        if not self.paused:
            self.seek(seconds * self.speed)

    def seek(self, by_s: float) -> None:
        """Go so far on or back, at most to an end."""
        self.position_s = min(self.length_s, max(0.0, self.position_s + by_s))

    def faster(self) -> None:
        """Take the next higher of ``SPEEDS``."""
        self.speed = SPEEDS[min(bisect.bisect_right(SPEEDS, self.speed), len(SPEEDS) - 1)]

    def slower(self) -> None:
        """Take the next lower of ``SPEEDS``."""
        self.speed = SPEEDS[max(bisect.bisect_left(SPEEDS, self.speed) - 1, 0)]
