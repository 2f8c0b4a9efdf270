"""Sessions for the tests of the report: a conversation as it might be, of any length, with all that can happen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from emotrack.tracker.events import (
    BundleInfo,
    Correction,
    Latency,
    Mark,
    Percentiles,
    SessionEnded,
    SessionStarted,
    SourceLostEvent,
    SourceRestoredEvent,
    Turn,
    to_json,
)
from emotrack.tracker.sessions.reading.reader import Session, read_session

LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
BEGAN = datetime(2026, 11, 20, 14, 6, 19, tzinfo=UTC)
STAMP: dict[str, Any] = {"site": "kitchen", "session": "20261120T140619Z-44e2", "time": BEGAN}

# What people say when they plan a holiday, quarrel about it, and make up.
_SAYINGS = {
    "neutral": (
        "So, shall we look at the dates again?",
        "The ferry leaves at ten past seven, and we have to be there half an hour before.",
        "I have put the list on the table.",
        "Mm-hm.",
        "There are two rooms left, one of them without a window, so I would take the other if nobody minds.",
        "Let me write that down.",
    ),
    "joy": ("Oh, that would be lovely!", "We can swim every morning. Every single morning!", "You remembered!"),
    "surprise": ("Wait, they are open in March?", "Really? Since when?"),
    "anger": (
        "You never asked me. You simply booked it, and now I am the one who has to explain it at work again.",
        "That's not what I said.",
        "No. No!",
    ),
    "sadness": ("I had hoped that Dad could come along.", "It won't be the same without her, will it.", "I know."),
    "disgust": ("The last hotel had mould behind the bed.",),
    "fear": ("What if the car breaks down again, up there, at night?",),
}
_ACTS = ("neutral", "joy", "neutral", "anger", "sadness", "joy")


def turn(turn_id: int, **fields: object) -> Turn:
    """A turn with everything filled in that ``fields`` do not say."""
    emotion = str(fields.get("emotion", "neutral"))
    rest = [label for label in LABELS if label != emotion]
    confidence = float(str(fields.get("confidence", 0.7)))
    usual: dict[str, object] = {
        "turn_id": turn_id,
        "start_s": 4.0 * turn_id,
        "end_s": 4.0 * turn_id + 3.0,
        "speaker": "Ana",
        "text": "Good morning.",
        "text_source": "captions",
        "emotion": emotion,
        "confidence": confidence,
        "uncertain": confidence < 0.55,
        "probabilities": {emotion: confidence} | {label: (1 - confidence) / len(rest) for label in rest},
        "modalities": ("speech", "text"),
        "truncated": False,
        "latency_ms": Latency(end_of_turn=608, queued=0.1, recognition=4, encoding=24, context=0.3, after_end=29),
    }
    return Turn.model_validate({**STAMP, **usual, **fields})


def started(**fields: object) -> SessionStarted:
    usual: dict[str, object] = {
        "source": "/home/ana/Recordings/summer-plans.flac",
        "channels": 2,
        "labels": LABELS,
        "bundle": BundleInfo(name="mini", fingerprint="8aa7c9e175af"),
        "recogniser": "faster-whisper tiny.en",
        "context_turns": 8,
        "versions": {"emotrack": "0.1.0", "torch": "2.13.0", "onnxruntime": "1.31.1"},
    }
    return SessionStarted.model_validate({**STAMP, **usual, **fields})


def ended(seconds: float, turns: Sequence[Turn]) -> SessionEnded:
    nothing = Percentiles(p50=None, p95=None, max=None)
    return SessionEnded(
        **STAMP,
        reason="end_of_source",
        seconds=seconds,
        turns=len(turns),
        emotions={},
        speakers={},
        mood="neutral",
        dropped_frames=3,
        dropped_turns=0,
        text_skipped=2,
        latency_ms={"after_end": nothing, "end_of_turn": nothing},
    )


def conversation(
    turns: int, speakers: Sequence[str | None] = ("Ana", "Ben", "Chloé"), *, seed: int = 1, pace: float = 1.0
) -> Session:
    """So many turns, ``pace`` times as fast as people talk, with all that can happen in a session."""
    rng = random.Random(seed)
    session = Session(Path("summer-plans.jsonl"), str(STAMP["session"]), started=started())
    now = 1.2
    speaker = speakers[0]
    for number in range(1, turns + 1):
        act = _ACTS[int(number / max(25, turns / len(_ACTS) / max(1, turns // 400))) % len(_ACTS)]
        emotion = act if rng.random() < 0.62 else rng.choices(LABELS, (8, 3, 2, 2, 2, 0.6, 0.6))[0]
        if len(speakers) > 1 and rng.random() < 0.85:
            speaker = rng.choice([other for other in speakers if other != speaker])
        text = rng.choice(_SAYINGS[emotion])
        seconds = 0.7 + 0.055 * len(text) * rng.uniform(0.8, 1.3) / pace
        session.turns.append(_told(rng, number, emotion, speaker, text, now, now + seconds))
        now += seconds + rng.choice((-0.4, 0.2, 0.4, 0.6, 0.9, 1.6)) / pace
        now = max(now, 0.0) + (22.0 if number % 140 == 60 else 0.0)
    for number in rng.sample(range(1, turns + 1), max(1, turns // 25)):
        label = rng.choice(LABELS)
        session.corrections[number] = Correction(**STAMP, turn_id=number, emotion=label)
    session.marks = [Mark(**STAMP, at_s=now * place) for place in (0.21, 0.58, 0.77)]
    session.losses = [
        SourceLostEvent(**STAMP, at_s=now * 0.4, reason="the microphone was unplugged"),
        SourceRestoredEvent(**STAMP, at_s=now * 0.4, seconds_lost=3.2),
    ]
    session.ended = ended(now + 1.0, session.turns)
    return session


def _told(
    rng: random.Random, number: int, emotion: str, speaker: str | None, text: str, start_s: float, end_s: float
) -> Turn:
    confidence = min(0.99, max(0.3, rng.gauss(0.68, 0.17)))
    wordless = rng.random() < 0.07
    voice, words, context = rng.gauss(0.12, 0.12), rng.gauss(0.2, 0.16), rng.gauss(0.03, 0.07)
    return turn(
        number,
        time=BEGAN + timedelta(seconds=end_s + 0.7),
        revision=int(rng.random() < 0.05),
        start_s=start_s,
        end_s=end_s,
        speaker=speaker,
        text=None if wordless else text,
        text_source=None if wordless else "faster-whisper",
        text_rejected=rng.choice(("low_confidence", "empty")) if wordless else None,
        emotion=emotion,
        confidence=confidence,
        modalities=("speech",) if wordless else ("speech", "text"),
        why={"speech": voice, "context": context} if wordless else {"speech": voice, "text": words, "context": context},
        truncated=rng.random() < 0.01,
        latency_ms=Latency(
            end_of_turn=608,
            queued=abs(rng.gauss(0, 2)),
            recognition=abs(rng.gauss(180, 60)),
            encoding=abs(rng.gauss(22, 4)),
            context=0.3,
            after_end=abs(rng.gauss(205, 60)),
        ),
    )


def save(session: Session, path: Path) -> None:
    """As ``emotrack live --save`` would have written it."""
    events = [session.started, *session.turns, *session.losses, *session.marks, *session.corrections.values()]
    path.write_text("".join(f"{to_json(event)}\n" for event in [*events, session.ended] if event is not None))


def test_a_made_up_session_reads_back_as_it_was(tmp_path: Path) -> None:
    session = conversation(60)
    save(session, tmp_path / "s.jsonl")
    read = read_session(tmp_path / "s.jsonl")
    assert [told.model_dump(exclude={"time"}) for told in read.turns] == [
        told.model_dump(exclude={"time"}) for told in session.turns
    ]
    assert read.corrections == session.corrections
    assert read.problems == []
