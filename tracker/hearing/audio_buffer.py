"""The latest audio of one channel, by its place in the stream."""

from __future__ import annotations

import numpy as np

from emotrack.tracker.audio import SAMPLE_RATE, Samples


class Tape:
    """Grows at its end and is forgotten from its beginning; appending costs what is appended, not what is kept."""

    def __init__(self) -> None:
        self.start = 0
        """Stream index of the first sample that is kept."""
        self._buffer: Samples = np.empty(SAMPLE_RATE, dtype=np.float32)
        self._first = self._last = 0  # what is kept of it

    def __len__(self) -> int:
        return self._last - self._first

    @property
    def end(self) -> int:
        """Stream index after the last sample."""
        return self.start + len(self)

    def restart(self, start: int) -> None:
        """Forget everything; what is appended next begins at ``start``."""
        self.start, self._first, self._last = start, 0, 0

    def append(self, samples: Samples) -> None:
        """Go on with ``samples``, (samples,)."""
        if self._last + len(samples) > len(self._buffer):
            self._move(2 * (len(self) + len(samples)))
        self._buffer[self._last : self._last + len(samples)] = samples
        self._last += len(samples)

    def between(self, start: int, end: int) -> Samples:
        """The samples at these stream indices, (end - start,), until more is appended."""
        return self._buffer[self._first + start - self.start : self._first + end - self.start]

    def forget(self, before: int) -> None:
        """Keep nothing before this stream index."""
        gone = min(max(before - self.start, 0), len(self))
        self.start, self._first = self.start + gone, self._first + gone

    def _move(self, size: int) -> None:
        """Into a buffer of another size: with twice the room it needs, so that this happens seldom."""
        buffer: Samples = np.empty(max(size, SAMPLE_RATE), dtype=np.float32)
        kept = self._buffer[self._first : self._last]
        buffer[: len(kept)] = kept
        self._buffer, self._first, self._last = buffer, 0, len(kept)
