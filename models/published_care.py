"""CARE at the published size (arXiv 2409.05566): WavLM-base cut in two, and half of RoBERTa-base on top of it.

    front end         WavLM-base's, frozen
    common encoder    WavLM-base's layers 1 to 6
    acoustic encoder  WavLM-base's layers 7 to 12; their states of a frame predict its sound
    semantic encoder  RoBERTa-base's layers 7 to 12, frozen, each between two trained adapters that make of 50 frames a
                      second something like the rate of words, and back; its mean over time predicts what the words mean

Every utterance gets 13 layers of 1,536 features and a summary of 768. Sizes and the places of the adapters are the
authors' code's. Theirs hears the padding of a batch, ours does not; and where their adapters leave the last frame of an
utterance at zero (lengths of 3 k + 1), ours leave it at the adapter's bias.

Notation: B batch, T frames at 50 a second, W windows of five frames every three, D width.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Self

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from emotrack.models import hub
from emotrack.models.care import Care
from emotrack.models.front_end import padding_mask
from emotrack.models.hub import HubError
from emotrack.models.transformer import TransformerLayer
from emotrack.models.wavlm import RelativePosition, WavLmConfig, WavLmFrontEnd, WavLmLayer

WINDOW, STRIDE = 5, 3  # frames that an adapter sees, and moves by: 17 windows a second


@dataclass(frozen=True, slots=True)
class PublishedCareConfig:
    """Dimensions of a CARE made of WavLM and RoBERTa; the defaults are the published ones."""

    wavlm: WavLmConfig = field(default_factory=WavLmConfig)
    origin: str = ""  # hub ids and commits of the models it was made of


class SemanticLayer(nn.Module):
    """A layer of RoBERTa between adapters: frames -> windows -> frames."""

    def __init__(self, config: WavLmConfig) -> None:
        super().__init__()
        self.down = nn.Conv1d(config.width, config.width, WINDOW, STRIDE)
        self.roberta = TransformerLayer(config.width, config.heads, config.feed_forward, config.dropout).requires_grad_(
            False
        )
        self.up = nn.ConvTranspose1d(config.width, config.width, WINDOW, STRIDE)

    def forward(self, frames: Tensor, padding: Tensor) -> Tensor:
        """(B, T, D), (B, T) True where padded -> (B, T, D)."""
        length = frames.shape[1]  # T
        frames = frames.masked_fill(padding.unsqueeze(-1), 0.0)  # (B, T, D)
        # An utterance shorter than a window is one window.
        frames = nn.functional.pad(frames, (0, 0, 0, max(0, WINDOW - length)))  # (B, T, D), T >= WINDOW
        windows = (((~padding).sum(dim=1) - WINDOW) // STRIDE + 1).clamp(min=1)  # (B,)
        states = self.down(frames.mT).mT  # (B, W, D)
        outside = padding_mask(windows, states.shape[1])  # (B, W)
        states = self.roberta(states, src_key_padding_mask=outside)  # (B, W, D)
        states = states.masked_fill(outside.unsqueeze(-1), 0.0)  # (B, W, D)
        frames = self.up(states.mT, output_size=(frames.shape[1],)).mT  # (B, T, D)
        return frames[:, :length]


class PublishedCare(Care):
    """CARE as published; its output is that of ``Care``."""

    def __init__(self, config: PublishedCareConfig) -> None:
        """Build it with random weights."""
        shape, half = config.wavlm, config.wavlm.layers // 2
        position = RelativePosition(shape)
        super().__init__(
            WavLmFrontEnd(shape).requires_grad_(False),
            common=[WavLmLayer(shape, position) for _ in range(half)],
            semantic=[SemanticLayer(shape) for _ in range(half)],
            acoustic=[WavLmLayer(shape, position, detach_position=True) for _ in range(half)],
            pooling="mean",
        )
        self.config = config
        self.position = position

    @classmethod
    def from_hub(cls, wavlm: str, roberta: str) -> Self:
        """Make one of the weights of WavLM and RoBERTa; the adapters are random until CARE's own training.

        Args:
            wavlm: hub id or folder, ``microsoft/wavlm-base`` in the paper.
            roberta: hub id or folder, ``FacebookAI/roberta-base`` in the paper.

        Raises:
            HubError: one of them cannot be had, or they do not fit together.
        """
        speech, speech_origin = _load(wavlm, "wavlm")
        text, text_origin = _load(roberta, "roberta")
        care = cls(PublishedCareConfig(_shape(speech.config, wavlm), f"{speech_origin} {text_origin}"))
        _copy_front_end(care.front_end, speech)
        care.position.table.load_state_dict(speech.encoder.layers[0].attention.rel_attn_embed.state_dict())
        for ours, theirs in zip([*care.common, *care.acoustic], speech.encoder.layers, strict=True):
            _copy_wavlm_layer(ours, theirs)
        upper = list(text.encoder.layer)[-len(care.semantic) :]
        try:
            for ours, theirs in zip(care.semantic, upper, strict=True):
                _copy_roberta_layer(ours, theirs)
        except (RuntimeError, ValueError) as error:
            raise HubError(f"{wavlm} and {roberta}: their dimensions differ") from error
        return care


def _load(name: str, family: str) -> tuple[Any, str]:
    folder = hub.find(name)
    document = hub.read_config(name, folder)
    if document["model_type"] != family:
        raise HubError(f"{name}: CARE is made of a {family} here, not of a {document['model_type']}")
    return hub.load(name, folder, document), hub.origin(name, folder)


def _shape(config: Any, name: str) -> WavLmConfig:
    """The dimensions of a WavLM. Raises ``HubError`` where it has another plan than WavLM-base."""
    if config.feat_extract_norm != "group" or config.do_stable_layer_norm or config.num_hidden_layers % 2:
        raise HubError(f"{name}: CARE takes the plan of WavLM-base, not that of WavLM-large")
    return WavLmConfig(
        width=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        feed_forward=config.intermediate_size,
        channels=config.conv_dim[0],
        position_kernel=config.num_conv_pos_embeddings,
        position_groups=config.num_conv_pos_embedding_groups,
        buckets=config.num_buckets,
        max_distance=config.max_bucket_distance,
        dropout=config.hidden_dropout,
    )


def _copy_front_end(ours: nn.Module, theirs: Any) -> None:
    convolutions = {f"convolutions.{i}": layer.conv for i, layer in enumerate(theirs.feature_extractor.conv_layers)}
    _copy(
        ours,
        convolutions
        | {
            "channel_norm": theirs.feature_extractor.conv_layers[0].layer_norm,
            "projection_norm": theirs.feature_projection.layer_norm,
            "projection": theirs.feature_projection.projection,
            "positions": theirs.encoder.pos_conv_embed.conv,
            "norm": theirs.encoder.layer_norm,
        },
    )


def _copy_wavlm_layer(ours: nn.Module, theirs: Any) -> None:
    attention = theirs.attention
    _copy(
        ours,
        {
            "query": attention.q_proj,
            "key": attention.k_proj,
            "value": attention.v_proj,
            "out": attention.out_proj,
            "gate": attention.gru_rel_pos_linear,
            "attention_norm": theirs.layer_norm,
            "wide": theirs.feed_forward.intermediate_dense,
            "narrow": theirs.feed_forward.output_dense,
            "norm": theirs.final_layer_norm,
        },
        {"gate_scale": attention.gru_rel_pos_const.flatten()},
    )


def _copy_roberta_layer(ours: Any, theirs: Any) -> None:
    attention = theirs.attention.self
    parts = (attention.query, attention.key, attention.value)
    _copy(
        ours.roberta,
        {
            "self_attn.out_proj": theirs.attention.output.dense,
            "norm1": theirs.attention.output.LayerNorm,
            "linear1": theirs.intermediate.dense,
            "linear2": theirs.output.dense,
            "norm2": theirs.output.LayerNorm,
        },
        {
            "self_attn.in_proj_weight": torch.cat([part.weight for part in parts]),
            "self_attn.in_proj_bias": torch.cat([part.bias for part in parts]),
        },
    )


def _copy(ours: nn.Module, modules: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> None:
    """Take over the weights of modules under our names for them; every weight of ours must be met."""
    state = dict(tensors or {})
    for name, module in modules.items():
        # Read as attributes, so that weights in two factors come multiplied.
        state |= {
            f"{name}.{kind}": getattr(module, kind) for kind in ("weight", "bias") if getattr(module, kind) is not None
        }
    ours.load_state_dict(state)
