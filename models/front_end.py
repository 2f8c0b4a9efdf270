"""The front end of the small speech encoder: a log-mel picture -> 25 frames a second.

A small image network, so that a pitch that rises looks the same wherever it starts. Padded frames are masked in every
step. The image lies in memory with its channels last, as oneDNN convolves a third more quickly.

Notation: B batch, H channels, T frames, M mels, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emotrack.models.features import MELS, LogMel, normalise

STEM = ((16, 2), (32, 2), (64, 1))  # channels and stride in time of each convolution; the stride in mels is 2


class StemLayer(nn.Module):
    """A convolution over time and mels; each frame is normalised over channels and mels."""

    def __init__(self, channels: tuple[int, int], mels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(*channels, kernel_size=3, stride=(stride, 2), padding=1)
        self.norm = nn.LayerNorm((channels[1], mels))

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, T, M), (B,) -> (B, H', T', M / 2), (B,); frames past the length are zero on both sides."""
        weight = self.convolution.weight.contiguous(memory_format=torch.channels_last)  # (H', H, 3, 3)
        image = nn.functional.conv2d(image, weight, self.convolution.bias, stride=(self.stride, 2), padding=1)
        image = image.permute(0, 2, 3, 1)  # (B, T', M / 2, H')
        scale, shift = self.norm.weight.T.contiguous(), self.norm.bias.T.contiguous()  # (M / 2, H'), (M / 2, H')
        image = nn.functional.layer_norm(image, image.shape[2:], scale, shift, self.norm.eps)  # (B, T', M / 2, H')
        lengths = (lengths + self.stride - 1) // self.stride  # (B,)
        padding = padding_mask(lengths, image.shape[1])  # (B, T')
        image = nn.functional.gelu(image).masked_fill(padding[:, :, None, None], 0.0)  # (B, T', M / 2, H')
        return image.permute(0, 3, 1, 2), lengths


class LogMelFrontEnd(nn.Module):
    """Normalised log-mel frames -> frames of width D, a quarter as many."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.log_mel = LogMel()
        stem, channels, mels = [], 1, MELS
        for wider, stride in STEM:
            mels //= 2
            stem.append(StemLayer((channels, wider), mels, stride))
            channels = wider
        self.stem = nn.ModuleList(stem)
        self.columns = nn.Linear(channels * mels, width)

    def prepare(self, waveform: Tensor) -> Tensor:
        """(samples,) at 16 kHz -> (T0, M) normalised log-mel frames."""
        log_mel: Tensor = self.log_mel(waveform)  # (T0, M)
        return normalise(log_mel)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T0, M), (B,) -> (B, T, D) with T = ceil(T0 / 4), and (B, T) True where padded."""
        image = features.masked_fill(padding_mask(lengths, features.shape[1]).unsqueeze(-1), 0.0)  # (B, T0, M)
        image = image.unsqueeze(1).contiguous(memory_format=torch.channels_last)  # (B, 1, T0, M)
        for layer in self.stem:
            image, lengths = layer(image, lengths)  # (B, H, T', M'), (B,)
        frames = self.columns(image.transpose(1, 2).flatten(2))  # (B, T, D)
        return frames, padding_mask(lengths, frames.shape[1])


def padding_mask(lengths: Tensor, frames: int) -> Tensor:
    """(B,) -> (B, frames), True past each length."""
    return torch.arange(frames, device=lengths.device) >= lengths.unsqueeze(1)
