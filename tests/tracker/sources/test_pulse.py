"""The devices of a real sound server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, Samples
from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources.microphone import SystemSound
from emotrack.tracker.sources.pulse import find_monitor, list_pulse_devices
from tests.tracker.sources.test_file import write_wave
from tests.tracker.virtual_microphone import CALL, VirtualMicrophone


def test_monitors_are_listed_and_found_by_name(virtual_microphone: VirtualMicrophone) -> None:
    listed = [(device.name, device.server_name, device.default_rate) for device in list_pulse_devices()]
    assert ("Monitor of Headset", "call.monitor", 44_100) in listed
    assert find_monitor("headset").server_name == find_monitor("call").server_name == "call.monitor"
    assert find_monitor(None).server_name == "speakers.monitor"
    with pytest.raises(SourceError, match=r"no output matches 'kitchen'; there are: .*'Monitor of Headset'"):
        find_monitor("kitchen")
    with pytest.raises(SourceError, match=r"several outputs match 'monitor': .*'Monitor of Headset'"):
        find_monitor("monitor")


def test_what_an_output_plays_is_recorded(virtual_microphone: VirtualMicrophone, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    played = (0.2 * random.standard_normal((44_100, 2))).astype(np.float32)
    path = write_wave(tmp_path / "noise.wav", played, 44_100, 2)

    async def record() -> list[Samples]:
        source = SystemSound("headset")
        heard: list[Samples] = []
        stream = source.items()
        async for item in stream:
            assert isinstance(item, AudioChunk)
            if not heard:
                virtual_microphone.play(path, CALL)
            heard.append(item.samples[:, 0])
            if item.end > 2.5 * SAMPLE_RATE:
                break
        await stream.aclose()
        return heard

    heard = np.concatenate(asyncio.run(record()))
    loud = np.flatnonzero(np.abs(heard) > 0.02)
    assert 0.9 < (loud[-1] - loud[0]) / SAMPLE_RATE < 1.1


def test_a_server_that_is_gone_is_waited_for(virtual_microphone: VirtualMicrophone) -> None:
    async def record() -> list[str]:
        kinds: list[str] = []
        stream = SystemSound("headset").items()
        async for item in stream:
            kind = type(item).__name__
            if kind == "AudioChunk" and not kinds:
                await asyncio.to_thread(virtual_microphone.kill)
            if kind == "SourceLost":
                await asyncio.to_thread(virtual_microphone.start)
            kinds.append(kind)
            if kind == "AudioChunk" and "SourceRestored" in kinds:
                break
        await stream.aclose()
        return [kind for number, kind in enumerate(kinds) if kind != "AudioChunk" or number == 0]

    assert asyncio.run(record()) == ["AudioChunk", "SourceLost", "SourceRestored"]


def test_an_output_that_is_gone_is_waited_for_and_no_other_device_heard_in_its_place(
    virtual_microphone: VirtualMicrophone,
) -> None:
    """The server would let the recording go on with whatever is there, such as the microphone."""

    async def record() -> list[str]:
        kinds: list[str] = []
        stream = SystemSound("headset").items()
        async for item in stream:
            kind = type(item).__name__
            if not kinds:
                await asyncio.to_thread(virtual_microphone.unplug, CALL)
            if kind == "SourceLost":
                await asyncio.to_thread(virtual_microphone.plug, CALL, "Headset")
            if kind != (kinds or [""])[-1]:
                kinds.append(kind)
            if kinds[-2:] == ["SourceRestored", "AudioChunk"]:
                break
        await stream.aclose()
        return kinds

    async def within_time() -> list[str]:
        async with asyncio.timeout(30):
            return await record()

    assert asyncio.run(within_time()) == ["AudioChunk", "SourceLost", "SourceRestored", "AudioChunk"]


def test_without_a_server_there_are_none_and_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for server, path in (("unix:/nowhere", None), (None, str(tmp_path))):
        with monkeypatch.context() as patch:
            if server:
                patch.setenv("PULSE_SERVER", server)
            if path:
                patch.setenv("PATH", path)
            assert list_pulse_devices() == []
            with pytest.raises(SourceError, match="pulseaudio-utils"):
                find_monitor(None)
