"""WavLM's front end and transformer layer (Chen et al. 2022, arXiv 2110.13900), the parts that CARE is built of.

Written out here rather than taken from a library because CARE cuts the model in two, and because padding must not be
heard: the library's base model normalises its first convolution over the padded batch, so that an utterance reads
differently in company. Here every step sees an utterance's own frames alone. Names of weights follow the roles in the
paper; ``published_care`` knows their names in checkpoints.

Notation: B batch, T frames at 50 a second, D width, H heads, C channels.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Protocol

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from emotrack.models.front_end import padding_mask
from emotrack.models.sizes import Dropout, Heads, Layers, Width

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)  # 320 samples a frame: 50 frames a second at 16 kHz
MIN_SAMPLES = 400  # of one frame: 25 ms


@dataclass(frozen=True, slots=True)
class WavLmConfig:
    """Dimensions of a WavLM with normalisation after each block; the defaults are WavLM-base's.

    Raises:
        ValueError: there is none of such dimensions.
    """

    width: Width = 768
    layers: Layers = 12
    heads: Heads = 12
    feed_forward: Width = 3_072
    channels: Width = 512  # of the convolutions
    position_kernel: Width = 128  # frames that the convolution over neighbouring frames sees
    position_groups: Heads = 16
    buckets: Width = 320  # of relative positions
    max_distance: Width = 800  # frames; positions further apart count as this far
    dropout: Dropout = 0.1

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width % self.position_groups:
            raise ValueError(
                f"{self.heads} heads or {self.position_groups} groups do not divide a width of {self.width}"
            )
        if not 1 <= self.buckets // 4 < self.max_distance:
            raise ValueError(f"{self.buckets} buckets do not reach a distance of {self.max_distance}")


class WavLmFrontEnd(nn.Module):
    """Waveform -> the input of WavLM's first layer: convolutions, projection, positions from neighbouring frames."""

    def __init__(self, config: WavLmConfig) -> None:
        super().__init__()
        self.width = config.width
        channels = (1, *(config.channels for _ in KERNELS))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(*pair, kernel, stride, bias=False)
            for pair, kernel, stride in zip(pairwise(channels), KERNELS, STRIDES, strict=True)
        )
        self.channel_norm = nn.GroupNorm(config.channels, config.channels)  # its weights; see own_frames_norm
        self.projection_norm = nn.LayerNorm(config.channels)
        self.projection = nn.Linear(config.channels, config.width)
        kernel, groups = config.position_kernel, config.position_groups
        self.positions = nn.Conv1d(config.width, config.width, kernel, padding=kernel // 2, groups=groups)
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def prepare(self, waveform: Tensor) -> Tensor:
        """(samples,) at 16 kHz -> the same: CARE reads the waveform as it is.

        Raises:
            ValueError: shorter than one frame.
        """
        if len(waveform) < MIN_SAMPLES:
            raise ValueError(f"a waveform has {MIN_SAMPLES} or more samples, not {len(waveform)}")
        return waveform

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, samples), (B,) samples in each -> (B, T, D) frames and (B, T) True where padded."""
        states = waveforms.unsqueeze(1)  # (B, 1, samples)
        for index, convolution in enumerate(self.convolutions):
            states = convolution(states)  # (B, C, T')
            lengths = (lengths - KERNELS[index]) // STRIDES[index] + 1  # (B,)
            if index == 0:
                states = own_frames_norm(states, lengths, self.channel_norm)  # (B, C, T')
            states = nn.functional.gelu(states)  # (B, C, T')
        padding = padding_mask(lengths, states.shape[-1])  # (B, T)
        frames = self.projection(self.projection_norm(states.mT))  # (B, T, D)
        frames = frames.masked_fill(padding.unsqueeze(-1), 0.0)  # (B, T, D)
        # An even kernel gives one frame too many.
        places = nn.functional.gelu(self.positions(frames.mT)[..., : frames.shape[1]])  # (B, D, T)
        frames = self.dropout(self.norm(frames + places.mT))  # (B, T, D)
        return frames, padding


class RelativePosition(nn.Module):
    """How much a frame should attend to one so many frames away: one table for all layers."""

    def __init__(self, config: WavLmConfig) -> None:
        super().__init__()
        self.max_distance = config.max_distance
        self.table = nn.Embedding(config.buckets, config.heads)

    def forward(self, frames: int) -> Tensor:
        """-> (H, T, T) additions to the attention scores, for T = ``frames``."""
        place = torch.arange(frames, device=self.table.weight.device)  # (T,)
        offset = place - place.unsqueeze(1)  # (T, T) key minus query
        # Half the buckets look back, half ahead; of each half, the nearer half have a bucket each, and the others
        # share buckets that widen logarithmically.
        side = self.table.num_embeddings // 2
        exact = side // 2
        distance = offset.abs()  # (T, T)
        far = torch.log(distance.clamp(min=1) / exact) / math.log(self.max_distance / exact) * (side - exact)  # (T, T)
        bucket = torch.where(distance < exact, distance, (exact + far.long()).clamp(max=side - 1))  # (T, T)
        bias: Tensor = self.table(bucket + side * (offset > 0)).permute(2, 0, 1)  # (H, T, T)
        return bias


class WavLmLayer(nn.Module):
    """A transformer layer whose frames themselves say how much relative position counts (the paper's gate)."""

    def __init__(self, config: WavLmConfig, position: RelativePosition, *, detach_position: bool = False) -> None:
        """Build a layer.

        Args:
            config: dimensions.
            position: the table shared by all layers; the module that holds the layers registers it.
            detach_position: read the table without training it.
        """
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.detach_position = detach_position
        self._position = (position,)  # in a tuple, so that its weights are not saved once a layer
        head = config.width // config.heads
        self.query, self.key, self.value, self.out = (nn.Linear(config.width, config.width) for _ in range(4))
        self.gate = nn.Linear(head, 8)
        self.gate_scale = nn.Parameter(torch.ones(config.heads))
        self.attention_norm = nn.LayerNorm(config.width)
        self.wide = nn.Linear(config.width, config.feed_forward)
        self.narrow = nn.Linear(config.feed_forward, config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, frames: Tensor, padding: Tensor) -> Tensor:
        """(B, T, D), (B, T) True where padded -> (B, T, D)."""
        frames = self.attention_norm(frames + self._drop(self._attend(frames, padding)))  # (B, T, D)
        hidden = self._drop(nn.functional.gelu(self.wide(frames)))  # (B, T, feed_forward)
        refined: Tensor = self.norm(frames + self._drop(self.narrow(hidden)))  # (B, T, D)
        return refined

    def _attend(self, frames: Tensor, padding: Tensor) -> Tensor:
        """(B, T, D), (B, T) -> (B, T, D)."""
        by_head = (*frames.shape[:2], self.heads, -1)
        query, key, value = (
            part(frames).view(by_head).transpose(1, 2) for part in (self.query, self.key, self.value)
        )  # (B, H, T, D / H) each
        bias = self._bias(frames.view(by_head).transpose(1, 2))  # (B, H, T, T)
        bias = bias.masked_fill(padding[:, None, None], -torch.inf).to(query.dtype)  # (B, H, T, T)
        dropout = self.dropout if self.training else 0.0
        attended = nn.functional.scaled_dot_product_attention(query, key, value, bias, dropout)  # (B, H, T, D / H)
        out: Tensor = self.out(attended.transpose(1, 2).flatten(2))  # (B, T, D)
        return out

    def _bias(self, frames: Tensor) -> Tensor:
        """(B, H, T, D / H) -> (B, H, T, T): relative position, gated by the frame that attends."""
        gates = self.gate(frames).unflatten(-1, (2, 4)).sum(dim=-1).sigmoid()  # (B, H, T, 2)
        update, reset = gates.split(1, dim=-1)  # (B, H, T, 1) each
        strength = update * (reset * self.gate_scale[:, None, None] - 1.0) + 2.0  # (B, H, T, 1)
        position = self._position[0](frames.shape[2])  # (H, T, T)
        bias: Tensor = strength * (position.detach() if self.detach_position else position)  # (B, H, T, T)
        return bias

    def _drop(self, states: Tensor) -> Tensor:
        return nn.functional.dropout(states, self.dropout, self.training)


class ChannelNorm(Protocol):
    """The scale and shift of C channels, and a small number that keeps a silent one from division by zero."""

    eps: float

    @property
    def weight(self) -> Tensor: ...

    @property
    def bias(self) -> Tensor: ...


def own_frames_norm(states: Tensor, lengths: Tensor, norm: ChannelNorm) -> Tensor:
    """Normalise every channel over an utterance's own frames, and not over the batch's padding.

    Args:
        states: (B, C, T).
        lengths: (B,) frames in each.
        norm: scale and shift of the channels.

    Returns:
        (B, C, T); frames past the length are zero.
    """
    present = (~padding_mask(lengths, states.shape[-1])).unsqueeze(1)  # (B, 1, T)
    states = states.float()  # (B, C, T)
    count = lengths.view(-1, 1, 1)  # (B, 1, 1)
    mean = (states * present).sum(dim=-1, keepdim=True) / count  # (B, C, 1)
    centred = (states - mean) * present  # (B, C, T)
    variance = centred.square().sum(dim=-1, keepdim=True) / count  # (B, C, 1)
    scaled = centred * (variance + norm.eps).rsqrt() * norm.weight[:, None] + norm.bias[:, None]  # (B, C, T)
    return scaled * present
