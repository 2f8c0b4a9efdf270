"""From a finished turn and what the models found in it to the event that says so."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from emotrack.models.context import EmotionEstimate
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.events import Latency, Modality, Turn
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.interpreter import Interpretation, TurnWork
from emotrack.tracker.understanding.recognisers import Transcript

_VERSIONS_OF = ("emotrack", "torch", "onnxruntime", "faster-whisper", "moonshine-voice", "pocketsphinx", "silero-vad")


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """A finished turn on its way to the interpreter."""

    turn_id: int
    turn: SpeechTurn
    words: Transcript | None
    """None when they are to be recognised."""
    speaker: str | None
    work: TurnWork | None
    """Begun before it had ended."""
    decided_at: float
    """When it was known that the turn had ended: seconds, ``time.perf_counter``."""


def turn_event(
    stamp: dict[str, Any],
    heard: HeardTurn,
    found: Interpretation,
    audio: str | None,
    *,
    began_at: float,
    with_text: bool,
) -> Turn:
    """The event of a turn that leaves now.

    Args:
        stamp: what every event of the session has.
        heard: the turn.
        found: what the models made of it.
        audio: the file that keeps its voice, if any.
        began_at: when they began with it, or its work was taken over: seconds, ``time.perf_counter``.
        with_text: whether events have words.
    """
    turn, transcript = heard.turn, found.transcript
    modalities: tuple[Modality, ...] = ("speech",) if transcript.text is None else ("speech", "text")
    return Turn(
        **stamp,
        turn_id=heard.turn_id,
        start_s=turn.start_s,
        end_s=turn.end_s,
        speaker=heard.speaker,
        text=transcript.text if with_text else None,
        text_source=transcript.source,
        text_rejected=transcript.rejected,
        **estimated(found.estimate),
        modalities=modalities,
        why=found.estimate.why,
        audio=audio,
        truncated=turn.truncated,
        latency_ms=Latency(
            end_of_turn=1000 * (turn.decided - turn.speech_end) / SAMPLE_RATE,
            queued=1000 * (began_at - heard.decided_at),
            recognition=1000 * found.recognition_s,
            encoding=1000 * found.encoding_s,
            context=1000 * found.context_s,
            after_end=1000 * (time.perf_counter() - heard.decided_at),
        ),
    )


def estimated(estimate: EmotionEstimate) -> dict[str, Any]:
    """What events say of an estimate."""
    shares = zip(estimate.labels, estimate.probabilities, strict=True)
    return {
        "emotion": estimate.emotion,
        "confidence": round(estimate.confidence, 4),
        "uncertain": estimate.uncertain,
        "probabilities": {label: round(share, 4) for label, share in shares},
    }


@cache
def versions() -> dict[str, str]:
    """Of what an estimate depends on, where it is installed: not every platform has all."""
    found = {}
    for package in _VERSIONS_OF:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
