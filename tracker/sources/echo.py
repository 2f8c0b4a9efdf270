"""What the loudspeakers play and the microphone hears again, taken out of what the microphone hears.

A filter in the frequency domain follows the way from loudspeaker to microphone as a Kalman filter does: block by block,
with the uncertainty of every coefficient, so that it learns from the others' speech alone and stands still while
somebody in the room speaks too (Enzner and Vary 2006, Frequency-domain adaptive Kalman filter for acoustic echo control
in hands-free telephones; in partitions: Kuech et al. 2014, State-space architecture of the partitioned-block-based
acoustic echo controller). What may be left, by that uncertainty and by how much what is left goes up and down with the
echo (Valin 2007, On adjusting the learning rate in frequency domain echo cancellation with double-talk), is muted
frequency by frequency. So before anything is known of the room the microphone is muted while the others speak, and soon
after only where they are louder.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import Samples

BLOCK: Final = 256  # samples; half of a window
PARTITIONS: Final = 32  # blocks of the past from which an echo may come, .512 s
DELAY: Final = BLOCK  # samples by which what comes out is behind

_KEPT: Final = 0.997  # of what is known of the way, from block to block: people move, clocks differ
_POWER_AT_FIRST: Final = 0.05  # of the way's, in each partition and of what is played: no echo is louder than 1.6
_NOISE_MEMORY: Final = 0.9  # of the power of all that is no echo
_DOUBT: Final = 4.0  # times the uncertainty is muted; an echo that gets through becomes a turn, a muted "mm" does not
_LEAK: Final = 4.0  # times what goes up and down with the echo is muted
_LEAST_LEAK: Final = 0.005
_MEAN_MEMORY: Final = 0.9  # of powers, from which ups and downs are counted
_LEAK_MEMORY: Final = 0.9  # of ups and downs, with an echo as loud as all that is heard
_REMNANT: Final = 0.03  # of the power that was heard, -15 dB: so little left is echo, too, and speech enough for a turn
_POWER_MEMORY: Final = 0.85  # of both powers, .1 s
_INAUDIBLE: Final = 1e-7  # mean square, -70 dBFS: nothing is played
_TINY: Final = 1e-9


class EchoCanceller:
    """The microphone without what is played, block after block. Not calibrated to any room; it learns each anew."""

    def __init__(self) -> None:
        bins = BLOCK + 1
        self._played: NDArray[np.complex64] = np.zeros((PARTITIONS, bins), np.complex64)  # (P, F), the latest first
        self._way: NDArray[np.complex64] = np.zeros((PARTITIONS, bins), np.complex64)  # (P, F), from played to heard
        self._doubt: NDArray[np.float32] = np.full((PARTITIONS, bins), _POWER_AT_FIRST, np.float32)  # its variance
        self._other_power: NDArray[np.float32] = np.full(bins, 1e-3, np.float32)  # of what is no echo
        self._mean_left: NDArray[np.float32] = np.zeros(bins, np.float32)
        self._mean_echo: NDArray[np.float32] = np.zeros(bins, np.float32)
        self._together = self._echo_varies = 0.0
        self._heard_power = self._kept_power = 0.0
        self._window = np.sin(np.pi * np.arange(2 * BLOCK) / (2 * BLOCK)).astype(np.float32)
        self._last_played, self._last_left, self._last_echo, self._unfinished = np.zeros((4, BLOCK), np.float32)

    def remove(self, heard: Samples, played: Samples) -> Samples:
        """(samples,) that were heard and that were played at that time -> (samples,) without echo, ``DELAY`` later.

        At 16 kHz, in whole blocks. An echo is found that comes up to ``PARTITIONS`` blocks after what was played.
        """
        blocks = zip(heard.reshape(-1, BLOCK), played.reshape(-1, BLOCK), strict=True)
        return np.concatenate([self._remove(*block) for block in blocks])

    def _remove(self, heard: Samples, played: Samples) -> Samples:
        self._played = np.roll(self._played, 1, axis=0)
        self._played[0] = np.fft.rfft(np.concatenate([self._last_played, played]))
        self._last_played = played
        powers = np.square(self._played.real) + np.square(self._played.imag)  # (P, F)
        if powers.sum() < _INAUDIBLE * powers.size * 2 * BLOCK:
            return self._finish(heard, np.zeros_like(heard), np.zeros_like(self._other_power))
        echo = np.fft.irfft((self._played * self._way).sum(axis=0))[BLOCK:].astype(np.float32)
        left = heard - echo
        doubt = 0.5 * (powers * self._doubt).sum(axis=0)  # (F,), the power that the echo may have beyond what is known
        self._learn(left, doubt)
        return self._finish(left, echo, doubt)

    def _learn(self, left: Samples, doubt: NDArray[np.float32]) -> None:
        spectrum = np.fft.rfft(np.concatenate([np.zeros_like(left), left]))
        power = np.square(np.abs(spectrum))
        self._other_power = _NOISE_MEMORY * self._other_power + (1 - _NOISE_MEMORY) * power.astype(np.float32)
        gain = self._doubt * self._played.conj() / (doubt + self._other_power + _TINY)  # (P, F)
        step = np.fft.irfft(gain * spectrum, axis=1)
        step[:, BLOCK:] = 0  # what goes round in a circle is no part of the way
        self._way = (self._way + np.fft.rfft(step, axis=1)).astype(np.complex64)
        known = np.maximum(1 - 0.5 * (gain * self._played).real, 0) * self._doubt
        way_power = np.square(np.abs(self._way))
        self._doubt = (_KEPT**2 * known + (1 - _KEPT**2) * way_power).astype(np.float32)

    def _finish(self, left: Samples, echo: Samples, doubt: NDArray[np.float32]) -> Samples:
        """Mute what may be echo in the window that ends here; what leaves is the block before."""
        spectrum = np.fft.rfft(np.concatenate([self._last_left, left]) * self._window)
        power = np.square(np.abs(spectrum)).astype(np.float32)
        echo_power = np.square(np.abs(np.fft.rfft(np.concatenate([self._last_echo, echo]) * self._window)))
        self._last_left, self._last_echo = left, echo
        heard = left + echo
        muted = _DOUBT * doubt + _LEAK * self._leak(power, echo_power.astype(np.float32)) * echo_power
        shaped = np.fft.irfft(spectrum * np.maximum(1 - muted / (power + _TINY), 0)) * self._window
        self._heard_power = _POWER_MEMORY * self._heard_power + float(np.vdot(heard, heard))
        self._kept_power = _POWER_MEMORY * self._kept_power + float(np.vdot(shaped, shaped))
        if self._kept_power < _REMNANT * self._heard_power:
            shaped = np.zeros_like(shaped)
        whole = self._unfinished + shaped[:BLOCK]
        self._unfinished = shaped[BLOCK:].astype(np.float32)
        return whole.astype(np.float32)

    def _leak(self, left: NDArray[np.float32], echo: NDArray[np.float32]) -> float:
        """The share of the echo's power that is still there, judged by whether both grow and fade together."""
        left_change, echo_change = left - self._mean_left, echo - self._mean_echo
        self._mean_left += (1 - _MEAN_MEMORY) * left_change
        self._mean_echo += (1 - _MEAN_MEMORY) * echo_change
        pace = (1 - _LEAK_MEMORY) * min(1.0, float(echo.sum()) / (float(left.sum()) + _TINY))
        self._together += pace * (float(np.vdot(left_change, echo_change)) - self._together)
        self._echo_varies += pace * (float(np.vdot(echo_change, echo_change)) - self._echo_varies)
        return min(max(self._together / (self._echo_varies + _TINY), _LEAST_LEAK), 1.0)
