"""The speech encoder: log-mel frames -> one embedding an utterance.

A small image network reads the log-mel picture (a pitch that rises looks the same wherever it starts), blocks of
convolution and self-attention relate its columns, 25 a second, and attentive statistics pooling (Okabe et al. 2018)
keeps what the voice is like on average and how far it moves. Padded frames are masked in every step, so an utterance
reads the same alone and in a batch.

Notation: B batch, T frames, M mels, D width, E embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emotrack.models.features import MELS

STEM = ((16, 2), (32, 2), (64, 1))  # channels and stride in time of each convolution; the stride in mels is 2
NEIGHBOURHOOD = 15  # frames that a block's convolution sees: 0.6 s


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """Dimensions of a speech encoder."""

    width: int = 192
    blocks: int = 3
    heads: int = 4
    feed_forward: int = 768
    embedding: int = 256


class StemLayer(nn.Module):
    """A convolution over time and mels; each frame is normalised over channels and mels."""

    def __init__(self, channels: tuple[int, int], mels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(*channels, kernel_size=3, stride=(stride, 2), padding=1)
        self.norm = nn.LayerNorm((channels[1], mels))

    def forward(self, image: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, T, M), (B,) -> (B, H', T', M / 2), (B,); frames past the length are zero on both sides."""
        image = self.convolution(image).transpose(1, 2)  # (B, T', H', M / 2)
        image = nn.functional.gelu(self.norm(image)).transpose(1, 2)  # (B, H', T', M / 2)
        lengths = (lengths + self.stride - 1) // self.stride  # (B,)
        padding = padding_mask(lengths, image.shape[2])  # (B, T')
        return image.masked_fill(padding[:, None, :, None], 0.0), lengths


class Block(nn.Module):
    """A convolution over neighbouring frames, then a transformer layer over all of them, both residual."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width)
        self.neighbours = nn.Conv1d(width, width, NEIGHBOURHOOD, padding=NEIGHBOURHOOD // 2, groups=width)
        self.transformer = nn.TransformerEncoderLayer(
            width, config.heads, config.feed_forward, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )

    def forward(self, frames: Tensor, padding: Tensor) -> Tensor:
        """(B, T, D), (B, T) True where padded -> (B, T, D)."""
        local = self.norm(frames).masked_fill(padding.unsqueeze(-1), 0.0)  # (B, T, D)
        frames = frames + nn.functional.gelu(self.neighbours(local.mT).mT)  # (B, T, D)
        refined: Tensor = self.transformer(frames, src_key_padding_mask=padding)  # (B, T, D)
        return refined


class AttentiveStatistics(nn.Module):
    """Mean and standard deviation over time, each frame weighted by how much it tells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(width, width // 2), nn.Tanh(), nn.Linear(width // 2, 1))

    def forward(self, frames: Tensor, padding: Tensor) -> Tensor:
        """(B, T, D), (B, T) True where padded -> (B, 2 D)."""
        scores = self.attention(frames).squeeze(-1).float()  # (B, T)
        weights = scores.masked_fill(padding, -torch.inf).softmax(dim=1).unsqueeze(-1)  # (B, T, 1)
        frames = frames.float()  # (B, T, D)
        mean = (weights * frames).sum(dim=1)  # (B, D)
        variance = (weights * (frames - mean.unsqueeze(1)).square()).sum(dim=1)  # (B, D)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)  # (B, 2 D)


class SpeechEncoder(nn.Module):
    """Normalised log-mel frames -> embedding."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.config = config
        stem, channels, mels = [], 1, MELS
        for wider, stride in STEM:
            mels //= 2
            stem.append(StemLayer((channels, wider), mels, stride))
            channels = wider
        self.stem = nn.ModuleList(stem)
        self.columns = nn.Linear(channels * mels, config.width)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.blocks)])
        self.norm = nn.LayerNorm(config.width)
        self.pool = AttentiveStatistics(config.width)
        self.project = nn.Sequential(nn.Linear(2 * config.width, config.embedding), nn.GELU())

    def frames(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode frames: (B, T, M), (B,) -> (B, ceil(T / 4), D), (B, ceil(T / 4)) True where padded."""
        image = features.masked_fill(padding_mask(lengths, features.shape[1]).unsqueeze(-1), 0.0)  # (B, T, M)
        image = image.unsqueeze(1)  # (B, 1, T, M)
        for layer in self.stem:
            image, lengths = layer(image, lengths)  # (B, H, T', M'), (B,)
        frames = self.columns(image.transpose(1, 2).flatten(2))  # (B, T', D)
        padding = padding_mask(lengths, frames.shape[1])  # (B, T')
        for block in self.blocks:
            frames = block(frames, padding)  # (B, T', D)
        return self.norm(frames), padding

    def embedding(self, frames: Tensor, padding: Tensor) -> Tensor:
        """Pool encoded frames: (B, T', D), (B, T') True where padded -> (B, E)."""
        embedding: Tensor = self.project(self.pool(frames, padding))  # (B, E)
        return embedding

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, M) normalised log-mel, (B,) frames in each -> (B, E)."""
        return self.embedding(*self.frames(features, lengths))


def padding_mask(lengths: Tensor, frames: int) -> Tensor:
    """(B,) -> (B, frames), True past each length."""
    return torch.arange(frames, device=lengths.device) >= lengths.unsqueeze(1)
