"""From PortAudio's real-time thread to the event loop, through a bounded queue that drops the oldest."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from emotrack.tracker.audio import Samples
from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources.devices import InputDevice, portaudio

BLOCK_S = 0.032  # what the device is asked for at a time
QUEUE_BLOCKS = 128  # about 4 s
USUAL_RATES = (48_000, 44_100, 16_000)  # Hz, tried in turn where a device refuses its own default rate
INVALID_SAMPLE_RATE = -9997  # PortAudio's paInvalidSampleRate


@dataclass(frozen=True, slots=True)
class Block:
    """What one callback delivered."""

    number: int
    """Counts every block since the device was opened, also those that were dropped."""
    first_frame: int
    """Index of its first sample, counted likewise, at the rate of the device."""
    samples: Samples
    """(samples, channels)"""
    heard_at: float
    """Monotonic time of the callback, in seconds."""
    overflowed: bool
    """The device lost audio before this block."""


class BlockQueue:
    """Takes blocks from any thread and hands them to one reader on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._blocks: deque[Block] = deque(maxlen=QUEUE_BLOCKS)
        self._arrived = asyncio.Event()
        self._waking = False
        self._count = 0
        self._frames = 0

    def put(self, samples: Samples, overflowed: bool) -> None:
        """Called on the real-time thread: copies, and wakes the loop unless that is under way."""
        block = Block(self._count, self._frames, samples.copy(), time.monotonic(), overflowed)
        self._count += 1
        self._frames += len(samples)
        self._blocks.append(block)  # atomic; at its bound the deque lets go of the oldest
        if not self._waking:
            self._waking = True
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._arrived.set)

    async def get(self, timeout_s: float) -> Block | None:
        """The oldest block, or None when none comes within ``timeout_s`` seconds."""
        while True:
            self._arrived.clear()
            self._waking = False
            if self._blocks:  # looked at after the flags are down, so that no block is overlooked
                return self._blocks.popleft()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                return None


class Capture:
    """One PortAudio input stream. ``open`` and ``close`` block for a moment: not for the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.blocks = BlockQueue(loop)
        self.rate = 0
        """Hz, known once open."""
        self._stream: Any = None

    def open(self, device: InputDevice, channels: int) -> None:
        """Start recording at the device's default rate. Raises SourceError."""
        audio = portaudio()
        rates = dict.fromkeys((device.default_rate, *USUAL_RATES))
        for rate in rates:
            try:
                self._stream = audio.InputStream(
                    device=device.index,
                    channels=channels,
                    samplerate=rate,
                    blocksize=round(rate * BLOCK_S),
                    dtype="float32",
                    latency="high",
                    callback=self._callback,
                )
                self.rate = rate
                self._stream.start()
                return
            except audio.PortAudioError as error:
                self.close()
                failure = error
                if len(error.args) < 2 or error.args[1] != INVALID_SAMPLE_RATE:
                    break
        raise SourceError(f"cannot record from {device.name!r}: {failure.args[0]}")

    @property
    def running(self) -> bool:
        """False once the device has given up by itself."""
        return self._stream is not None and bool(self._stream.active)

    def close(self) -> None:
        """Stop recording; does nothing when it is not."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(portaudio().PortAudioError):  # an unplugged device complains about it
                stream.abort()
            with contextlib.suppress(portaudio().PortAudioError):
                stream.close()

    def _callback(self, samples: Samples, _frames: int, _times: Any, status: Any) -> None:
        self.blocks.put(samples, bool(status.input_overflow))
