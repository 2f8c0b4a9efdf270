"""What is measured, at toy size: the rival, the rooms, the parts of a turn, the made-up recogniser."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import anatomy, gpu, growth, rooms, runtimes
from benchmarks.figures import Figure, Settings, UnavailableError, gathered
from benchmarks.processes import watch
from benchmarks.speech import CONVERSATION, mono, turns, words
from benchmarks.straight_line import StraightLine
from benchmarks.whisper import SENTENCE, SIZES, made_up_whisper
from emotrack.models.bundle import load_bundle
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.recognisers.faster_whisper import FasterWhisper
from tests.tracker.kitchen_table import TRUTH


@pytest.fixture
def quick(tmp_path: Path) -> Settings:
    return Settings(quick=True, workspace=tmp_path)


def test_the_bundled_turns_go_with_their_words() -> None:
    assert len(turns()) == len(words()) == len(TRUTH)
    for turn, truth in zip(turns(), TRUTH, strict=True):
        assert turn.start_s < truth["end"]
        assert turn.end_s > truth["start"]
    assert mono(CONVERSATION).ndim == 1


def test_the_script_says_the_same_with_and_without_its_memory() -> None:
    forgetful, thrifty = (StraightLine(None, keep_embeddings=keeps) for keeps in (False, True))
    found = [
        [script.turn(turn, said, "Ana") for turn, said in zip(turns()[:3], words(), strict=False)]
        for script in (forgetful, thrifty)
    ]
    assert found[0] == found[1]
    assert set(found[0]) <= set(forgetful.network.labels)


def test_ours_forgets_and_the_script_does_not() -> None:
    ours, script = growth.Ours(), growth.Script()
    for place in range(20):
        ours.skip(place)
        script.skip(place)
    ours.read(20)
    assert len(ours.context) == ours.context.size == 16
    assert len(script.script.history) == 20


def test_a_process_is_watched() -> None:
    program = """
import sys, time
print("ready", file=sys.stderr, flush=True)
began = time.process_time()
while time.process_time() - began < 0.6: pass
print('{"type": "turn", "revision": 0, "latency_ms": {"after_end": 4, "end_of_turn": 600}}')
print('{"type": "turn", "revision": 1, "latency_ms": {"after_end": 9, "end_of_turn": 600}}')
print('{"type": "session_ended"}', flush=True)
time.sleep(0.5)
"""
    run = watch([sys.executable, "-c", program])
    assert run.latencies_ms("after_end") == (4,)
    assert run.latencies_ms("after_end", "end_of_turn") == (604,)
    assert 0.1 < run.share_of_core < 1.1
    assert run.resident_mib > 1
    assert run.ready_s > 0
    with pytest.raises(RuntimeError, match="no such thing"):
        watch([sys.executable, "-c", "import sys; sys.exit('no such thing')"])


def test_a_made_up_whisper_says_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "toy", (256, 1, 4))
    folder = made_up_whisper("toy", tmp_path)
    assert made_up_whisper("toy", tmp_path) == folder
    recogniser = FasterWhisper(str(folder), "cpu", 1, "en")
    assert {recogniser.transcribe(turn).text for turn in turns()[:2]} == {SENTENCE}


def test_rooms_answer_on_time_or_say_how_late() -> None:
    engine = Engine(load_bundle("mini"), None)
    try:
        held = asyncio.run(rooms.hold(engine, 2, 9.0))
    finally:
        engine.close()
    assert len(held.late_ms) >= 2
    assert all(0 <= late < 60_000 for late in held.late_ms)
    assert held.share_of_core > 0
    assert held.lost == 0


def test_the_parts_of_a_turn_make_the_whole(quick: Settings) -> None:
    found = gathered(figure for figure in anatomy.measure(quick) if isinstance(figure, Figure))
    figures = {figure.row: figure.median for figure in found}
    together, meanwhile = figures.pop("together"), figures.pop("voice detector, meanwhile")
    assert sum(figures.values()) == pytest.approx(together, rel=0.3)
    assert meanwhile > 0


def test_runtimes_say_the_same() -> None:
    network = load_bundle("mini")
    ours, plain = (runtimes._probabilities(network, make(network)) for make in (runtimes._by_one_dnn, runtimes._plain))
    assert np.allclose(ours, plain, atol=1e-4)


def test_without_a_card_there_is_nothing_to_measure(quick: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UnavailableError, match="no CUDA device"):
        next(gpu.measure(quick))
