"""Microphone and computer as two channels on one clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import numpy as np
import pytest

from emotrack.tracker.audio import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    AudioChunk,
    Samples,
    SourceItem,
    SourceLost,
    SourceRestored,
)
from emotrack.tracker.errors import SourceError
from emotrack.tracker.events import SourceRestoredEvent
from emotrack.tracker.session.event_making import source_event
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.sources import call
from emotrack.tracker.sources.call import HEAD_START_S, PATIENCE_S, Call
from emotrack.tracker.sources.devices import InputDevice
from emotrack.tracker.sources.echo import DELAY
from emotrack.tracker.sources.microphone import Microphone
from tests.tracker.scripted import ScriptedSource

HEAD_START = round(HEAD_START_S * SAMPLE_RATE)
PATIENCE = round(PATIENCE_S * SAMPLE_RATE)


class Device(ScriptedSource):
    """Delivers what it is given, and then nothing more, as a device does that is still open."""

    def __init__(self, items: Sequence[SourceItem | Exception], name: str) -> None:
        super().__init__([*items], lossless=False)
        self.name = name
        self.has_said_all = asyncio.Event()

    async def items(self) -> AsyncGenerator[SourceItem, None]:
        async for item in super().items():
            yield item
        self.has_said_all.set()
        await asyncio.Event().wait()


def test_neither_microphone_of_a_call_holds_quiet_sound_that_the_other_would_wait_for() -> None:
    device = InputDevice(0, "Fake", "Test", 1, SAMPLE_RATE, is_default=True)
    alone, *both = (Microphone(device) for _ in range(3))
    Call(*both)
    assert [source.holds_quiet for source in (alone, *both)] == [True, False, False]


def chunks(samples: Samples, start: int = 0) -> list[SourceItem]:
    frames = range(0, len(samples), FRAME_SAMPLES)
    return [AudioChunk(samples[at : at + FRAME_SAMPLES, None], start + at) for at in frames]


def hear(
    microphone: Sequence[SourceItem | Exception] | Device, system: Sequence[SourceItem | Exception] | Device
) -> list[SourceItem]:
    """All that comes before nothing comes for a while."""

    async def run() -> list[SourceItem]:
        items = []
        mic = microphone if isinstance(microphone, Device) else Device(microphone, "mic")
        out = system if isinstance(system, Device) else Device(system, "out")
        stream = Call(mic, out).items()
        try:
            while True:
                items.append(
                    await asyncio.wait_for(asyncio.shield(pending := asyncio.ensure_future(anext(stream))), 0.3)
                )
        except TimeoutError:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
            await stream.aclose()
        return items

    return asyncio.run(run())


def joined(items: list[SourceItem]) -> Samples:
    heard = [item for item in items if isinstance(item, AudioChunk)]
    assert [chunk.start for chunk in heard] == [0, *(chunk.end for chunk in heard[:-1])]
    return np.concatenate([chunk.samples for chunk in heard])


def noise(samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32) * np.float32(0.1)


def test_both_devices_are_on_one_clock_and_what_is_played_is_ahead() -> None:
    said, played = noise(40 * FRAME_SAMPLES), np.zeros(40 * FRAME_SAMPLES, np.float32)
    heard = joined(hear(chunks(said, 7_000), chunks(played, 123)))
    late = HEAD_START + DELAY
    assert len(heard) >= len(said)
    np.testing.assert_allclose(heard[late : len(said), 0], said[: len(said) - late], atol=1e-6)
    assert np.abs(heard[:late, 0]).max() < 1e-6


def test_a_device_that_delivers_nothing_is_silent_and_the_other_one_is_heard() -> None:
    played = noise(100 * FRAME_SAMPLES)
    items = hear([SourceLost("unplugged")], chunks(played))
    assert SourceLost("unplugged") in items
    heard = joined(items)
    assert len(played) - PATIENCE - FRAME_SAMPLES <= len(heard) <= len(played)
    assert not heard[:, 0].any()
    np.testing.assert_array_equal(heard[:, 1], played[: len(heard)])


def test_a_device_that_comes_back_is_told_at_the_time_of_the_one_that_was_heard_meanwhile() -> None:
    class Stuttering(Device):
        async def items(self) -> AsyncGenerator[SourceItem, None]:
            yield SourceLost("unplugged")
            await out.has_said_all.wait()
            await asyncio.sleep(0.1)
            yield SourceRestored(2.0)
            await asyncio.Event().wait()

    out = Device(chunks(noise(PATIENCE + 32 * FRAME_SAMPLES)), "out")
    items = hear(Stuttering([], "mic"), out)
    lost, restored = (place for place, item in enumerate(items) if not isinstance(item, AudioChunk))
    assert len(joined(items[lost:restored])) == 32 * FRAME_SAMPLES
    told = items[restored]
    assert isinstance(told, SourceRestored)
    event = source_event(LiveStatus(site="desk", stream_s=32 * FRAME_SAMPLES / SAMPLE_RATE), told)
    assert isinstance(event, SourceRestoredEvent)
    assert event.at_s == pytest.approx(2.0)
    assert event.seconds_lost == 2.0


def test_lost_audio_is_silence_and_what_follows_is_in_its_place() -> None:
    played = noise(60 * FRAME_SAMPLES)
    gap = slice(20 * FRAME_SAMPLES, 25 * FRAME_SAMPLES)
    heard = joined(
        hear(chunks(np.zeros_like(played)), chunks(played[: gap.start]) + chunks(played[gap.stop :], gap.stop))
    )
    expected = played.copy()
    expected[gap] = 0
    np.testing.assert_array_equal(heard[:, 1], expected[: len(heard)])


def test_what_comes_too_late_is_left_out_and_a_clock_that_fell_behind_is_set_anew() -> None:
    track, heard = call._Track(0), noise(3 * FRAME_SAMPLES)
    first, second, third = (AudioChunk(heard[at : at + FRAME_SAMPLES, None], at) for at in (0, 512, 1024))
    track.put(first)
    np.testing.assert_array_equal(track.take(712), np.append(heard[:512], np.zeros(200, np.float32)))
    track.put(second)
    np.testing.assert_array_equal(track.take(2000)[:312], heard[712:1024])
    track.put(third)
    np.testing.assert_array_equal(track.take(512), heard[1024:])


def test_a_device_with_a_slower_clock_catches_up() -> None:
    """It delivers 6 % less, as if hours were seconds."""
    rounds, less = 600, FRAME_SAMPLES - 32
    said, played = noise(rounds * less), noise(rounds * FRAME_SAMPLES, 1)
    slow: list[SourceItem] = [AudioChunk(said[n * less : (n + 1) * less, None], n * less) for n in range(rounds)]
    behind = len(played) - len(joined(hear(slow, chunks(played))))
    assert behind < 0.5 * SAMPLE_RATE < rounds * 32 - HEAD_START  # what it would be


def test_a_device_that_cannot_be_opened_ends_the_call() -> None:
    with pytest.raises(SourceError, match="busy"):
        hear([SourceError("busy")], chunks(noise(FRAME_SAMPLES)))
