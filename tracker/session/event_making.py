"""The events of a session, each from what a stage has found."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from emotrack.models.context import EmotionEstimate
from emotrack.tracker.audio import SAMPLE_RATE, SourceLost, SourceRestored
from emotrack.tracker.events import (
    BundleInfo,
    Doubt,
    Latency,
    Modality,
    OverloadEvent,
    Provisional,
    SessionEnded,
    SessionStarted,
    SourceLostEvent,
    SourceRestoredEvent,
    SpeculationShare,
    Turn,
)
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.session.provisional import ProvisionalEstimate
from emotrack.tracker.session.status import Status
from emotrack.tracker.session.understanding import UnderstoodTurn
from emotrack.tracker.sources import Source
from emotrack.tracker.understanding.doubt import doubt, is_uncertain
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.recognisers import Transcript

_VERSIONS_OF = ("emotrack", "torch", "onnxruntime", "faster-whisper", "moonshine-voice", "pocketsphinx", "silero-vad")


def session_started(status: Status, source: Source, engine: Engine, options: SessionOptions) -> SessionStarted:
    """What is listened to, and the models that do it."""
    network, recogniser = engine.network, engine.recogniser
    return SessionStarted(
        **status.stamp(),
        source=source.name,
        channels=source.channels,
        labels=network.labels,
        bundle=BundleInfo(name=network.name, fingerprint=network.fingerprint),
        recogniser="captions" if options.captions else recogniser.name if recogniser else None,
        context_turns=options.context_turns or network.default_context,
        versions=versions(),
        notice_given=options.notice_given,
    )


def source_event(status: Status, item: SourceLost | SourceRestored) -> SourceLostEvent | SourceRestoredEvent:
    """The source delivers nothing any more, or delivers again."""
    if isinstance(item, SourceLost):
        return SourceLostEvent(**status.stamp(), at_s=status.stream_s, reason=item.reason)
    at_s = status.stream_s + item.seconds_lost - item.passed_s
    return SourceRestoredEvent(**status.stamp(), at_s=at_s, seconds_lost=item.seconds_lost)


def overload_event(status: Status) -> OverloadEvent:
    """What is left out from now on."""
    return OverloadEvent(**status.stamp(), at_s=status.stream_s, left_out=status.left_out)


def provisional_event(status: Status, found: ProvisionalEstimate, options: SessionOptions) -> Provisional:
    """How a turn sounds that still goes on."""
    latest = found.so_far.latest
    reason = doubt(latest, found.overlap, found.words)
    return Provisional(
        **status.stamp(),
        channel=latest.channel + 1,
        speaker=found.speaker,
        text=found.words.text if found.words and options.with_text else None,
        modalities=("speech", "text") if found.words and found.words.text else ("speech",),
        start_s=found.so_far.start / SAMPLE_RATE,
        at_s=latest.end_s,
        doubt=reason,
        **estimated(found.estimate, reason, found.words),
    )


def turn_event(status: Status, understood: UnderstoodTurn, options: SessionOptions) -> Turn:
    """The event of a turn that leaves now."""
    begun, found = understood.begun, understood.found
    turn, transcript = begun.attributed.turn, found.transcript
    overlap = begun.attributed.voiced.overlap if begun.attributed.voiced else None
    reason = doubt(turn, overlap, transcript)
    modalities: tuple[Modality, ...] = ("speech",) if transcript.text is None else ("speech", "text")
    return Turn(
        **status.stamp(),
        turn_id=begun.turn_id,
        start_s=turn.start_s,
        end_s=turn.end_s,
        speaker=found.speaker,
        overlap=overlap,
        text=transcript.text if options.with_text else None,
        text_source=transcript.source,
        text_rejected=transcript.rejected,
        doubt=reason,
        **estimated(found.estimate, reason, transcript),
        modalities=modalities,
        why=found.estimate.why,
        audio=understood.audio,
        truncated=turn.truncated,
        latency_ms=Latency(
            end_of_turn=1000 * (turn.decided - turn.speech_end) / SAMPLE_RATE,
            queued=1000 * understood.queued_s,
            recognition=1000 * (begun.recognised_at - begun.began_at),
            encoding=1000 * found.encoding_s,
            context=1000 * found.context_s,
            after_end=1000 * (time.perf_counter() - begun.decided_at),
        ),
    )


def session_ended(status: Status, source: Source, reason: str, speculation: SpeculationShare | None) -> SessionEnded:
    """What the session added up to."""
    tally = status.tally
    return SessionEnded(
        **status.stamp(),
        reason=reason,
        seconds=status.stream_s,
        turns=tally.turns,
        emotions=dict(tally.emotions),
        speakers=dict(tally.speakers),
        mood=tally.mood.label,
        dropped_frames=source.dropped_frames,
        dropped_turns=status.dropped_turns,
        text_skipped=status.text_skipped,
        latency_ms={"after_end": tally.after_end, "end_of_turn": tally.end_of_turn},
        speculation=speculation,
    )


def estimated(estimate: EmotionEstimate, reason: Doubt | None, words: Transcript | None = None) -> dict[str, Any]:
    """What events say of an estimate that may rest on ``words``, and that there may be a ``reason`` to doubt."""
    shares = zip(estimate.labels, estimate.probabilities, strict=True)
    return {
        "emotion": estimate.emotion,
        "confidence": round(estimate.confidence, 4),
        "uncertain": is_uncertain(estimate, reason, words),
        "probabilities": {label: round(share, 4) for label, share in shares},
        "valence": estimate.valence,
        "arousal": estimate.arousal,
    }


@cache
def versions() -> dict[str, str]:
    """Of what an estimate depends on, where it is installed: not every platform has all."""
    found = {}
    for package in _VERSIONS_OF:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
