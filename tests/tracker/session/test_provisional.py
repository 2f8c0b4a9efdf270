"""Estimates of turns that still go on: when they come, what they say, and that nobody waits for them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.events import Provisional, Turn
from emotrack.tracker.hearing.listener import Listener
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.session.provisional import EVERY_S, LATEST_S, TurnSoFar, TurnUnderWay
from emotrack.tracker.understanding.captions import Captions, read_captions
from emotrack.tracker.understanding.engine import Engine
from tests.tracker.kitchen_table import CAPTIONS, TRUTH
from tests.tracker.scripted import Recorder, ScriptedSource, chunks, mono, session


def track(network: EmotionNetwork, audio: Samples, **options: Any) -> Recorder:
    """A session whose audio comes slowly enough for every look that is wanted."""
    recorder = Recorder()
    source = ScriptedSource(chunks(audio), channels=audio.shape[1])
    live = session(source, network, recorder, **options)
    source.is_ready = lambda: live.is_idle
    asyncio.run(live.run())
    return recorder


def provisional(recorder: Recorder) -> list[Provisional]:
    return [event for event in recorder.events if isinstance(event, Provisional)]


def estimated_at(audio: Samples) -> list[TurnSoFar]:
    listener = Listener(0, SegmenterOptions())
    under_way, found = TurnUnderWay(listener), list[TurnSoFar]()
    for at in range(0, len(audio), 1600):
        listener.push(audio[at : at + 1600], at)
        if so_far := under_way.next():
            found.append(so_far)
            assert under_way.goes_on(so_far)
    return found


def test_a_turn_is_looked_at_every_half_second_of_speech(stereo: Samples) -> None:
    found = estimated_at(mono(stereo)[:, 0])
    for line in TRUTH:
        here = [so_far for so_far in found if line["start"] - 0.5 < so_far.start / SAMPLE_RATE < line["end"]]
        spoken_s = line["end"] - line["start"]  # pauses included
        assert 0.5 * spoken_s / EVERY_S <= len(here) <= spoken_s / EVERY_S + 1
        apart = np.diff([so_far.latest.end_s for so_far in here])
        assert (apart >= EVERY_S - 0.15).all(), "of audio that comes 0.1 s at a time, cut into frames of 32 ms"


def test_a_look_is_at_the_latest_seconds_whatever_the_length_of_the_turn(stereo: Samples) -> None:
    audio = mono(stereo)[:, 0]
    found = estimated_at(np.concatenate([audio, audio]))
    assert max(len(so_far.latest.samples) for so_far in found) == round(LATEST_S * SAMPLE_RATE)
    for so_far in found:
        latest = so_far.latest
        assert so_far.start <= latest.start < latest.end
        assert len(latest.samples) == latest.end - latest.start
        np.testing.assert_array_equal(latest.samples, np.concatenate([audio, audio])[latest.start : latest.end])


def test_estimates_come_while_the_turn_goes_on_and_say_so(network: EmotionNetwork, stereo: Samples) -> None:
    audio = mono(stereo[: 11 * SAMPLE_RATE])
    recorder = track(network, audio, captions=Captions(read_captions(CAPTIONS)), site="kitchen", provisional=True)
    assert len(recorder.turns) == 3
    for turn, line in zip(recorder.turns, TRUTH, strict=False):
        here = [event for event in provisional(recorder) if event.start_s == turn.start_s]
        assert len(here) >= 2
        assert [event.at_s for event in here] == sorted({event.at_s for event in here})
        assert all(turn.start_s < event.at_s <= turn.end_s for event in here)
        assert {event.speaker for event in here} == {line["speaker"]}
        assert all(recorder.events.index(event) < recorder.events.index(turn) for event in here)
    for event in provisional(recorder):
        assert (event.site, event.session, event.channel) == ("kitchen", recorder.events[0].session, 1)
        assert event.confidence == event.probabilities[event.emotion] == max(event.probabilities.values())
        assert tuple(event.probabilities) == network.labels
        assert sum(event.probabilities.values()) == pytest.approx(1.0, abs=1e-3)
        assert event.uncertain == (event.doubt is not None or event.confidence < 0.9)  # the voice is all there is


def test_they_change_nothing_of_what_is_found_in_the_end(network: EmotionNetwork, stereo: Samples) -> None:
    found = []
    for wanted in (False, True):
        recorder = track(network, stereo[: 15 * SAMPLE_RATE], provisional=wanted, speculate=wanted)
        turns = [event for event in recorder.events if isinstance(event, Turn)]
        found.append([turn.model_dump(exclude={"session", "time", "latency_ms"}) for turn in turns])
        assert bool(provisional(recorder)) is wanted
    assert found[0] == found[1]


def test_each_channel_has_its_own(network: EmotionNetwork, stereo: Samples) -> None:
    recorder = track(network, stereo[: 7 * SAMPLE_RATE], provisional=True)
    assert {(event.channel, event.speaker) for event in provisional(recorder)} == {(1, "channel 1"), (2, "channel 2")}


def test_there_are_none_while_the_models_have_anything_else_to_do(
    network: EmotionNetwork, stereo: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "is_idle", property(lambda _: False))
    recorder = Recorder()
    source = ScriptedSource(chunks(mono(stereo[: 8 * SAMPLE_RATE])))
    asyncio.run(session(source, network, recorder, provisional=True).run())
    assert recorder.turns
    assert not provisional(recorder)


def test_a_room_full_of_talk_leaves_the_encoder_to_turns_that_have_ended(
    network: EmotionNetwork, stereo: Samples
) -> None:
    """However many ask, looks at turns under way take a fifth of the time."""

    async def look_twice() -> tuple[float, float]:
        engine, voice = Engine(network, None), mono(stereo)[SAMPLE_RATE : 4 * SAMPLE_RATE, 0].copy()
        began = time.perf_counter()
        await engine.estimate_so_far(engine.scorer.new_context(), voice, None)
        first_s = time.perf_counter() - began
        while not engine.is_idle:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.001)
        engine.close()
        return first_s, time.perf_counter() - began

    first_s, until_next_s = asyncio.run(look_twice())
    assert until_next_s >= 4.5 * first_s


def test_a_look_that_comes_too_late_is_not_sent(
    network: EmotionNetwork, stereo: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turn ends while it is looked at: what was seen of it is no news any more."""
    recorder, ended = Recorder(), asyncio.Event()
    look = Engine.estimate_so_far

    async def slow(*asked: Any) -> Any:
        found = await look(*asked)
        await ended.wait()
        return found

    monkeypatch.setattr(Engine, "estimate_so_far", slow)
    recorder = Recorder(lambda event: ended.set() if isinstance(event, Turn) else None)
    live = session(ScriptedSource(chunks(mono(stereo[: 5 * SAMPLE_RATE]))), network, recorder, provisional=True)
    asyncio.run(live.run())
    first = recorder.turns[0]
    assert all(event.start_s > first.start_s for event in provisional(recorder))
