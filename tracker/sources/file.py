"""A recording as a source: decoded as it goes, paced as real time or as quick as its reader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emotrack.tracker.audio import MAX_CHANNELS, SAMPLE_RATE, AudioChunk, Samples
from emotrack.tracker.errors import SourceError
from emotrack.tracker.resampler import Chunker, mixed, usable
from emotrack.tracker.sources import Channels
from emotrack.tracker.sources.decoder import AudioFile, Damaged, Decoded

CHUNK_SAMPLES = SAMPLE_RATE // 10  # 100 ms
BATCH_ITEMS = 10  # decoded per turn of the worker thread: 1 s; one batch is read, one is decoded ahead


class FileSource:
    """A file that PyAV decodes; waits for its reader and loses nothing."""

    lossless = True

    def __init__(
        self, path: str | Path, channels: Channels, realtime: bool, notify: Callable[[str], None] = lambda _line: None
    ) -> None:
        """Decode the beginning of the file to see what it is.

        ``realtime`` paces it as if it were spoken now. ``notify`` gets one-line notices, on the event loop.
        Raises SourceError when nothing in it can be decoded or it has too many channels to split.
        """
        self.name = str(path)
        self.dropped_frames = 0
        self.unusable_samples = 0
        """Samples that were NaN, infinite or absurdly large, and count as silence."""
        self._path = Path(path)
        self._mix = channels == "mix"
        self._realtime = realtime
        self._notify = notify
        with AudioFile(self._path) as file:
            first = next((piece for piece in file.read() if isinstance(piece, Decoded)), None)
        if first is None:
            raise SourceError(f"{path}: contains no samples")
        self.channels = 1 if self._mix else first.samples.shape[1]
        if self.channels > MAX_CHANNELS:
            raise SourceError(
                f"{path}: has {self.channels} channels; --channels split takes at most {MAX_CHANNELS}, "
                "--channels mix any number"
            )

    async def items(self) -> AsyncGenerator[AudioChunk, None]:
        """Chunks of 100 ms. Raises SourceError at the end of what could be decoded if the file breaks off."""
        loop = asyncio.get_running_loop()
        worker = ThreadPoolExecutor(1, thread_name_prefix="decoder")
        batches = self._batches()
        ahead = loop.run_in_executor(worker, next, batches, None)
        began: float | None = None
        try:
            while (batch := await ahead) is not None:
                ahead = loop.run_in_executor(worker, next, batches, None)
                if began is None:
                    began = time.monotonic()
                for item in batch:
                    if isinstance(item, str):
                        self._notify(item)
                        continue
                    if self._realtime:  # always measured from the beginning, so that no delay adds up
                        await asyncio.sleep(max(0.0, began + item.end / SAMPLE_RATE - time.monotonic()))
                    yield item
        finally:
            if not ahead.cancel() and not ahead.cancelled():
                ahead.exception()  # seen, if nobody else did
            await loop.run_in_executor(worker, batches.close)
            worker.shutdown(wait=False)

    def _batches(self) -> Generator[list[AudioChunk | str]]:
        """Chunks and notices, several at a time; runs in the worker thread."""
        batch: list[AudioChunk | str] = []
        broken: SourceError | None = None
        try:
            for item in self._decode():
                batch.append(item)
                if len(batch) >= BATCH_ITEMS:
                    yield batch
                    batch = []
        except SourceError as error:
            broken = error
        if batch:
            yield batch
        if broken:
            raise broken

    def _decode(self) -> Iterator[AudioChunk | str]:
        chunker = Chunker(self.channels, CHUNK_SAMPLES)
        self.unusable_samples = 0
        damaged = False
        broken: SourceError | None = None
        with AudioFile(self._path) as file:
            try:
                for piece in file.read():
                    second = chunker.position / SAMPLE_RATE
                    if isinstance(piece, Damaged):
                        yield from chunker.skip(piece.seconds)
                        if not damaged:
                            yield f"{self.name}: damaged at {second:.1f} s; what cannot be decoded is left out"
                        damaged = True
                        continue
                    samples, unusable = usable(piece.samples)
                    if unusable and not self.unusable_samples:
                        yield f"{self.name}: samples that are no numbers from {second:.1f} s on; taken as silence"
                    self.unusable_samples += unusable
                    yield from chunker.push(self._arrange(samples, second), piece.rate)
            except SourceError as error:
                broken = error
            yield from chunker.flush()
            if broken:
                raise broken

    def _arrange(self, samples: Samples, second: float) -> Samples:
        """(samples, channels of the file) -> (samples, channels of the source)."""
        if self._mix:
            return mixed(samples)
        if samples.shape[1] != self.channels:
            raise SourceError(
                f"{self.name}: goes from {self.channels} to {samples.shape[1]} channels at {second:.1f} s, "
                "which --channels split cannot follow"
            )
        return samples
