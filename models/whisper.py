"""A CARE that has heard much speech before: its front end and common encoder are the lower part of a Whisper's encoder.

Radford et al. 2022. Whisper reads 30 s, filled up with silence; here it reads an utterance's own frames and no more,
cut free of the silence at both ends. Semantic and acoustic encoders of its own there are none: what an utterance is as
a whole is the mean and deviation over time of each layer's frames.

Notation: B batch, T frames, M mels, D width.
"""

from __future__ import annotations

import math

import pydantic.dataclasses
import torch
from torch import Tensor, nn

from emotrack.models.bfloat16 import has_quick_bfloat16
from emotrack.models.bounds import MAX_SPEECH_S, SAMPLE_RATE
from emotrack.models.care import Care
from emotrack.models.features import HOP, MELS
from emotrack.models.front_end import padding_mask
from emotrack.models.sizes import Heads, Layers, Width
from emotrack.models.transformer import TransformerLayer

FFT = 400  # samples
POSITIONS = math.ceil(MAX_SPEECH_S * SAMPLE_RATE / HOP / 2)  # frames of the longest utterance: 50 a second
MARGIN = 10  # frames of HOP left of the silence at either end
SILENCE = 8.0  # nats (35 dB) below the loudest frame: quieter frames at either end are silence
LOUDEST, DECADES = 1.0, 8.0  # of power: where the loudest point is put, and how far below it points are told apart


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class WhisperCareConfig:
    """Dimensions of the lower part of a Whisper; the defaults are those of tiny.

    Raises:
        ValueError: there is none of such dimensions.
    """

    whisper_width: Width = 384
    blocks: Layers = 3  # of the encoder, from the first
    heads: Heads = 6
    feed_forward: Width = 1536

    def __post_init__(self) -> None:
        if self.whisper_width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.whisper_width}")


class WhisperFrontEnd(nn.Module):
    """Log-mel frames as Whisper reads them -> its stem's frames, half as many, each with its place."""

    window: Tensor
    filters: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("window", torch.hann_window(FFT, device="cpu"), persistent=False)
        self.register_buffer("filters", slaney_filters(), persistent=False)
        self.first = nn.Conv1d(MELS, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(POSITIONS, width))

    def log_mel(self, waveform: Tensor) -> Tensor:
        """(samples,) at 16 kHz -> (T, M) natural log power."""
        waveform = nn.functional.pad(waveform, (0, max(0, FFT - len(waveform))))  # (samples,)
        spectrum = torch.stft(waveform, FFT, HOP, window=self.window, return_complex=True)[:, :-1]  # (F, T)
        power = spectrum.real.square() + spectrum.imag.square()  # (F, T)
        return (self.filters @ power).clamp(min=1e-10).log().T  # (T, M)

    def read(self, log_mel: Tensor) -> Tensor:
        """(T, M) natural log power -> (T', M) the frames of its words as Whisper reads them, however loud they are."""
        decades = spoken(log_mel) / math.log(10.0)  # (T', M)
        return ((decades - decades.max()).clamp(min=-DECADES) + LOUDEST + 4.0) / 4.0

    def prepare(self, waveform: Tensor) -> Tensor:
        """(samples,) at 16 kHz -> (T0, M) the frames of its words."""
        return self.read(self.log_mel(waveform))

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T0, M), (B,) -> (B, T, D) with T = ceil(T0 / 2), and (B, T) True where padded."""
        outside = padding_mask(lengths, inputs.shape[1]).unsqueeze(1)  # (B, 1, T0)
        spectra = inputs.mT.masked_fill(outside, 0.0).to(self.first.weight.dtype)  # (B, M, T0)
        frames = nn.functional.gelu(self.first(spectra))  # (B, D, T0)
        frames = nn.functional.gelu(self.second(frames.masked_fill(outside, 0.0))).mT  # (B, T, D)
        frames = frames + self.positions[: frames.shape[1]]  # (B, T, D) in full width again
        return frames, padding_mask((lengths + 1) // 2, frames.shape[1])

    def store_in_half(self) -> None:
        """Keep convolutions in bfloat16, where the layers after them keep their matrices so."""
        if self.positions.is_cpu and has_quick_bfloat16():
            self.first.bfloat16()
            self.second.bfloat16()


class WhisperLayer(TransformerLayer):
    """A block of Whisper's encoder."""

    def __init__(self, config: WhisperCareConfig) -> None:
        super().__init__(config.whisper_width, config.heads, config.feed_forward, dropout=0.0, norm_first=True)

    def forward(self, frames: Tensor, padding: Tensor) -> Tensor:  # type: ignore[override] # as CARE calls its layers
        """(B, T, D), (B, T) True where padded -> (B, T, D)."""
        return super().forward(frames, src_key_padding_mask=padding)


def whisper_care(config: WhisperCareConfig) -> Care:
    """A CARE that is the lower part of a Whisper, with random weights."""
    common = [WhisperLayer(config) for _ in range(config.blocks)]
    return Care(WhisperFrontEnd(config.whisper_width), common=common, semantic=[], acoustic=[], pooling="spread")


def spoken(log_mel: Tensor) -> Tensor:
    """The frames of an utterance without the silence before and after it: (T, M) natural log power -> (T', M)."""
    loudness = log_mel.logsumexp(dim=1)  # (T,)
    active = (loudness > loudness.max() - SILENCE).nonzero()  # (A, 1)
    return log_mel[max(0, int(active[0]) - MARGIN) : int(active[-1]) + 1 + MARGIN]


def slaney_filters() -> Tensor:
    """The mel filters Whisper was trained with: linear below 1 kHz, logarithmic above, of equal area.

    Returns (MELS, FFT // 2 + 1).
    """
    linear_step, knee, log_step = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0
    top = knee / linear_step + math.log(SAMPLE_RATE / 2 / knee) / log_step
    mels = torch.linspace(0.0, top, MELS + 2, device="cpu")  # (MELS + 2,)
    corners = torch.where(
        mels < knee / linear_step, mels * linear_step, knee * torch.exp(log_step * (mels - knee / linear_step))
    )  # (MELS + 2,) Hz
    bins = torch.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1, device="cpu")  # (F,) Hz
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]  # (MELS, F)
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]  # (MELS, F)
    return torch.minimum(rising, falling).clamp(min=0.0) * (2.0 / (corners[2:] - corners[:-2]))[:, None]  # (MELS, F)
