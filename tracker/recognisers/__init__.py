"""Speech recognition of finished turns, and how one is chosen.

``--asr auto`` takes faster-whisper's ``base.en`` from the local cache or the hub and falls back to PocketSphinx, whose
model is in its wheel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from emotrack.tracker.errors import RecogniserError
from emotrack.tracker.events import TextSource
from emotrack.tracker.listener import SpeechTurn

AUTO_MODEL = "base.en"


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

    def transcribe(self, turn: SpeechTurn) -> Transcript: ...

    def transcribe_batch(self, turns: Sequence[SpeechTurn]) -> list[Transcript]:
        """The words of several turns, together where that is quicker; none depend on the other turns."""

    def close(self) -> None: ...


def open_recogniser(
    choice: str, device: str, threads: int, language: str | None, notify: Callable[[str], None]
) -> Recogniser | None:
    """The recogniser that ``--asr choice`` names; None for ``none``.

    Raises ``RecogniserError`` when a named one cannot be had; ``auto`` never raises for that, but says through
    ``notify`` what it fell back to.
    """
    if choice == "none":
        return None
    if choice == "pocketsphinx":
        return _open_pocketsphinx()
    from emotrack.tracker.recognisers.faster_whisper import FasterWhisper

    if choice != "auto":
        return FasterWhisper(choice, device, threads, language)
    try:
        return FasterWhisper(AUTO_MODEL, device, threads, language)
    except RecogniserError:
        notify(
            f"faster-whisper {AUTO_MODEL} is neither cached nor reachable: using PocketSphinx, transcripts will be"
            " rough (about 3 words in 10 wrong on clear speech; what it is not sure of is left out)"
        )
        return _open_pocketsphinx()


def _open_pocketsphinx() -> Recogniser:
    from emotrack.tracker.recognisers.pocketsphinx import PocketSphinx

    return PocketSphinx()
