"""A browser, or a program, as the microphone: samples that come over a WebSocket, as a source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from emotrack.tracker.audio import FRAME_SAMPLES, Samples, SourceItem, SourceLost, SourceRestored
from emotrack.tracker.sources import ROOM
from emotrack.tracker.sources.mixing import Mixer
from emotrack.tracker.sources.resampler import Chunker
from emotrack.tracker.web.messages import AudioFormat

WATCHDOG_S: Final = 2.0  # without samples the microphone counts as lost
MAX_AHEAD_S: Final = 10.0  # that samples may come before their time; who sends faster than that is made to wait
MAX_WAITING: Final = 64  # messages that wait for the session; then the sender waits
_FULL_SCALE: Final = 32_768.0  # of int16


class SamplesError(Exception):
    """Samples that are none, in one line."""


@dataclass(frozen=True, slots=True)
class _SentBlock:
    samples: Samples
    """(samples, channels)"""
    rate: int
    sender: int
    """Counts those who have sent."""
    heard_at: float
    """Seconds, ``time.monotonic``."""


class WebMicrophone:
    """Waits for somebody who sends, and for the next one when they have gone; one at a time."""

    name = "a browser's microphone"
    channels = 1
    speakers = ROOM
    elsewhere = ""
    lossless = False
    realtime = True
    dropped_frames = 0  # none: who sends too fast waits

    def __init__(self) -> None:
        self.is_connected = False
        """Whether somebody sends."""
        self.late_s = 0.0
        self._blocks: asyncio.Queue[_SentBlock] = asyncio.Queue(MAX_WAITING)
        self._senders = 0

    @contextmanager
    def sender(self, sent: AudioFormat) -> Iterator[AudioSender]:
        """Whoever sends, for as long as they do. Raises ``SamplesError`` where somebody else does already."""
        if self.is_connected:
            raise SamplesError("another microphone is connected")
        self._senders += 1
        self.is_connected = True
        try:
            yield AudioSender(sent, self._senders, self._blocks)
        finally:
            self.is_connected = False

    async def items(self) -> AsyncGenerator[SourceItem, None]:
        """Chunks of 32 ms, longer ones of what is quiet, from when somebody sends."""
        chunker, mixer = Chunker(self.channels, FRAME_SAMPLES, holds_quiet=True), Mixer()
        latest: _SentBlock | None = None
        while True:
            block = await self._next(None if latest is None else WATCHDOG_S)
            if block is None:
                for chunk in chunker.flush():
                    yield chunk
                yield SourceLost(f"{self.name} {'sends nothing' if self.is_connected else 'was disconnected'}")
                block = await self._blocks.get()
                yield SourceRestored(_lost_s(latest, block))
            if latest is not None and block.sender != latest.sender:
                mixer = Mixer()
                for chunk in chunker.skip(_lost_s(latest, block)):
                    yield chunk
            for chunk in chunker.push(mixer.mix(block.samples, block.rate), block.rate):
                yield chunk
            latest = block

    async def _next(self, within_s: float | None) -> _SentBlock | None:
        self.late_s = 0.0
        try:
            async with asyncio.timeout(within_s):
                block = await self._blocks.get()
        except TimeoutError:
            return None
        self.late_s = time.monotonic() - block.heard_at
        return block


def _lost_s(latest: _SentBlock | None, block: _SentBlock) -> float:
    """What was said between two senders; what one sender had to hold back still comes."""
    return max(0.0, block.heard_at - latest.heard_at) if latest and block.sender != latest.sender else 0.0


class AudioSender:
    """One who sends samples."""

    def __init__(self, sent: AudioFormat, number: int, blocks: asyncio.Queue[_SentBlock]) -> None:
        self._sent = sent
        self._number = number
        self._blocks = blocks
        self._began = time.monotonic()
        self._sent_s = 0.0

    async def put(self, pcm: bytes) -> None:
        """Take the samples of a message, when it is time for them. Raises ``SamplesError``."""
        sent = self._sent
        if not pcm or len(pcm) % (2 * sent.channels):
            raise SamplesError(f"a message has whole frames of {2 * sent.channels} bytes, not {len(pcm)} bytes")
        ahead_s = self._sent_s - (time.monotonic() - self._began)
        if ahead_s > MAX_AHEAD_S:
            await asyncio.sleep(ahead_s - MAX_AHEAD_S)
        elif ahead_s < 0:  # silence on the line earns nothing
            self._began -= ahead_s
        samples = np.frombuffer(pcm, "<i2").reshape(-1, sent.channels).astype(np.float32) / np.float32(_FULL_SCALE)
        self._sent_s += len(samples) / sent.rate
        await self._blocks.put(_SentBlock(samples, sent.rate, self._number, time.monotonic()))
