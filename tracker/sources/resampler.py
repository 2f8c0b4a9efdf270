"""From audio at any rate to 16 kHz chunks on one stream clock.

The resampler keeps its state between blocks, so that what comes out does not depend on how the audio was cut up.
"""

from __future__ import annotations

import numpy as np
import soxr

from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, Samples

LOUDEST = 1e6  # full scale is 1; float samples beyond this are something else than audio


def usable(samples: Samples) -> tuple[Samples, int]:
    """The samples with those set to 0 that are NaN, infinite or absurdly large, and how many these are."""
    good = np.abs(samples) < LOUDEST  # false for NaN
    unusable = int(samples.size - np.count_nonzero(good))
    return (np.where(good, samples, np.float32(0)), unusable) if unusable else (samples, 0)


class Chunker:
    """Resamples one continuous stream after another to 16 kHz and cuts it into chunks of equal size.

    ``skip`` marks lost audio: it ends the stream that was under way, and the next one starts later on the clock.
    """

    def __init__(self, channels: int, chunk_samples: int) -> None:
        """Chunks hold ``chunk_samples`` samples at 16 kHz; only the last one before a break is shorter."""
        self.channels = channels
        self.position = 0
        """Stream index at 16 kHz of the next sample to leave."""
        self._chunk_samples = chunk_samples
        self._rate = 0
        self._resampler: soxr.ResampleStream | None = None
        self._waiting: list[Samples] = []

    def push(self, samples: Samples, rate: int) -> list[AudioChunk]:
        """Take (samples, channels) at ``rate`` Hz; a new rate ends the stream before it without a gap."""
        chunks: list[AudioChunk] = []
        if rate != self._rate:
            chunks = self.flush()
            self._rate = rate
        if rate == SAMPLE_RATE:
            self._waiting.append(samples)
        else:
            if self._resampler is None:
                self._resampler = soxr.ResampleStream(rate, SAMPLE_RATE, self.channels, dtype="float32", quality="HQ")
            self._waiting.append(self._resampler.resample_chunk(np.ascontiguousarray(samples, np.float32)))
        return chunks + self._cut(final=False)

    def flush(self) -> list[AudioChunk]:
        """End the stream that is under way: what the resampler still holds comes out."""
        if self._resampler is not None:
            self._waiting.append(self._resampler.resample_chunk(np.empty((0, self.channels), np.float32), last=True))
            self._resampler = None
        return self._cut(final=True)

    def skip(self, seconds: float) -> list[AudioChunk]:
        """Flush, then let the clock jump over ``seconds`` of lost audio."""
        chunks = self.flush()
        self.position += round(seconds * SAMPLE_RATE)
        return chunks

    def _cut(self, final: bool) -> list[AudioChunk]:
        waiting = sum(len(samples) for samples in self._waiting)
        if not waiting or (waiting < self._chunk_samples and not final):
            return []
        joined = np.concatenate(self._waiting)  # a copy: chunks share no memory with the device or the decoder
        whole = waiting if final else waiting - waiting % self._chunk_samples
        chunks = []
        for begin in range(0, whole, self._chunk_samples):
            chunk = AudioChunk(joined[begin : min(begin + self._chunk_samples, whole)], self.position)
            self.position = chunk.end
            chunks.append(chunk)
        self._waiting = [joined[whole:]] if whole < waiting else []
        return chunks
