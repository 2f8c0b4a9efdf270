"""From several channels to one, and what is wrong with channels that do not go together.

An average loses what is said where channels cancel each other (a plug with its wires swapped) or where only one of many
carries sound (the middle one of 5.1). There the loudest channel alone is heard.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import Samples

AUDIBLE_DBFS: Final = -60.0  # channels that are quieter tell nothing of each other
MEMORY_S: Final = 0.05  # over which powers are compared, with the latest counting most
LOST: Final = 0.1  # an average with less of the loudest channel's power than this, -10 dB, has lost what it says ...
FOUND: Final = 0.25  # ... and with more than this, -6 dB, it has not: two channels of which one is silent have as much
ABOUT_AS_LOUD: Final = 0.8
TELL_AFTER_S: Final = 1.0  # of audible sound; less may be chance
ALIKE: Final = 1e-3  # a difference with so little of the power, -30 dB, is that of encoding
ALIKE_FOR_S: Final = 3.0  # of audible sound; a call may begin with a tone on all channels


def mixed(samples: Samples) -> Samples:
    """The average of all channels: (samples, channels) -> (samples, 1)."""
    average: Samples = samples.mean(axis=1, keepdims=True, dtype=np.float32)
    return average


class Mixer:
    """The channels of one stream as one, block after block."""

    def __init__(self) -> None:
        self._powers: NDArray[np.float64] = np.zeros(0)  # of each channel, summed up and fading
        self._average_power = 0.0
        self._weight = 0.0  # how many samples they are of
        self._alone: int | None = None
        self._alone_s = 0.0
        self._told = False
        self.remark: str | None = None
        """Why not all channels are heard, set with the block with which that is certain, and None again after it."""

    def mix(self, samples: Samples, rate: int) -> Samples:
        """(samples, channels) at ``rate`` Hz -> (samples, 1): the average, or the loudest channel where it is lost."""
        average = mixed(samples)
        self.remark = None
        if samples.shape[1] == 1:
            return average
        if samples.shape[1] != len(self._powers):
            self._powers, self._average_power, self._weight, self._alone = np.zeros(samples.shape[1]), 0.0, 0.0, None
        fading = math.exp(-len(samples) / (MEMORY_S * rate))
        self._powers = fading * self._powers + np.einsum("sc,sc->c", samples, samples)
        self._average_power = fading * self._average_power + float(np.vdot(average, average))
        self._weight = fading * self._weight + len(samples)
        loudest = int((self._powers >= ABOUT_AS_LOUD * self._powers.max()).argmax())  # the first of them
        if self._powers[loudest] > self._weight * 10 ** (AUDIBLE_DBFS / 10):
            self._choose(loudest)
            self._alone_s += len(samples) / rate if self._alone is not None else 0.0
        if self._alone is None:
            return average
        if self._alone_s >= TELL_AFTER_S and not self._told:
            self._told, self.remark = True, self._describe()
        return samples[:, self._alone : self._alone + 1]

    def _choose(self, loudest: int) -> None:
        share = self._average_power / self._powers[loudest]
        if share > FOUND:
            self._alone = None
        elif share < LOST and (self._alone is None or self._powers[self._alone] < FOUND * self._powers[loudest]):
            self._alone = loudest

    def _describe(self) -> str:
        unrelated = self._powers.sum() / len(self._powers) ** 2  # what the average of sounds that do not cancel has
        channel = f"channel {(self._alone or 0) + 1}"
        if self._average_power < unrelated / 2:
            return f"mixed, its channels cancel each other; {channel} alone is heard"
        return f"of its {len(self._powers)} channels only {channel} carries sound, and it alone is heard"


class Likeness:
    """Whether all channels of one stream hold the same sound, block after block."""

    def __init__(self) -> None:
        self._heard_s = 0.0
        self._power = 0.0
        self._differences: tuple[float, float] = (0.0, 0.0)  # as they are, and with the other sign

    def is_found(self, samples: Samples, rate: int) -> bool:
        """Take (samples, channels) at ``rate`` Hz; true for the block with which it is certain that they are alike."""
        first, others = samples[:, :1], samples[:, 1:]
        power = float(np.vdot(first, first))
        is_audible = power > len(samples) * 10 ** (AUDIBLE_DBFS / 10)
        if self._heard_s >= ALIKE_FOR_S or not others.size or not is_audible:
            return False
        self._heard_s += len(samples) / rate
        self._power += power
        less, more = (float(np.square(others - sign * first).sum(axis=0).max()) for sign in (1, -1))
        self._differences = self._differences[0] + less, self._differences[1] + more
        return self._heard_s >= ALIKE_FOR_S and min(self._differences) < ALIKE * self._power
