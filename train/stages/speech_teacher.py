"""A teacher for the speech encoder: the encoder of a Whisper (Radford et al. 2022), used in training only.

It has heard 680,000 hours of speech, so to predict its hidden states is to learn what speech is like, which a few
hours of acted clips do not teach. Nothing of it is shipped.

Notation: T frames at 50 a second, L layers, H heads, D width.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.train.errors import TrainError

MELS = 80
FFT = 400
HOP = 160
HEAD_WIDTH = 64  # in a Whisper of any size
HUB = "model.encoder."  # before the encoder's names in the hub's file


class WhisperEncoder:
    """Waveform -> hidden states of every layer, at 25 frames a second."""

    def __init__(self, path: Path) -> None:
        """Read the encoder's weights, by themselves or among all that the hub has of ``openai/whisper-base``, say.

        Raises:
            TrainError: they cannot be read, or are not such weights.
        """
        try:
            self.weights = {name.removeprefix(HUB): value.float() for name, value in load_file(path).items()}
            self.width, mels, _ = self.weights["conv1.weight"].shape
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise TrainError(f"{path}: not the weights of a Whisper encoder: {error}") from error
        if mels != MELS:
            raise TrainError(f"{path}: a Whisper of {mels} mels, where {MELS} are heard")
        self.layers = sum(name.endswith(".fc1.weight") for name in self.weights if name.startswith("layers."))
        if not self.layers or self.width % HEAD_WIDTH:
            raise TrainError(f"{path}: not the weights of a Whisper encoder: {self.layers} layers of {self.width}")
        self.filters = slaney_filters()  # (MELS, FFT // 2 + 1)

    @torch.inference_mode()
    def __call__(self, waveform: Tensor) -> Tensor:
        """(samples,) at 16 kHz, at most 30 s -> (L, T / 2, D)."""
        window = torch.hann_window(FFT)
        spectrum = torch.stft(waveform, FFT, HOP, window=window, return_complex=True)[:, :-1]  # (F, 2 T)
        log_mel = (self.filters @ spectrum.abs().square()).clamp(min=1e-10).log10()  # (MELS, 2 T)
        log_mel = (torch.maximum(log_mel, log_mel.max() - 8.0) + 4.0) / 4.0  # (MELS, 2 T)
        w = self.weights
        states = nn.functional.gelu(nn.functional.conv1d(log_mel, w["conv1.weight"], w["conv1.bias"], padding=1))
        states = nn.functional.conv1d(states, w["conv2.weight"], w["conv2.bias"], stride=2, padding=1)  # (D, T)
        states = nn.functional.gelu(states).T  # (T, D)
        states = states + w["embed_positions.weight"][: len(states)]  # (T, D)
        layers = []
        for index in range(self.layers):
            states = self._layer(states, f"layers.{index}.")  # (T, D)
            layers.append(states)
        found = torch.stack(layers)[:, : len(states) // 2 * 2]  # (L, T, D)
        return found.reshape(self.layers, -1, 2, self.width).mean(dim=2)  # (L, T / 2, D)

    def _layer(self, states: Tensor, prefix: str) -> Tensor:
        inputs = self._norm(states, prefix + "self_attn_layer_norm")  # (T, D)
        queries, keys, values = (
            self._linear(inputs, f"{prefix}self_attn.{part}_proj").view(len(inputs), -1, HEAD_WIDTH).transpose(0, 1)
            for part in ("q", "k", "v")
        )  # each (H, T, D / H)
        attended = nn.functional.scaled_dot_product_attention(queries, keys, values)  # (H, T, D / H)
        states = states + self._linear(attended.transpose(0, 1).flatten(1), prefix + "self_attn.out_proj")  # (T, D)
        hidden = nn.functional.gelu(self._linear(self._norm(states, prefix + "final_layer_norm"), prefix + "fc1"))
        return states + self._linear(hidden, prefix + "fc2")  # (T, D)

    def _norm(self, states: Tensor, name: str) -> Tensor:
        return nn.functional.layer_norm(
            states, (self.width,), self.weights[name + ".weight"], self.weights[name + ".bias"]
        )

    def _linear(self, states: Tensor, name: str) -> Tensor:
        return nn.functional.linear(states, self.weights[name + ".weight"], self.weights.get(name + ".bias"))


def slaney_filters() -> Tensor:
    """The mel filters Whisper was trained with: linear below 1 kHz, logarithmic above, of equal area.

    Returns (MELS, FFT // 2 + 1).
    """
    linear_step, knee, log_step = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0
    top = knee / linear_step + math.log(SAMPLE_RATE / 2 / knee) / log_step
    mels = torch.linspace(0.0, top, MELS + 2)  # (MELS + 2,)
    corners = torch.where(
        mels < knee / linear_step, mels * linear_step, knee * torch.exp(log_step * (mels - knee / linear_step))
    )  # (MELS + 2,) Hz
    bins = torch.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1)  # (F,) Hz
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]  # (MELS, F)
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]  # (MELS, F)
    return torch.minimum(rising, falling).clamp(min=0.0) * (2.0 / (corners[2:] - corners[:-2]))[:, None]  # (MELS, F)
