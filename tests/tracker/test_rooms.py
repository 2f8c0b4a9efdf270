"""Several conversations in one process, and what becomes of them when it is too much."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncGenerator
from itertools import count

import numpy as np
import pytest

from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, SourceItem
from emotrack.tracker.events import Event, OverloadEvent, Turn
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.session.hearing import PATIENCE
from emotrack.tracker.understanding import overload
from emotrack.tracker.understanding.engine import SKIPPED, Engine
from emotrack.tracker.understanding.interpreter import Interpreter
from emotrack.tracker.understanding.recognisers import Transcript
from tests.models.conftest import tiny_network
from tests.tracker.kitchen_table import samples
from tests.tracker.scripted import (
    Recorder,
    ScriptedRecogniser,
    ScriptedSession,
    ScriptedSource,
    chunks,
    mono,
    said_by,
    session_of,
)

WELL, FAR_TOO_LATE = overload.Lateness(0.0, 0.0), overload.Lateness(9.0, 0.0)


@pytest.fixture
def engine(network: EmotionNetwork, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """One that looks ten times as often, and waits a tenth as long."""
    monkeypatch.setattr(overload, "LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(overload, "CALM_S", 0.5)
    return Engine(network, ScriptedRecogniser())


def run(*rooms: ScriptedSession) -> None:
    async def together() -> None:
        await asyncio.gather(*(each.run() for each in rooms))

    asyncio.run(together())


def test_rooms_at_once_hear_what_each_would_hear_alone(engine: Engine) -> None:
    parts = [mono(samples()[start : start + 20 * SAMPLE_RATE]) for start in (0, 8000)]
    recorders = [Recorder() for _ in parts]
    run(
        *(session_of(engine, ScriptedSource(chunks(part)), heard) for part, heard in zip(parts, recorders, strict=True))
    )
    for part, together in zip(parts, recorders, strict=True):
        alone = Recorder()
        run(session_of(engine, ScriptedSource(chunks(part)), alone))
        assert [turn.emotion for turn in together.turns] == [turn.emotion for turn in alone.turns]
        for one, other in zip(together.turns, alone.turns, strict=True):
            assert one.probabilities == pytest.approx(other.probabilities, abs=2e-4)  # they are rounded to 1e-4
    engine.close()


def test_rooms_say_what_is_left_out_and_recover(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Things are late until the last level is reached and a turn has gone without words, and well from then on."""
    lateness = FAR_TOO_LATE
    monkeypatch.setattr(engine.overload, "_lateness", lambda: lateness)
    patience = list[float]()

    def follow(event: Event) -> None:
        nonlocal lateness
        if isinstance(event, OverloadEvent):
            patience.append(live.live.hearing.listeners[0].patience)
            if event.left_out == "nothing":
                live.controls.stop()
        elif isinstance(event, Turn) and event.text_rejected == SKIPPED and len(patience) == 4:
            lateness = WELL

    async def endless() -> AsyncGenerator[SourceItem, None]:
        for item in chunks(np.concatenate([mono(samples())] * 20)):
            await asyncio.sleep(0.005)  # twenty times as quick as it was spoken
            yield item

    source = ScriptedSource([], lossless=False)
    source.items = endless  # type: ignore[method-assign]
    recorder = Recorder(follow)
    live = session_of(engine, source, recorder)
    run(live)
    engine.close()

    told = [event.left_out for event in recorder.events if isinstance(event, OverloadEvent)]
    assert told == ["speakers", "extras", "words", "short_turns", "words", "extras", "speakers", "nothing"]
    assert patience == [1, 1, 1, PATIENCE, 1, 1, 1, 1]
    assert live.status.left_out == "nothing"
    without = [turn for turn in recorder.turns if turn.text_rejected == SKIPPED]
    assert without
    assert len(without) == live.status.text_skipped < len(recorder.turns)
    ended = recorder.events[-1].model_dump()
    assert ended["type"] == "session_ended"
    assert ended["text_skipped"] == len(without)


def test_rooms_whose_audio_waits_to_be_heard_are_late_though_no_model_is(engine: Engine) -> None:
    """The models of a single room wait for nothing: what is late is only what the room hears."""
    source = ScriptedSource([], lossless=False)
    source.late_s = 1.2

    def follow(event: Event) -> None:
        if isinstance(event, OverloadEvent):
            source.late_s = 0.0
            if event.left_out == "nothing":
                live.controls.stop()

    async def endless() -> AsyncGenerator[SourceItem, None]:
        for start in count(0, SAMPLE_RATE // 10):
            await asyncio.sleep(0.01)
            yield AudioChunk(np.zeros((SAMPLE_RATE // 10, 1), np.float32), start)

    source.items = endless  # type: ignore[method-assign]
    recorder = Recorder(follow)
    live = session_of(engine, source, recorder)
    run(live)
    engine.close()
    told = [event.left_out for event in recorder.events if isinstance(event, OverloadEvent)]
    assert told == ["speakers", "nothing"]


def test_nothing_is_kept_of_turns_long_past() -> None:
    """What Python holds after some turns and after three times as many, with the window full both times."""
    network = tiny_network()  # which what is kept does not depend on
    engine = Engine(network, None)
    voice = mono(samples())[:4000, 0].copy()
    held = list[int]()

    async def converse() -> None:
        interpreter = Interpreter(engine, ConversationScorer(network).new_context(4), "kitchen")
        for number in range(300):
            start = number * SAMPLE_RATE
            end = start + len(voice)
            turn = SpeechTurn(0, start, end, end, end, voice.copy(), 0.9, 1.0, truncated=False)
            await interpreter.interpret(
                interpreter.begin(turn, Transcript(f"turn {number}", "captions")), said_by("Ana")
            )
            if number in {99, 299}:
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        asyncio.run(converse())
    finally:
        tracemalloc.stop()
        engine.close()
    assert held[1] - held[0] < 64_000, "the samples of 200 turns are 3 MB, their embeddings 100 KB"
