"""A recording as a source: decoded as it goes, paced as real time or as quick as its reader."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emotrack.tracker.audio import FRAME_SAMPLES, MAX_CHANNELS, SAMPLE_RATE, AudioChunk, Samples
from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources import ONE_CHANNEL, Channels, usual_speakers
from emotrack.tracker.sources.decoder import AudioFile, Decoded, Missing
from emotrack.tracker.sources.mixing import Likeness, Mixer
from emotrack.tracker.sources.resampler import Chunker, usable

_log = logging.getLogger(__name__)

CHUNK_SAMPLES = SAMPLE_RATE // 10  # 100 ms
PACED_SAMPLES = FRAME_SAMPLES  # 32 ms, as of a microphone: the end of speech is noticed as soon
BATCH_ITEMS = 10  # decoded per turn of the worker thread: 1 s; one batch is read, one is decoded ahead

_ALIKE = "its channels hold the same sound: each turn comes once for each; --channels mix hears it once"


class File:
    """A file that PyAV decodes; waits for its reader and loses nothing."""

    lossless = True
    late_s = 0.0

    def __init__(
        self,
        path: str | Path,
        channels: Channels = "mix",
        realtime: bool = False,
        track: int | None = None,
    ) -> None:
        """Decode the beginning of the file to see what it is.

        ``realtime`` paces it as if it were spoken now. ``track``
        is one of the file's audio tracks, counted from 1; without it the file's default is heard.
        Raises SourceError when nothing in it can be decoded, it has no such track or too many channels to split.
        """
        self.name = str(path)
        self.dropped_frames = 0
        self.unusable_samples = 0
        """Samples that were NaN, infinite or absurdly large, and count as silence."""
        self._path = Path(path)
        self._mix = channels == "mix"
        self.realtime = realtime
        self._track = track
        self._mixer, self._likeness = Mixer(), Likeness()
        with AudioFile(self._path, track) as file:
            self.elsewhere = ", ".join(f"--track {n}" for n in range(1, file.tracks + 1) if n != file.track)
            first = next((piece for piece in file.read() if isinstance(piece, Decoded)), None)
        if first is None:
            raise SourceError(f"{path}: contains no samples")
        self.channels = 1 if self._mix else first.samples.shape[1]
        if self.channels > MAX_CHANNELS:
            raise SourceError(
                f"{path}: has {self.channels} channels; --channels split takes at most {MAX_CHANNELS}, "
                "--channels mix any number"
            )
        self.speakers = usual_speakers(self.channels)

    async def items(self) -> AsyncGenerator[AudioChunk, None]:
        """Chunks of 100 ms, or of 32 ms where they are paced, and longer ones of what is quiet.

        Raises SourceError at the end of what could be decoded if the file breaks off.
        """
        loop = asyncio.get_running_loop()
        worker = ThreadPoolExecutor(1, thread_name_prefix="decoder")
        batches = self._batches()
        ahead = loop.run_in_executor(worker, next, batches, None)
        began: float | None = None
        try:
            while (batch := await ahead) is not None:
                ahead = loop.run_in_executor(worker, next, batches, None)
                for item in batch:
                    if isinstance(item, str):
                        _log.warning("%s", item)
                        continue
                    if began is None:  # nobody waits for audio that begins later than its container
                        began = time.monotonic() - item.start / SAMPLE_RATE
                    if self.realtime:  # always measured from the beginning, so that no delay adds up
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
        size = PACED_SAMPLES if self.realtime else CHUNK_SAMPLES
        chunker = Chunker(self.channels, size, holds_quiet=self.realtime)
        self._mixer, self._likeness = Mixer(), Likeness()
        self.unusable_samples = 0
        told: set[str] = set()  # reasons for which something is missing
        broken: SourceError | None = None
        with AudioFile(self._path, self._track) as file:
            for remark in self._remarks(file):
                yield f"{self._path.name}: {remark}"
            try:
                for piece in file.read():
                    second = chunker.position / SAMPLE_RATE
                    if isinstance(piece, Missing):
                        if piece.why != "early":
                            yield from chunker.skip(piece.seconds)
                        if piece.why not in told:
                            told.add(piece.why)
                            yield f"{self._path.name}: {_explain(piece, second)}"
                        continue
                    samples, unusable = usable(piece.samples)
                    if unusable and not self.unusable_samples:
                        yield f"{self._path.name}: samples that are no numbers from {second:.1f} s on; taken as silence"
                    self.unusable_samples += unusable
                    samples, doubt = self._arrange(samples, piece.rate, second)
                    if doubt:
                        yield f"{self._path.name}: {doubt}"
                    yield from chunker.push(samples, piece.rate)
            except SourceError as error:
                broken = error
            yield from chunker.flush()
            if broken:
                raise broken

    def _remarks(self, file: AudioFile) -> Iterator[str]:
        yield from file.remarks(chosen=self._track is not None)
        if not self._mix and self.channels == 1:
            yield ONE_CHANNEL

    def _arrange(self, samples: Samples, rate: int, second: float) -> tuple[Samples, str | None]:
        """(samples, channels of the file) -> (samples, channels of the source), and what is to be said of them."""
        if self._mix:
            return self._mixer.mix(samples, rate), self._mixer.remark
        if samples.shape[1] != self.channels:
            raise SourceError(
                f"{self.name}: goes from {self.channels} to {samples.shape[1]} channels at {second:.1f} s, "
                "which --channels split cannot follow"
            )
        return samples, _ALIKE if self._likeness.is_found(samples, rate) else None


def _explain(piece: Missing, second: float) -> str:
    """What is missing where the clock stands at ``second``."""
    match piece.why:
        case "late":
            return f"the sound begins at {second + piece.seconds:.1f} s of the file, whose clock is kept"
        case "gap":
            return f"no sound from {second:.1f} to {second + piece.seconds:.1f} s, paused or damaged; the clock goes on"
        case "damage":
            return f"damaged at {second:.1f} s; what cannot be decoded is left out"
        case "early":
            return f"{piece.seconds:.1f} s of it lie before the beginning of the file's clock and are left out"
