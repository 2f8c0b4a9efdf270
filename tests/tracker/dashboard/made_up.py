"""Events as the pipeline would send them, for the dashboard's tests and for the driver that runs in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from emotrack.tracker.events import (
    BundleInfo,
    Latency,
    Mark,
    Percentiles,
    Provisional,
    SessionEnded,
    SessionStarted,
    SourceLostEvent,
    SourceRestoredEvent,
    SpeakerRenamed,
    SpeakersMerged,
    Turn,
)

LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
HEAD: dict[str, Any] = {"site": "kitchen", "session": "s", "time": datetime(2026, 1, 1, tzinfo=UTC)}


def started(**changes: Any) -> SessionStarted:
    values: dict[str, Any] = {
        "source": "USB Audio",
        "channels": 1,
        "labels": LABELS,
        "bundle": BundleInfo(name="mini", fingerprint="0123456789abcdef"),
        "recogniser": "faster-whisper base.en",
        "context_turns": 10,
        "versions": {"emotrack": "0.2.0"},
    }
    return SessionStarted(**HEAD, **(values | changes))


def turn(turn_id: int, emotion: str = "joy", after_end: float = 200.0, **changes: Any) -> Turn:
    text = changes.get("text", "Good to see you.")
    values: dict[str, Any] = {
        "turn_id": turn_id,
        "start_s": 3.0 * turn_id,
        "end_s": 3.0 * turn_id + 2,
        "speaker": "Ana",
        "text": text,
        "text_source": None if text is None else "captions",
        "emotion": emotion,
        "confidence": 0.8,
        "uncertain": False,
        "probabilities": {emotion: 0.8, "other": 0.2},
        "modalities": ("speech",) if text is None else ("speech", "text"),
        "truncated": False,
        "latency_ms": Latency(end_of_turn=600, queued=0, recognition=150, encoding=30, context=5, after_end=after_end),
    }
    return Turn(**HEAD, **(values | changes))


def mark(at_s: float) -> Mark:
    return Mark(**HEAD, at_s=at_s)


def renamed(speaker: str, name: str) -> SpeakerRenamed:
    return SpeakerRenamed(**HEAD, speaker=speaker, name=name)


def merged(speaker: str, into: str) -> SpeakersMerged:
    return SpeakersMerged(**HEAD, speaker=speaker, into=into)


def lost(at_s: float, reason: str = "unplugged") -> SourceLostEvent:
    return SourceLostEvent(**HEAD, at_s=at_s, reason=reason)


def restored(at_s: float) -> SourceRestoredEvent:
    return SourceRestoredEvent(**HEAD, at_s=at_s, seconds_lost=4.0)


def ended(turns: int, **changes: Any) -> SessionEnded:
    values: dict[str, Any] = {
        "reason": "quit",
        "seconds": 3725.0,
        "turns": turns,
        "emotions": {"joy": turns},
        "speakers": {"Ana": turns},
        "mood": "joy",
        "dropped_frames": 3,
        "dropped_turns": 1,
        "text_skipped": 0,
        "latency_ms": {
            "after_end": Percentiles(p50=210, p95=480, max=600),
            "end_of_turn": Percentiles(p50=600, p95=640, max=700),
        },
    }
    return SessionEnded(**HEAD, **(values | changes))


def provisional(start_s: float, at_s: float, emotion: str = "joy", **changes: Any) -> Provisional:
    values: dict[str, Any] = {
        "channel": 1,
        "speaker": "Ana",
        "emotion": emotion,
        "confidence": 0.55,
        "uncertain": False,
        "probabilities": {emotion: 0.55, "other": 0.45},
    }
    return Provisional(**HEAD, start_s=start_s, at_s=at_s, **(values | changes))
