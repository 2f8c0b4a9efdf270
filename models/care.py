"""CARE: a speech encoder for the words and for their sound (Dutta and Ganapathy, arXiv 2409.05566, Fig. 1).

    front end -> common encoder -+-> semantic encoder   (learns to predict the words' meaning)
                                 +-> acoustic encoder   (learns to predict how the frames sound)

An utterance is handed on as what every layer says of it: the states of the semantic path and of the acoustic path side
by side, pooled over time, from the front end's output to the last layer; and once more the last semantic states alone.
How much each layer counts is learned by the Stage-I head that reads them.

The acoustic path reads the common encoder but sends no gradient into it, so that the common encoder serves the words.
Padded frames are masked in every step: an utterance reads the same alone and in a batch.

Notation: B batch, T frames, D width, L layers (front end, common, then one path), F features a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import pydantic.dataclasses
import torch
from torch import Tensor, nn

from emotrack.models.front_end import LogMelFrontEnd
from emotrack.models.sizes import Heads, Layers, Width
from emotrack.models.transformer import TransformerLayer

Pooling = Literal["mean", "spread", "attentive"]


class FrontEnd(Protocol):
    """A module that turns an utterance into frames."""

    width: int

    def prepare(self, waveform: Tensor) -> Tensor:
        """(samples,) at 16 kHz -> (T0, ...) the input of ``forward`` for one utterance."""
        ...

    def __call__(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T0, ...), (B,) -> (B, T, D) frames and (B, T) True where padded."""
        ...


@dataclass(frozen=True, slots=True)
class SpeechFeatures:
    """Utterances as a Stage-I head reads them."""

    layers: Tensor  # (B, L, F)
    summary: Tensor | None  # (B, S)
    frames: Tensor | None = None  # (B,) of how many they are, where that is known


@dataclass(frozen=True, slots=True)
class CareStates:
    """Frames of utterances, layer by layer."""

    semantic: Tensor  # (B, L, T, D)
    acoustic: Tensor  # (B, L, T, D)
    padding: Tensor  # (B, T) True where padded


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class CareConfig:
    """Dimensions of a small CARE on log-mel frames.

    Raises:
        ValueError: there is none of such dimensions.
    """

    width: Width = 192
    common: Layers = 2
    branch: Layers = 1  # of the semantic and of the acoustic encoder
    heads: Heads = 4
    feed_forward: Width = 768

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")


