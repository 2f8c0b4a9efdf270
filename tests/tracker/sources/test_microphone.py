"""A real PortAudio stream from a virtual microphone, and faults that only a fake device can bring about."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, Samples, SourceItem, SourceLost, SourceRestored
from emotrack.tracker.errors import SourceError
from emotrack.tracker.messages import notices as messages
from emotrack.tracker.messages.notices import Notice, NoticeBoard
from emotrack.tracker.sources import capture, microphone
from emotrack.tracker.sources.capture import Capture
from emotrack.tracker.sources.devices import InputDevice, list_devices
from emotrack.tracker.sources.microphone import Microphone
from tests.tracker.sources.test_file import write_wave
from tests.tracker.virtual_microphone import VirtualMicrophone

RATE = 48_000


@pytest.fixture
def plugged_in(virtual_microphone: VirtualMicrophone) -> VirtualMicrophone:
    """The virtual microphone, seen by the PortAudio of this process."""
    list_devices(refresh=True)
    return virtual_microphone


def sweep(seconds: float) -> Samples:
    """From 200 Hz to 3 kHz on the left, a 500 Hz tone on the right."""
    t = np.arange(round(seconds * RATE)) / RATE
    left = np.sin(2 * np.pi * (200 * t + (2800 / seconds) * t**2 / 2))
    return (0.5 * np.stack([left, np.sin(2 * np.pi * 500 * t)], 1)).astype(np.float32)


async def record(source: Microphone, seconds: float, when_heard: Callable[[], Any]) -> list[SourceItem]:
    """What comes until ``seconds`` of stream time after the first item; ``when_heard`` is called on that one."""
    items: list[SourceItem] = []
    stream = source.items()
    async for item in stream:
        if not items:
            await asyncio.to_thread(when_heard)
        items.append(item)
        if isinstance(item, AudioChunk) and item.end > seconds * SAMPLE_RATE:
            break
    await stream.aclose()
    return items


def joined(items: list[SourceItem]) -> Samples:
    return np.concatenate([item.samples for item in items if isinstance(item, AudioChunk)])


@pytest.mark.parametrize("channels", ["mix", "split"])
def test_hears_what_is_played(plugged_in: VirtualMicrophone, tmp_path: Path, channels: Literal["mix", "split"]) -> None:
    played = sweep(2.0)
    path = write_wave(tmp_path / "sweep.wav", played, RATE, 2)
    source = Microphone("desk", channels)
    assert source.name == "desk_microphone"
    items = asyncio.run(record(source, 4.0, lambda: plugged_in.play(path)))
    assert all(isinstance(item, AudioChunk) for item in items)
    heard = joined(items)
    assert heard.shape[1] == source.channels == (1 if channels == "mix" else 2)
    expected = played[::3] if channels == "split" else played[::3].mean(axis=1, keepdims=True)
    for channel in range(source.channels):
        reference = expected[:, channel]
        correlation = np.correlate(heard[:, channel], reference, "valid") / np.sum(reference**2)
        assert 0.9 < correlation.max() < 1.1
    assert source.dropped_frames == 0


def test_names(plugged_in: VirtualMicrophone) -> None:
    assert {device.name for device in list_devices()} == {"desk_microphone", "room_microphone", "default"}
    assert Microphone(None, "mix").name == "default"
    with pytest.raises(SourceError, match=r"desk_microphone.*room_microphone"):
        Microphone("microphone", "mix")
    with pytest.raises(SourceError, match="no microphone matches 'kitchen'"):
        Microphone("kitchen", "mix")


def test_no_input_at_all(plugged_in: VirtualMicrophone) -> None:
    plugged_in.kill()
    assert list_devices(refresh=True) == []
    with pytest.raises(SourceError, match="no microphone found"):
        Microphone(None, "mix")


def test_survives_being_unplugged(plugged_in: VirtualMicrophone, tmp_path: Path) -> None:
    path = write_wave(tmp_path / "sweep.wav", sweep(8.0), RATE, 2)

    async def run() -> tuple[list[SourceItem], float]:
        items: list[SourceItem] = []
        stream = Microphone("room", "mix").items()
        unplugged_at = 0.0
        async for item in stream:
            items.append(item)
            if isinstance(item, SourceLost):
                await asyncio.sleep(1.5)
                await asyncio.to_thread(plugged_in.start)
                plugged_in.play(path)
            elif isinstance(item, SourceRestored):
                took = time.monotonic() - unplugged_at
            elif isinstance(item, AudioChunk) and not unplugged_at and item.end > SAMPLE_RATE:
                await asyncio.to_thread(plugged_in.kill)
                unplugged_at = time.monotonic()
            elif (
                isinstance(item, AudioChunk)
                and any(isinstance(item, SourceRestored) for item in items)
                and item.samples.any()
            ):
                break
        await stream.aclose()
        return items, took

    items, took = asyncio.run(asyncio.wait_for(run(), 40))
    kinds = [type(item) for item in items]
    assert kinds.count(SourceLost) == kinds.count(SourceRestored) == 1
    gap = kinds.index(SourceLost)
    assert kinds[gap + 1] is SourceRestored
    lost, restored, before, after = items[gap], items[gap + 1], items[gap - 1], items[gap + 2]
    assert isinstance(lost, SourceLost)
    assert isinstance(restored, SourceRestored)
    assert isinstance(before, AudioChunk)
    assert isinstance(after, AudioChunk)
    assert "room_microphone" in lost.reason
    assert restored.seconds_lost == pytest.approx(took, abs=1.0)
    assert after.start - before.end == pytest.approx(restored.seconds_lost * SAMPLE_RATE, abs=1)


def test_silence_is_told_once(
    plugged_in: VirtualMicrophone, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    monkeypatch.setattr(microphone, "MUTED_S", 0.5)
    asyncio.run(record(Microphone("desk", "mix"), 2.0, lambda: None))
    assert len(notices) == 1
    assert "muted" in notices[0]


def test_the_notice_of_silence_ends_with_the_silence(
    plugged_in: VirtualMicrophone, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Notice] = []
    source, board = Microphone("desk", "mix"), NoticeBoard()
    silence, speech = np.zeros((RATE, 2), np.float32), sweep(1.0)
    monkeypatch.setattr(messages, "QUIET_S", 0.0)
    with messages.notices_to(told.append):
        for block in (speech, *[silence] * 6, speech, silence, speech, *[silence] * 6, *[speech] * 2):
            source._watch_for_silence(block, RATE)
    assert [notice.holds for notice in told] == [True, False, True, False]
    for notice, shown in zip(told, [told[0].line, None, told[2].line, None], strict=True):
        board.put(notice, 0.0)
        assert board.line(60.0) == shown


def test_the_library_prints_nothing(plugged_in: VirtualMicrophone) -> None:
    """PortAudio complains on the real-time thread when its device disappears; a full screen must not see it."""
    script = """
