"""The lower part of a Whisper's encoder from its published weights, as the CARE of a bundle begins."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from emotrack.models.care import Care
from emotrack.models.whisper import POSITIONS, WhisperCareConfig, whisper_care
from emotrack.train.errors import TrainError
from emotrack.train.stages.speech_teacher import HUB

LAYER = {  # our names, and the hub's
    "self_attn.out_proj": "self_attn.out_proj",
    "linear1": "fc1",
    "linear2": "fc2",
    "norm1": "self_attn_layer_norm",
    "norm2": "final_layer_norm",
}


def load_whisper(path: Path, config: WhisperCareConfig) -> Care:
    """The CARE of a configuration, with Whisper's weights, by themselves or among all that the hub has of one.

    Raises:
        TrainError: they cannot be read, or are not weights of such dimensions.
    """
    try:
        weights = {name.removeprefix(HUB): value.float() for name, value in load_file(path).items()}
        state = _front_end(weights)
        for place in range(config.blocks):
            state |= {f"common.{place}.{name}": value for name, value in _layer(weights, f"layers.{place}.").items()}
        encoder = whisper_care(config)
        encoder.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainError(f"{path}: not the weights of a Whisper encoder of these dimensions: {reason}") from error
    return encoder.requires_grad_(False).eval()


def _front_end(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {
        f"front_end.{ours}.{kind}": weights[f"{theirs}.{kind}"]
        for ours, theirs in (("first", "conv1"), ("second", "conv2"))
        for kind in ("weight", "bias")
    }
    return found | {"front_end.positions": weights["embed_positions.weight"][:POSITIONS]}


def _layer(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    queries, keys, values = (f"{prefix}self_attn.{part}_proj." for part in "qkv")
    found = {
        f"{ours}.{kind}": weights[f"{prefix}{theirs}.{kind}"]
        for ours, theirs in LAYER.items()
        for kind in ("weight", "bias")
    }
    bias = torch.zeros_like(weights[f"{queries}bias"])  # keys have none
    return found | {
        "self_attn.in_proj_weight": torch.cat([weights[f"{part}weight"] for part in (queries, keys, values)]),
        "self_attn.in_proj_bias": torch.cat([weights[f"{queries}bias"], bias, weights[f"{values}bias"]]),
    }
