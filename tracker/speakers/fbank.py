"""Log mel energies as Kaldi computes them, which is what speaker embeddings are trained on.

Source: Kaldi's ``compute-fbank-feats`` with a Hamming window, no dither, samples in 16 bits' range, 20 Hz to 8 kHz.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import SAMPLE_RATE, Samples

BANDS: Final = 80
FRAME: Final = 400  # samples, 25 ms
HOP: Final = 160  # samples, 10 ms
_FFT: Final = 512
_PREEMPHASIS: Final = 0.97
_LOWEST_HZ: Final = 20.0
_SCALE: Final = 32768.0


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    mel: NDArray[np.float64] = 1127.0 * np.log1p(hertz / 700.0)
    return mel


def _triangles() -> NDArray[np.float32]:
    """The bands' weights, (_FFT // 2 + 1, BANDS)."""
    lowest, highest = _mel(np.array([_LOWEST_HZ, SAMPLE_RATE / 2]))
    edges = np.linspace(lowest, highest, BANDS + 2)  # (BANDS + 2,)
    bins = _mel(np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT)[:, None]  # (bins, 1)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.clip(np.minimum(rising, falling), 0.0, None)
    weights[-1] = 0.0  # Kaldi leaves the highest bin out
    triangles: NDArray[np.float32] = weights.astype(np.float32)
    return triangles


_TRIANGLES: Final = _triangles()
_WINDOW: Final = np.hamming(FRAME).astype(np.float32)


def log_mel(samples: Samples) -> NDArray[np.float32]:
    """The energies of ``samples``, (samples,) at 16 kHz, as (frames, BANDS): a frame each 10 ms, whole frames only."""
    if len(samples) < FRAME:
        return np.zeros((0, BANDS), dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP] * np.float32(_SCALE)  # (frames, FRAME)
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectra = np.fft.rfft((frames - np.float32(_PREEMPHASIS) * before) * _WINDOW, _FFT)  # (frames, bins)
    powers = (spectra.real**2 + spectra.imag**2).astype(np.float32)
    # By einsum: after a product of this size a thread of OpenBLAS spins, which took 3 % of a core while people spoke.
    energies: NDArray[np.float32] = np.einsum("fb,bm->fm", powers, _TRIANGLES)
    logs: NDArray[np.float32] = np.log(np.maximum(energies, np.finfo(np.float32).eps))
    return logs