import asyncio, sys
from emotrack.tracker.audio import AudioChunk
from emotrack.tracker.sources.microphone import Microphone
async def run():
    stream = Microphone(None, "mix").items()
    async for item in stream:
        if not isinstance(item, AudioChunk):
            print(item, flush=True)
            break
        if item.start == 0:
            print("recording", flush=True)
    await stream.aclose()
asyncio.run(run())
print("here", file=sys.stderr)
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "recording\n"
    plugged_in.kill()
    rest, errors = child.communicate(timeout=20)
    assert "SourceLost" in rest
    assert errors == "here\n"


class FakeDevice:
    """Stands in for PortAudio: a thread that calls back as a real one does. ``plugged`` pulls the plug."""

    def __init__(self) -> None:
        self.plugged = threading.Event()
        self.plugged.set()
        self.opened = 0
        self.overflows = 0

    def open(self, hearing: Capture, device: InputDevice, channels: int) -> None:
        if not self.plugged.is_set():
            raise SourceError("gone")
        self.opened += 1
        hearing.rate = device.default_rate
        hearing._stream = self
        threading.Thread(target=self._call_back, args=(hearing, channels), daemon=True).start()

    def _call_back(self, hearing: Capture, channels: int) -> None:
        frames = round(hearing.rate * 0.032)
        buffer = np.empty((frames, channels), np.float32)
        count = 0
        while self.plugged.is_set() and hearing._stream is self:
            buffer[:] = (count % 1000) / 1000  # the buffer is reused, as PortAudio does
            hearing.blocks.put(buffer, overflowed=count < self.overflows)
            count += 1
            time.sleep(0.004)  # eight times as fast as real time

    active = True

    def abort(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDevice]:
    device = FakeDevice()

    def open_fake(hearing: Capture, which: InputDevice, channels: int) -> None:
        device.open(hearing, which, channels)

    listed = InputDevice(0, "Fake", "Test", 32, SAMPLE_RATE, is_default=True)
    monkeypatch.setattr(microphone, "all_inputs", lambda: [listed])
    monkeypatch.setattr(microphone, "list_devices", lambda refresh: [listed] if device.plugged.is_set() else [])
    monkeypatch.setattr(Capture, "open", open_fake)
    yield device
    device.plugged.clear()


