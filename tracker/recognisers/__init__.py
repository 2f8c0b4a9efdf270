"""Speech recognition of finished turns, and how one is chosen.

``--asr auto`` takes faster-whisper's ``base.en`` from the local cache or the hub; where that cannot be had, Moonshine
tiny, and at last PocketSphinx, whose models are installed with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from emotrack.tracker.errors import RecogniserError
from emotrack.tracker.events import TextSource
from emotrack.tracker.listener import SpeechTurn

AUTO_MODEL = "base.en"
ENGLISH = "en"


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
    ``notify`` what it fell back to: voice alone where nothing that is installed knows the language.
    """
    if choice == "none":
        return None
    if choice == "auto":
        return _open_best(device, threads, language, notify)
    if choice == "moonshine":
        return _open_moonshine(threads, language)
    if choice == "pocketsphinx":
        return _open_pocketsphinx(language)
    return _open_whisper(choice, device, threads, language)


def _open_best(device: str, threads: int, language: str | None, notify: Callable[[str], None]) -> Recogniser | None:
    wanted = AUTO_MODEL if language in {None, ENGLISH} else AUTO_MODEL.removesuffix(".en")
    try:
        return _open_whisper(wanted, device, threads, language)
    except RecogniserError:
        missing = f"faster-whisper {wanted} is neither cached nor reachable"
    if wanted != AUTO_MODEL:
        notify(f"{missing}, and the recognisers that are installed know English only: going by the voice alone")
        return None
    try:
        recogniser = _open_moonshine(threads, language)
    except RecogniserError as error:
        notify(
            f"{missing}, and {error}: using PocketSphinx, transcripts will be rough (about 3 words in 10 wrong on"
            " clear speech; what it is not sure of is left out)"
        )
        return _open_pocketsphinx(language)
    notify(f"{missing}: using Moonshine tiny, which is installed")
    return recogniser


def _open_whisper(choice: str, device: str, threads: int, language: str | None) -> Recogniser:
    from emotrack.tracker.recognisers.faster_whisper import FasterWhisper

    return FasterWhisper(choice, device, threads, language)


def _open_moonshine(threads: int, language: str | None) -> Recogniser:
    from emotrack.tracker.recognisers.moonshine import Moonshine

    _only_english("moonshine", language)
    return Moonshine(threads)


def _open_pocketsphinx(language: str | None) -> Recogniser:
    from emotrack.tracker.recognisers.pocketsphinx import PocketSphinx

    _only_english("pocketsphinx", language)
    return PocketSphinx()


def _only_english(choice: str, language: str | None) -> None:
    if language not in {None, ENGLISH}:
        raise RecogniserError(f"{choice} knows English only, not {language!r}")
