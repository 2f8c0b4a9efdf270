"""Log-mel features: the input of the speech encoder, made of a waveform.

The level is removed (corpora and microphones differ in loudness, which would otherwise stand for the corpus), and
everything more than ``DYNAMIC_RANGE`` below the loudest point is cut off, so that room noise and the floor of a
codec look the same.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from emotrack.models.bounds import SAMPLE_RATE

WINDOW = 400  # samples: 25 ms
HOP = 160  # samples: 10 ms, so 100 frames a second
FFT = 512
MELS = 80
DYNAMIC_RANGE = 7.0 * math.log(10.0)  # 70 dB of power, in nats
TYPICAL = (-7.0, 4.0)  # nats: mean and spread of log-mel power around the level, in speech


def mel_filters(mels: int = MELS) -> Tensor:
    """Triangular filters spaced evenly on the mel scale (O'Shaughnessy), from 50 Hz to half the sample rate.

    Returns (mels, FFT // 2 + 1).
    """
    low, high = (2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (50.0, SAMPLE_RATE / 2))
    corners = 700.0 * (10.0 ** (torch.linspace(low, high, mels + 2, device="cpu") / 2595.0) - 1.0)  # (mels + 2,) Hz
    bins = torch.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1, device="cpu")  # (F,) Hz
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]  # (mels, F)
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]  # (mels, F)
    return torch.minimum(rising, falling).clamp(min=0.0)


def normalise(log_mel: Tensor) -> Tensor:
    """Remove the level of one utterance: (T, MELS) natural log power -> (T, MELS), about zero mean and unit variance.

    The level is the mean power, which silence before and after the words hardly moves.
    """
    level = log_mel.logsumexp(dim=(0, 1)) - math.log(log_mel.numel())  # ()
    relative = torch.maximum(log_mel - level, log_mel.max() - level - DYNAMIC_RANGE)  # (T, MELS)
    mean, spread = TYPICAL
    return (relative - mean) / spread


class LogMel(nn.Module):
    """Waveform -> log-mel power, 100 frames a second."""

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW, device="cpu"), persistent=False)
        self.register_buffer("filters", mel_filters(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(samples,) in [-1, 1] -> (T, MELS) natural log power, T = samples // HOP + 1."""
        spectrum = torch.stft(
            waveform, FFT, HOP, WINDOW, self.window, center=True, pad_mode="constant", return_complex=True
        )  # (F, T)
        power = spectrum.real.square() + spectrum.imag.square()  # (F, T); through abs() it takes five times as long
        return (self.filters @ power).clamp(min=1e-10).log().T  # (T, MELS)