def test_a_stalled_reader_loses_the_oldest(fake: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "QUEUE_BLOCKS", 10)

    async def run() -> tuple[Microphone, list[AudioChunk]]:
        source = Microphone(None, "mix")
        stream: AsyncIterator[SourceItem] = source.items()
        chunks = []
        async for item in stream:
            assert isinstance(item, AudioChunk)
            chunks.append(item)
            if len(chunks) == 5:
                time.sleep(0.3)  # noqa: ASYNC251 - the whole loop stands still
            if len(chunks) == 12:
                await asyncio.sleep(0.3)  # only the reader does
            if len(chunks) == 40:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return source, chunks

    source, chunks = asyncio.run(run())
    gaps = [after.start - before.end for before, after in itertools.pairwise(chunks)]
    assert sum(gap > 0 for gap in gaps) >= 2  # more where the machine itself is slow
    assert all(gap >= 0 for gap in gaps)
    assert sum(gaps) == 512 * source.dropped_frames
    assert source.dropped_frames > 20
    for chunk in chunks:  # every block is where it belongs on the clock
        assert chunk.samples[0, 0] == pytest.approx(chunk.start / 512 % 1000 / 1000, abs=1e-6)


def test_it_tells_how_late_the_device_is_heard(fake: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "WATCHDOG_S", 0.1)

    async def run() -> list[float]:
        source, late_s = Microphone(None, "mix"), list[float]()
        stream = source.items()
        async for item in stream:
            late_s.append(source.late_s)
            if isinstance(item, SourceLost):
                break
            if len(late_s) == 5:
                await asyncio.sleep(0.2)  # the reader is busy
            elif len(late_s) == 10:
                fake.plugged.clear()
        await stream.aclose()
        return late_s

    late_s = asyncio.run(run())
    assert late_s[5] > 0.1
    assert late_s[-1] == 0.0


def test_a_device_that_falls_silent_is_reopened(fake: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "WATCHDOG_S", 0.1)
    monkeypatch.setattr(microphone, "RETRY_S", (0.05,))

    async def run() -> list[SourceItem]:
        items: list[SourceItem] = []
        stream = Microphone("fake", "split").items()
        async for item in stream:
            items.append(item)
            if len(items) == 5:
                fake.plugged.clear()
            elif isinstance(item, SourceLost):
                asyncio.get_running_loop().call_later(0.4, fake.plugged.set)
            elif isinstance(items[-2:][0], SourceRestored):
                break
        await stream.aclose()
        return items

    items = asyncio.run(run())
    restored = next(item for item in items if isinstance(item, SourceRestored))
    assert 0.4 < restored.seconds_lost < 2.0
    assert fake.opened == 2
    assert items[-1].samples.shape[1] == 2  # type: ignore[union-attr]


def test_overflows_of_the_device_are_counted(fake: FakeDevice) -> None:
    fake.overflows = 3
    source = Microphone(None, "mix")
    asyncio.run(record(source, 0.3, lambda: None))
    assert source.dropped_frames == 3


def test_closing_ends_the_threads(fake: FakeDevice) -> None:
    asyncio.run(record(Microphone(None, "mix"), 0.3, lambda: None))
    time.sleep(0.1)
    assert not any(thread.name.startswith("portaudio") for thread in threading.enumerate())
