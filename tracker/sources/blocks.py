"""Audio that a program has in its hands, as a source: blocks of NumPy samples as they come."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import MAX_CHANNELS, SAMPLE_RATE, AudioChunk, Samples
from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources import ROOM, Channels, usual_speakers
from emotrack.tracker.sources.mixing import Mixer
from emotrack.tracker.sources.resampler import Chunker, usable

Block = NDArray[np.float32] | NDArray[np.int16]
"""(samples,) or (samples, channels): float32 nominally in [-1, 1], or int16."""

MIN_RATE: Final = 1_000  # Hz; no less holds speech
MAX_RATE: Final = 768_000  # Hz; the most that audio interfaces offer
MAX_MIXED_CHANNELS: Final = 64
_CHUNK_SAMPLES: Final = SAMPLE_RATE // 10  # 100 ms
_FULL_SCALE: Final = 32_768.0  # of int16


class Blocks:
    """Blocks of samples from an iterator. The iterator is asked for the next block when that is wanted, so that a
    reader that is slower than the audio holds it back, and nothing is lost.

    All blocks have the shape and the type of the first one but for their length, which may change from block to block.
    """

    lossless = True
    dropped_frames = 0
    late_s = 0.0
    elsewhere = ""

    def __init__(
        self,
        blocks: AsyncIterable[Block] | Iterable[Block],
        rate: int,
        *,
        channels: Channels = "mix",
        realtime: bool = False,
        name: str = "blocks",
    ) -> None:
        """Take audio from ``blocks``.

        Args:
            blocks: arrays of (samples,) or (samples, channels), float32 nominally in [-1, 1] or int16.
            rate: their sample rate in Hz, 1,000 to 768,000.
            channels: "mix" hears all channels as one room, "split" takes each for a speaker.
            realtime: whether blocks come as they are spoken; the models then begin with a turn at the pause that may
                be its end, and estimate turns that still go on.
            name: how events call this source.

        Raises:
            SourceError: ``rate`` is no number in these bounds.
        """
        if isinstance(rate, bool) or not isinstance(rate, (int, np.integer)) or not MIN_RATE <= rate <= MAX_RATE:
            raise SourceError(f"{name}: a rate is a whole number of {MIN_RATE} to {MAX_RATE} Hz, not {rate!r}")
        self.name = name
        self.channels = 1
        self.speakers = ROOM
        self.realtime = realtime
        self._blocks = aiter(blocks) if isinstance(blocks, AsyncIterable) else _asynchronous(blocks)
        self._rate = int(rate)
        self._mixer = Mixer() if channels == "mix" else None
        self._first: NDArray[Any] | None = None
        self._position_s = 0.0

    async def open(self) -> None:
        """Wait for the first block, which tells how many channels there are. Raises ``SourceError``."""
        if self._first is not None:
            return
        first = await anext(self._blocks, None)
        if first is None:
            raise SourceError(f"{self.name}: contains no samples")
        self._first = self._checked(first)
        if self._mixer is None:
            self.channels = self._first.shape[1]
            if self.channels > MAX_CHANNELS:
                raise SourceError(f"{self.name}: has {self.channels} channels; at most {MAX_CHANNELS} can be split")
            self.speakers = usual_speakers(self.channels)

    async def items(self) -> AsyncGenerator[AudioChunk, None]:
        """Chunks of 100 ms. Raises ``SourceError`` at a block that is none, after what came before it."""
        await self.open()
        chunker = Chunker(self.channels, _CHUNK_SAMPLES)
        broken: SourceError | None = None
        async with aclosing(self._all()) as blocks:
            try:
                async for block in blocks:
                    for begin in range(0, len(block), self._rate):  # a second at a time, however long a block is
                        for chunk in chunker.push(self._samples(block[begin : begin + self._rate]), self._rate):
                            yield chunk
            except SourceError as error:
                broken = error
        for chunk in chunker.flush():
            yield chunk
        if broken:
            raise broken

    async def _all(self) -> AsyncGenerator[NDArray[Any], None]:
        """(samples, channels) each, the first one included."""
        if self._first is not None:
            yield self._first
        try:
            async for block in self._blocks:
                yield self._checked(block)
        finally:
            if isinstance(self._blocks, AsyncGenerator):
                await self._blocks.aclose()

    def _checked(self, block: Any) -> NDArray[Any]:
        """``block`` as (samples, channels), of the first block's type and channels."""
        where = f"{self.name}: the block at {self._position_s:.1f} s"
        if not isinstance(block, np.ndarray) or block.dtype not in {np.dtype(np.float32), np.dtype(np.int16)}:
            found = block.dtype if isinstance(block, np.ndarray) else type(block).__name__
            raise SourceError(f"{where} is {found}; blocks are NumPy arrays of float32 or int16")
        if block.ndim not in {1, 2} or (block.ndim == 2 and not 1 <= block.shape[1] <= MAX_MIXED_CHANNELS):
            raise SourceError(f"{where} has the shape {block.shape}; blocks are (samples,) or (samples, channels)")
        samples = block.reshape(len(block), math.prod(block.shape[1:]))  # (samples, channels)
        if self._first is not None and (samples.dtype, samples.shape[1]) != (self._first.dtype, self._first.shape[1]):
            first = f"{self._first.shape[1]} channels of {self._first.dtype}"
            raise SourceError(f"{where} has {samples.shape[1]} channels of {samples.dtype}; the first had {first}")
        self._position_s += len(samples) / self._rate
        return samples

    def _samples(self, block: NDArray[Any]) -> Samples:
        """(samples, channels) of the blocks -> (samples, channels) of the source."""
        scale = np.float32(1 / _FULL_SCALE if block.dtype == np.int16 else 1)
        samples, _ = usable(block.astype(np.float32) * scale)
        return self._mixer.mix(samples, self._rate) if self._mixer else samples


async def _asynchronous(blocks: Iterable[Block]) -> AsyncIterator[Block]:
    for block in blocks:
        yield block
