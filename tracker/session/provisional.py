"""Looking at turns that still go on, every half second of speech, by what was said last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emotrack.tracker.hearing.listener import Listener, SpeechTurn

EVERY_S: Final = 0.5  # of speech
LATEST_S: Final = 3.0  # of a turn is looked at, so that a long one costs no more than a short one


@dataclass(frozen=True, slots=True)
class Glance:
    """A turn under way, as far as it has been heard."""

    start: int
    """Of the whole turn, in samples of the stream."""
    latest: SpeechTurn
    """Its last ``LATEST_S``."""


class Glances:
    """Tells when to look at the turns of one channel."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._turn_start: int | None = None
        self._due_s = EVERY_S

    @property
    def is_due(self) -> bool:
        """Whether enough was said since the last look."""
        start, speech_s = self._listener.turn_start, self._listener.speech_s
        return start is not None and speech_s >= (self._due_s if start == self._turn_start else EVERY_S)

    def next(self) -> Glance | None:
        """What to look at now; None while no more has been said since the last time."""
        start = self._listener.turn_start
        if start is None or not self.is_due or (latest := self._listener.latest(LATEST_S)) is None:
            return None
        self._turn_start, self._due_s = start, (self._listener.speech_s // EVERY_S + 1) * EVERY_S
        return Glance(start, latest)

    def goes_on(self, glance: Glance) -> bool:
        """Whether the turn that was looked at has not ended yet."""
        return self._listener.turn_start == glance.start
