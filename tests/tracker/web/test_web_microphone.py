"""Audio that comes over a WebSocket, as a source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    AudioChunk,
    Samples,
    SourceItem,
    SourceLost,
    SourceRestored,
)
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.session.live_session import LiveSession
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.web import microphone
from emotrack.tracker.web.messages import AudioFormat
from emotrack.tracker.web.microphone import WebMicrophone
from emotrack.tracker.web.viewer import BAD_MESSAGE
from tests.tracker.mqtt.waiting import until
from tests.tracker.scripted import Recorder, ScriptedRecogniser
from tests.tracker.web.served import ServedPage, hear, say

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pcm(samples: Samples) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def tone(seconds: float, rate: int, channels: int = 1) -> Samples:
    """(samples, channels) of 440 Hz."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


class Hearer:
    """What a source has yielded so far."""

    def __init__(self, source: WebMicrophone) -> None:
        self.items = list[SourceItem]()
        self._task = asyncio.create_task(self._run(source))

    async def _run(self, source: WebMicrophone) -> None:
        async for item in source.items():
            self.items.append(item)

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    @property
    def samples(self) -> Samples:
        chunks = [item.samples for item in self.items if isinstance(item, AudioChunk)]
        return np.concatenate(chunks) if chunks else np.zeros((0, 1), np.float32)


@asynccontextmanager
async def sending(page: ServedPage, **declared: Any) -> AsyncIterator[ClientConnection]:
    """Somebody who may send."""
    async with page.viewer("audio") as connection:
        await say(connection, **{"type": "audio", "rate": 16_000, **declared})
        await hear(connection, "listening")
        yield connection


async def test_it_tells_how_late_what_was_sent_is_heard() -> None:
    source = WebMicrophone()
    with source.sender(AudioFormat(type="audio", rate=16_000)) as sender:
        await sender.put(bytes(2 * FRAME_SAMPLES))
        await asyncio.sleep(0.1)
        stream = source.items()
        await anext(stream)
        assert source.late_s >= 0.1
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        assert source.late_s == 0.0
        waiting.cancel()


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 1), (44_100, 2)])
async def test_what_is_sent_is_heard(rate: int, channels: int) -> None:
    source = WebMicrophone()
    async with ServedPage(source) as page:
        hearer = Hearer(source)
        async with sending(page, rate=rate, channels=channels) as connection:
            sent = tone(1.0, rate, channels)
            for at in range(0, len(sent), rate // 25):
                await connection.send(pcm(sent[at : at + rate // 25]))
            await until(lambda: len(hearer.samples) > 0.9 * SAMPLE_RATE)
        await hearer.close()
    heard = hearer.samples[: SAMPLE_RATE // 2, 0]
    expected = tone(0.5, SAMPLE_RATE)[:, 0]
    assert np.abs(heard - expected)[800:].max() < 0.01


async def test_who_goes_is_lost_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "WATCHDOG_S", 0.1)
    source = WebMicrophone()
    async with ServedPage(source) as page:
        hearer = Hearer(source)
        block = pcm(tone(0.1, 16_000))
        async with sending(page) as connection:
            await connection.send(block)
        await until(lambda: any(isinstance(item, SourceLost) for item in hearer.items))
        async with sending(page, channels=2) as connection:
            await connection.send(pcm(tone(0.1, 16_000, 2)))
            await until(lambda: isinstance(hearer.items[-1], AudioChunk))
        await hearer.close()
    lost, back = (item for item in hearer.items if not isinstance(item, AudioChunk))
    assert lost == SourceLost("a browser's microphone was disconnected")
    assert isinstance(back, SourceRestored)
    assert 0.1 <= back.seconds_lost < 5
    chunks = [item for item in hearer.items if isinstance(item, AudioChunk)]
    gap = max(after.start - before.end for before, after in pairwise(chunks))
    assert gap == round(back.seconds_lost * SAMPLE_RATE), "the clock goes on meanwhile"


async def test_one_sends_at_a_time() -> None:
    async with ServedPage(WebMicrophone()) as page, sending(page):
        async with page.viewer("audio") as connection:
            await say(connection, type="audio", rate=16_000)
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
        assert closed.value.rcvd
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (BAD_MESSAGE, "another microphone is connected")
        async with page.entered() as viewer:
            figures = await hear(viewer, "figures")
            assert figures["microphone"] == "connected"


async def test_who_sends_too_fast_is_made_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "MAX_AHEAD_S", 0.5)
    source = WebMicrophone()
    async with ServedPage(source) as page:
        hearer = Hearer(source)
        async with sending(page) as connection:
            began = asyncio.get_running_loop().time()
            for _ in range(10):
                await connection.send(pcm(tone(0.1, 16_000)))
            await until(lambda: len(hearer.samples) >= 0.96 * SAMPLE_RATE)
            took = asyncio.get_running_loop().time() - began
        await hearer.close()
    assert 0.35 < took < 5
    assert source.dropped_frames == 0


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "whole frames of 4 bytes, not 0"),
        (bytes(6), "whole frames of 4 bytes, not 6"),
        ("text", "samples, in binary messages"),
    ],
)
async def test_what_is_no_audio_is_refused(message: str | bytes, why: str) -> None:
    async with ServedPage(WebMicrophone()) as page, sending(page, channels=2) as connection:
        await connection.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd
        assert why in closed.value.rcvd.reason


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"rate": 100}, "rate"),
        ({"rate": 16_000, "channels": 99}, "channels"),
        ({"rate": 16_000, "format": "f32le"}, "format"),
    ],
)
async def test_a_format_that_is_none_is_refused(declared: dict[str, Any], why: str) -> None:
    async with ServedPage(WebMicrophone()) as page, page.viewer("audio") as connection:
        await say(connection, type="audio", **declared)
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd
        assert closed.value.rcvd.reason.startswith(why)


async def test_a_session_hears_it(network: EmotionNetwork, stereo: Samples) -> None:
    """The first turn of the bundled conversation, sent as a program would."""
    source = WebMicrophone()
    async with ServedPage(source) as page:
        recorder, engine = Recorder(), Engine(network, ScriptedRecogniser())
        controls = Controls(page.status, network.labels)
        live = LiveSession(source, engine, [page.site, recorder], controls, SessionOptions())
        session = asyncio.create_task(live.run())
        async with page.entered() as viewer, sending(page) as connection:
            speech = stereo[: 4 * SAMPLE_RATE].mean(axis=1)
            for at in range(0, len(speech), 1600):
                await connection.send(pcm(speech[at : at + 1600]))
            event = await hear(viewer, lambda each: each["type"] == "events" and each["events"][-1]["type"] == "turn")
        controls.stop()
        await session
        engine.close()
    assert event["events"][-1]["text"] == "Good morning."
    assert recorder.types[0] == "session_started"
    assert recorder.turns[0].turn_id == 1
