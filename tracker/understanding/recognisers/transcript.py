"""What a recogniser is, and the transcripts that it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from emotrack.tracker.events import TextSource
from emotrack.tracker.hearing.listener import SpeechTurn

ENGLISH: Final = "en"


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of one turn, or why there are none."""

    text: str | None
    source: TextSource | None
    rejected: str | None = None
    confidence: float | None = None
    """In [0, 1], on the recogniser's own scale; also of words that were rejected."""
    language: str | None = None
    """ISO 639-1."""


class Recogniser(Protocol):
    """Turns speech into words. Not safe for threads: one thread owns it."""

    name: str
    """The recogniser and its model, for people."""
    batch_size: int
    """Turns that are best recognised together."""
    languages: tuple[str, ...]
    """What it understands: ISO 639-1."""

    def transcribe(self, turn: SpeechTurn) -> Transcript: ...

    def transcribe_batch(self, turns: Sequence[SpeechTurn]) -> list[Transcript]:
        """The words of several turns, together where that is quicker; none depend on the other turns."""

    def close(self) -> None: ...
