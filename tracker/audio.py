"""Audio inside the tracker: 16 kHz float samples on one clock.

Stream time is the only clock of a session: the index of a sample since the source opened, divided by
``SAMPLE_RATE``. Wall time is attached where events leave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotrack.models import bounds

SAMPLE_RATE = bounds.SAMPLE_RATE  # Hz, everywhere behind a source
FRAME_SAMPLES = bounds.FRAME_SAMPLES
MAX_CHANNELS = 8  # a source with more is refused under `--channels split`

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A short stretch of audio as a source delivers it.

    ``samples`` is (samples, channels) at ``SAMPLE_RATE``, finite, nominally in [-1, 1]. ``start`` is the stream
    index of the first sample; a chunk that starts later than the one before it ended tells of lost audio.
    """

    samples: Samples
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True)
class SourceLost:
    """The device stopped delivering; the source goes on trying to reopen it."""

    reason: str


@dataclass(frozen=True, slots=True)
class SourceRestored:
    """The device delivers again."""

    seconds_lost: float
    passed_s: float = 0.0
    """As many of them as the stream's clock has passed already, because another device was heard meanwhile."""


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """The source knows that nobody speaks any more: the turn under way ends here, with no silence to wait for."""


SourceItem = AudioChunk | SourceLost | SourceRestored | UtteranceEnded


def level_dbfs(samples: Samples) -> float:
    """Root-mean-square level in dB relative to full scale; -120 for silence or no samples."""
    if samples.size == 0:
        return -120.0
    power = float(np.vdot(samples, samples)) / samples.size
    return max(-120.0, 10.0 * math.log10(power + 1e-12))
