"""A clip as a speaker of the other gender might have said it.

It is resampled, so that pitch, resonances and tempo move together.

Such a speaker was never recorded, and is one more to learn from: what tells an emotion in a woman's voice alone, or a
man's, tells less of it then.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.train.corpora.acted_corpora import Clip
from emotrack.train.data.audio import read_audio

SPEEDS: Final = {
    "f": 0.82,
    "m": 1.22,
}  # of the clip, by the speaker's gender: women as low as men, men as high as women


def crossed(clip: NDArray[np.float32], gender: str) -> NDArray[np.float32]:
    """(samples,) of a speaker of a gender among ``SPEEDS`` -> (samples / speed,)."""
    found: NDArray[np.float32] = soxr.resample(clip, round(SPEEDS[gender] * SAMPLE_RATE), SAMPLE_RATE)
    return found


def that_can_be_crossed(clips: list[Clip]) -> list[Clip]:
    """Those whose speaker's gender is known."""
    return [clip for clip in clips if clip.traits.get("gender") in SPEEDS]


def read_clip(clip: Clip, *, is_crossed: bool) -> Tensor:
    """(samples,) of a clip as it is, or crossed. Raises ``TrainError`` where it cannot be read."""
    read = read_audio(clip.path)  # (samples,)
    return torch.from_numpy(crossed(read, clip.traits["gender"]) if is_crossed else read)
