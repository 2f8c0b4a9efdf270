"""Turns under way, and when each is estimated before it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emotrack.models.context import EmotionEstimate
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.understanding.interpreter import TurnWork
from emotrack.tracker.understanding.recognisers import Transcript

EVERY_S: Final = 0.5  # of speech between two provisional estimates of a turn
LATEST_S: Final = 3.0  # of a turn is estimated, so that a long one costs no more than a short one


@dataclass(frozen=True, slots=True)
class TurnSoFar:
    """A turn under way, as far as it has been heard."""

    start: int
    """Of the whole turn, in samples of the stream."""
    latest: SpeechTurn
    """Its last ``LATEST_S``; at a pause, all that its last speaker has said."""
    work: TurnWork | None = None
    """At a pause: what was begun because the turn may be over."""


@dataclass(frozen=True, slots=True)
class ProvisionalEstimate:
    """How a turn under way sounds so far, and who says it."""

    so_far: TurnSoFar
    speaker: str | None
    overlap: float | None
    """The share of it that others speak in, where somebody looked."""
    words: Transcript | None
    """Where they are known, which is at a pause."""
    estimate: EmotionEstimate


class TurnUnderWay:
    """Tells when the turn under way on one channel is to be estimated."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._turn_start: int | None = None
        self._due_s = EVERY_S

    @property
    def is_due(self) -> bool:
        """Whether enough was said since the last estimate."""
        start, speech_s = self._listener.turn_start, self._listener.speech_s
        return start is not None and speech_s >= (self._due_s if start == self._turn_start else EVERY_S)

    def next(self) -> TurnSoFar | None:
        """What is to be estimated now; None while no more has been said since the last time."""
        start = self._listener.turn_start
        if start is None or not self.is_due or (latest := self._listener.latest(LATEST_S)) is None:
            return None
        self._turn_start, self._due_s = start, (self._listener.speech_s // EVERY_S + 1) * EVERY_S
        return TurnSoFar(start, latest)

    def goes_on(self, so_far: TurnSoFar) -> bool:
        """Whether the turn that was estimated has not ended yet, and nothing was said since if that was at a pause."""
        if so_far.work is None:
            return self._listener.turn_start == so_far.start
        pending = self._listener.pending
        return pending is not None and pending.start == so_far.start and pending.end == so_far.latest.end