class CareLayer(nn.Module):
    """A convolution over neighbouring frames, then a transformer layer over all of them, both residual."""

    NEIGHBOURHOOD = 15  # frames: 0.6 s

    def __init__(self, config: CareConfig) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width)
        self.neighbours = nn.Conv1d(width, width, self.NEIGHBOURHOOD, padding=self.NEIGHBOURHOOD // 2, groups=width)
        self.transformer = TransformerLayer(width, config.heads, config.feed_forward, dropout=0.0, norm_first=True)

    def forward(self, frames: Tensor, padding: Tensor) -> Tensor:
        """(B, T, D), (B, T) True where padded -> (B, T, D)."""
        local = self.norm(frames).masked_fill(padding.unsqueeze(-1), 0.0)  # (B, T, D)
        frames = frames + nn.functional.gelu(self._relate(local))  # (B, T, D)
        refined: Tensor = self.transformer(frames, src_key_padding_mask=padding)  # (B, T, D)
        return refined

    def _relate(self, frames: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D), ``neighbours`` of each frame."""
        # As an image of one row, whose layout oneDNN likes: the same, 5 times as quick for one turn and 20 for four.
        of_row = (self.neighbours.weight.unsqueeze(2), self.neighbours.bias)  # (D, 1, 1, N), (D,)
        padding = (0, self.NEIGHBOURHOOD // 2)
        # In full width: in bf16, processors that have it may take a minute for a narrow one.
        with torch.autocast("cpu", enabled=False):
            image = frames.to(self.neighbours.weight.dtype).mT.unsqueeze(2)  # (B, D, 1, T)
            row = nn.functional.conv2d(image, *of_row, padding=padding, groups=frames.shape[2])  # (B, D, 1, T)
        return row.squeeze(2).mT  # (B, T, D)


class Care(nn.Module):
    """Front end, common encoder and the two paths; every layer is called with frames and padding."""

    def __init__(
        self,
        front_end: FrontEnd,
        common: Sequence[nn.Module],
        semantic: Sequence[nn.Module],
        acoustic: Sequence[nn.Module],
        *,
        pooling: Pooling,
    ) -> None:
        """Put the parts together.

        Args:
            front_end: waveforms or features -> frames.
            common: layers of the common encoder.
            semantic: layers of the semantic encoder; without any, what the common encoder says is all that is said.
            acoustic: layers of the acoustic encoder, as many.
            pooling: over time: the plain mean, as the published model has it; ``spread``, mean and deviation; or those
                with each frame weighted by how much it tells (Okabe et al. 2018), so that silence around the words does
                not count.

        Raises:
            ValueError: the two paths differ in length, so their layers cannot lie side by side.
        """
        super().__init__()
        if len(semantic) != len(acoustic):
            raise ValueError(f"{len(semantic)} semantic layers, but {len(acoustic)} acoustic ones")
        self.front_end = cast("nn.Module", front_end)
        self.common = nn.ModuleList(common)
        self.semantic = nn.ModuleList(semantic)
        self.acoustic = nn.ModuleList(acoustic)
        width = front_end.width
        self.attention = (
            nn.Sequential(nn.Linear(2 * width, width // 2), nn.Tanh(), nn.Linear(width // 2, 1))
            if pooling == "attentive"
            else None
        )
        self.pooling = pooling
        pooled = width * (1 if pooling == "mean" else 2)
        self.frame_width = width
        self.layers = 1 + len(common) + len(semantic)
        self.width = pooled * (2 if semantic else 1)
        self.summary_width = pooled if semantic else 0

    def prepare(self, waveform: Tensor) -> Tensor:
        """(samples,) at 16 kHz -> (T0, ...) the input of ``forward`` for one utterance."""
        return cast("FrontEnd", self.front_end).prepare(waveform)

    def states(self, inputs: Tensor, lengths: Tensor) -> CareStates:
        """Encode frames, keeping every layer: (B, T0, ...), (B,) -> states."""
        frames, padding = self.front_end(inputs, lengths)  # (B, T, D), (B, T)
        shared = run_layers(self.common, frames, padding)
        if not self.semantic:
            states = torch.stack(shared, dim=1)  # (B, L, T, D)
            return CareStates(states, states.detach(), padding)
        semantic = run_layers(self.semantic, shared[-1], padding)[1:]
        acoustic = run_layers(self.acoustic, shared[-1].detach(), padding)[1:]
        return CareStates(
            semantic=torch.stack([*shared, *semantic], dim=1),  # (B, L, T, D)
            acoustic=torch.stack([*(state.detach() for state in shared), *acoustic], dim=1),  # (B, L, T, D)
            padding=padding,
        )

    def pool(self, states: CareStates) -> SpeechFeatures:
        """Features of each utterance as a whole, by layer."""
        weights = self._frame_weights(states)  # (B, T)
        frames = (~states.padding).sum(dim=1)  # (B,)
        semantic = self._over_time(states.semantic, weights)  # (B, L, F / 2), or all F where there are no paths
        if not self.semantic:
            return SpeechFeatures(semantic, None, frames)
        acoustic = self._over_time(states.acoustic, weights)  # (B, L, F / 2)
        return SpeechFeatures(torch.cat([semantic, acoustic], dim=-1), semantic[:, -1], frames)

    def forward(self, inputs: Tensor, lengths: Tensor) -> SpeechFeatures:
        """Encode utterances.

        Args:
            inputs: (B, T0, ...) the utterances as ``prepare`` gives them, padded.
            lengths: (B,) the T0 of each.
        """
        return self.pool(self.states(inputs, lengths))

    def _frame_weights(self, states: CareStates) -> Tensor:
        """(B, T) how much each frame counts; they sum to 1."""
        if self.attention is None:
            scores = torch.zeros(states.padding.shape, device=states.padding.device)  # (B, T)
        else:
            last = torch.cat([states.semantic[:, -1], states.acoustic[:, -1]], dim=-1)  # (B, T, 2 D)
            scores = self.attention(last).squeeze(-1).float()  # (B, T)
        return scores.masked_fill(states.padding, -torch.inf).softmax(dim=1)  # (B, T)

    def _over_time(self, states: Tensor, weights: Tensor) -> Tensor:
        """(B, L, T, D), (B, T) -> (B, L, D) means, followed by deviations unless ``pooling`` is the mean."""
        states = states.float()  # (B, L, T, D)
        weights = weights[:, None, :, None]  # (B, 1, T, 1)
        mean = (weights * states).sum(dim=2)  # (B, L, D)
        if self.pooling == "mean":
            return mean
        variance = (weights * (states - mean.unsqueeze(2)).square()).sum(dim=2)  # (B, L, D)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=-1)  # (B, L, 2 D)


def small_care(config: CareConfig) -> Care:
    """A CARE of the same plan on log-mel frames, small enough to be trained and run on a processor."""
    return Care(
        LogMelFrontEnd(config.width),
        common=[CareLayer(config) for _ in range(config.common)],
        semantic=[CareLayer(config) for _ in range(config.branch)],
        acoustic=[CareLayer(config) for _ in range(config.branch)],
        pooling="attentive",
    )


def run_layers(layers: nn.ModuleList, frames: Tensor, padding: Tensor) -> list[Tensor]:
    """(B, T, D) frames, and the output of each layer in turn."""
    states = [frames]
    for layer in layers:
        states.append(layer(states[-1], padding))
    return states
