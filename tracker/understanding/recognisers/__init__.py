"""Speech recognition of finished turns, and how one is chosen.

``--asr auto`` takes what is here and asks nobody: a faster-whisper model of the local cache where there is a GPU or the
language is not English, else Moonshine tiny, whose weights are installed. A model is downloaded only when it was named.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from emotrack.tracker.errors import RecogniserError
from emotrack.tracker.understanding.recognisers.transcript import ENGLISH, Recogniser, Transcript

_log = logging.getLogger(__name__)

__all__ = ["Recogniser", "Transcript", "open_recogniser"]

_ROUGH = ", whose transcripts are rough (about 3 words in 10 wrong on clear speech; what it is not sure of is left out)"


def open_recogniser(choice: str, device: str, threads: int, language: str | None) -> Recogniser | None:
    """The recogniser that ``--asr choice`` names; None for ``none``.

    Raises ``RecogniserError`` when a named one cannot be had; ``auto`` never raises for that, but logs what it
    took and why: the voice alone where nothing that is here knows the language.
    """
    if choice == "none":
        return None
    if choice == "auto":
        return _open_best(device, threads, language)
    if choice == "moonshine":
        return _open_moonshine(threads, language)
    if choice == "pocketsphinx":
        return _open_pocketsphinx(language)
    return _open_whisper(choice, device, threads, language)


def _open_best(device: str, threads: int, language: str | None) -> Recogniser | None:
    has_gpu = device != "cpu" and _has_gpu()
    cached = partial(_open_cached, device, threads, language, has_gpu=has_gpu)
    moonshine, pocketsphinx = partial(_open_moonshine, threads, language), partial(_open_pocketsphinx, language)
    ways: tuple[Callable[[], Recogniser], ...] = (cached,)
    if language in {None, ENGLISH}:
        ways = (*((cached, moonshine) if has_gpu else (moonshine, cached)), pocketsphinx)
    missing: list[str] = []
    for way in ways:
        try:
            recogniser = way()
        except RecogniserError as error:
            missing.append(str(error))
        else:
            taken = f"--asr auto takes {recogniser.name}{_ROUGH if way is pocketsphinx else ''}"
            _log.info("%s", "; ".join([taken, *missing]))
            return recogniser
    _log.warning("%s", "; ".join(["--asr auto goes by the voice alone", *missing]))
    return None


def _has_gpu() -> bool:
    import ctranslate2

    return bool(ctranslate2.get_cuda_device_count())


def _open_cached(device: str, threads: int, language: str | None, *, has_gpu: bool) -> Recogniser:
    from emotrack.tracker.understanding.recognisers.faster_whisper import FasterWhisper, best_cached

    return FasterWhisper(best_cached(language, has_gpu=has_gpu), device, threads, language)


def _open_whisper(choice: str, device: str, threads: int, language: str | None) -> Recogniser:
    from emotrack.tracker.understanding.recognisers.faster_whisper import FasterWhisper

    return FasterWhisper(choice, device, threads, language)


def _open_moonshine(threads: int, language: str | None) -> Recogniser:
    from emotrack.tracker.understanding.recognisers.moonshine import Moonshine

    _only_english("moonshine", language)
    return Moonshine(threads)


def _open_pocketsphinx(language: str | None) -> Recogniser:
    from emotrack.tracker.understanding.recognisers.pocketsphinx import PocketSphinx

    _only_english("pocketsphinx", language)
    return PocketSphinx()


def _only_english(choice: str, language: str | None) -> None:
    if language not in {None, ENGLISH}:
        raise RecogniserError(f"{choice} knows English only, not {language!r}")
