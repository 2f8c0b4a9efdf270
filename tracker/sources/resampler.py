"""From audio at any rate to 16 kHz chunks on one stream clock.

The resampler keeps its state between blocks, so that what comes out does not depend on how the audio was cut up.
"""

from __future__ import annotations

import numpy as np
import soxr

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, AudioChunk, Samples, level_dbfs

LOUDEST = 1e6  # full scale is 1; float samples beyond this are something else than audio
QUIET_DBFS = -60.0  # so quiet a sound is no speech for anybody, ...
QUIET_AFTER = SAMPLE_RATE  # ... and after a second of it nobody waits for more of it
QUIET_SAMPLES = 5 * FRAME_SAMPLES  # 160 ms


def usable(samples: Samples) -> tuple[Samples, int]:
    """The samples with those set to 0 that are NaN, infinite or absurdly large, and how many these are."""
    good = np.abs(samples) < LOUDEST  # false for NaN
    unusable = int(samples.size - np.count_nonzero(good))
    return (np.where(good, samples, np.float32(0)), unusable) if unusable else (samples, 0)


class Chunker:
    """Resamples one continuous stream after another to 16 kHz and cuts it into chunks of equal size.

    In a quiet room to hear each chunk is most of the work. A chunker that ``holds_quiet`` holds quiet ones until they
    are QUIET_SAMPLES together or it is quiet no more, whichever comes first.

    ``skip`` marks lost audio: it ends the stream that was under way, and the next one starts later on the clock.
    """

    def __init__(self, channels: int, chunk_samples: int, *, holds_quiet: bool = False) -> None:
        """Chunks have ``chunk_samples`` samples at 16 kHz; only the last one before a break is shorter.

        With ``holds_quiet`` those of what has been quiet for a second have more, up to QUIET_SAMPLES.
        """
        self.channels = channels
        self.position = 0
        """Stream index at 16 kHz of the next sample to leave."""
        self._chunk_samples = chunk_samples
        self._holds_quiet = holds_quiet
        self._rate = 0
        self._resampler: soxr.ResampleStream | None = None
        self._waiting: list[Samples] = []
        self._quiet = 0  # samples, of the latest ones
        self._held: list[Samples] = []  # quiet chunks

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
        if waiting < self._chunk_samples and not final:
            return []
        nothing = np.empty((0, self.channels), np.float32)  # is all that waits, where a break follows held chunks
        joined = np.concatenate([nothing, *self._waiting])  # a copy: chunks share no memory with device or decoder
        whole = waiting if final else waiting - waiting % self._chunk_samples
        self._waiting = [joined[whole:]] if whole < waiting else []
        chunks: list[AudioChunk] = []
        for begin in range(0, whole, self._chunk_samples):
            samples = joined[begin : min(begin + self._chunk_samples, whole)]
            self._held.append(samples)
            if not self._holds_quiet or not self._may_hold(samples):
                chunks.append(self._let_go())
        if final and self._held:
            chunks.append(self._let_go())
        return chunks

    def _may_hold(self, samples: Samples) -> bool:
        """Whether nobody waits for the ``samples`` that came last, and there is room for more with what is held."""
        self._quiet = self._quiet + len(samples) if level_dbfs(samples) < QUIET_DBFS else 0
        return self._quiet >= QUIET_AFTER and sum(map(len, self._held)) + self._chunk_samples <= QUIET_SAMPLES

    def _let_go(self) -> AudioChunk:
        samples = self._held[0] if len(self._held) == 1 else np.concatenate(self._held)
        chunk = AudioChunk(samples, self.position)
        self.position, self._held = chunk.end, []
        return chunk
