"""A clip as a speaker of the other gender might have said it.

It is resampled, so that pitch, resonances and tempo move together.

Such a speaker was never recorded, and is one more to learn from: what tells an emotion in a woman's voice alone, or a
man's, tells less of it then.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from emotrack.models.bounds import SAMPLE_RATE

SPEEDS: Final = {
    "f": 0.82,
    "m": 1.22,
}  # of the clip, by the speaker's gender: women as low as men, men as high as women


def crossed(clip: NDArray[np.float32], gender: str) -> NDArray[np.float32]:
    """(samples,) of a speaker of a gender among ``SPEEDS`` -> (samples / speed,)."""
    found: NDArray[np.float32] = soxr.resample(clip, round(SPEEDS[gender] * SAMPLE_RATE), SAMPLE_RATE)
    return found
