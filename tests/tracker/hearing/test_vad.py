"""Frames judged together: the same as each by itself."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Sequence

import numpy as np
import pytest

from emotrack.tracker.audio import FRAME_SAMPLES, Samples
from emotrack.tracker.hearing.vad import GATHER_S, MANY, MAX_TOGETHER, Detecting, VoiceActivityDetector
from tests.tracker.kitchen_table import samples

FRAMES = 60


def channels(count: int) -> list[list[Samples]]:
    """As many channels, each from another place of the bundled conversation on, in frames."""
    mono = samples().mean(axis=1)
    starts = [7_000 * (number + 1) for number in range(count)]
    return [
        [mono[at : at + FRAME_SAMPLES] for at in range(start, start + FRAMES * FRAME_SAMPLES, FRAME_SAMPLES)]
        for start in starts
    ]


async def _listen(detecting: Detecting, frames: Sequence[Samples]) -> list[float]:
    detector = VoiceActivityDetector()
    return [await detecting.probability(detector, frame) for frame in frames]


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames are judged at a time, from now on."""
    together: list[int] = []
    judge = VoiceActivityDetector.probabilities

    def count(detectors: Sequence[VoiceActivityDetector], frames: Sequence[Samples]) -> list[float]:
        together.append(len(frames))
        return judge(detectors, frames)

    monkeypatch.setattr(VoiceActivityDetector, "probabilities", staticmethod(count))
    return together


def test_many_channels_together(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = channels(MAX_TOGETHER + 8)
    expected = [
        [detector.probability(frame) for frame in frames] for frames in heard for detector in [VoiceActivityDetector()]
    ]
    together = _counted(monkeypatch)

    async def listen() -> list[list[float]]:
        detecting = Detecting()
        return await asyncio.gather(*(_listen(detecting, frames) for frames in heard))

    np.testing.assert_allclose(asyncio.run(listen()), expected, atol=1e-5)
    assert set(together) == {MAX_TOGETHER, 8}


class NeverWaiting(selectors.DefaultSelector):
    """Has a clock of its own, which goes to when the next timer is due instead of waiting for it."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += max(0.0, timeout or 0.0)
        return super().select(0)


def simulated_time() -> asyncio.AbstractEventLoop:
    """An event loop whose sleeps cost nothing and whose timers are in order, however busy the machine is."""
    selector = NeverWaiting()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now_s  # type: ignore[method-assign]
    return loop


def test_frames_of_many_channels_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = channels(MANY)
    together = _counted(monkeypatch)

    async def listen(count: int) -> None:
        detecting = Detecting()

        async def paced(number: int, frames: Sequence[Samples]) -> None:
            detector = VoiceActivityDetector()
            for place, frame in enumerate(frames[:5]):
                if place > 0:
                    await asyncio.sleep(GATHER_S * number / MANY)  # each comes a little after the last
                await detecting.probability(detector, frame)

        await asyncio.gather(*(paced(number, frames) for number, frames in enumerate(heard[:count])))

    with asyncio.Runner(loop_factory=simulated_time) as runner:
        runner.run(listen(MANY))
        assert together == [MANY] * 5, "many wait for each other"
        together.clear()
        runner.run(listen(1))
    assert together == [1] * 5, "nobody else is there to wait for"


def test_who_no_longer_waits_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = channels(2)
    together = _counted(monkeypatch)

    async def listen() -> list[float]:
        detecting = Detecting()
        gone = asyncio.ensure_future(_listen(detecting, first))
        stays = asyncio.ensure_future(_listen(detecting, second[:3]))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert len(asyncio.run(listen())) == 3
    assert together == [1, 1, 1]


def test_a_model_that_fails_is_told_to_everybody_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_detectors: object, _frames: object) -> list[float]:
        raise RuntimeError("no more memory")

    monkeypatch.setattr(VoiceActivityDetector, "probabilities", staticmethod(fail))

    async def listen() -> list[list[float] | BaseException]:
        detecting = Detecting()
        asking = (_listen(detecting, frames) for frames in channels(2))
        return await asyncio.gather(*asking, return_exceptions=True)

    assert [str(error) for error in asyncio.run(listen())] == ["no more memory"] * 2
