"""Text and speech encoders of the Hugging Face hub, in the place of the small ones.

    text    RoBERTa, BERT, DistilBERT, ELECTRA, MPNet, ...: any model trained to fill gaps in text
            Llama, Mistral, Qwen, Gemma, GPT-2, ...: any decoder, that is a language model without an encoder
    speech  WavLM, HuBERT, wav2vec 2.0, and the encoder of Whisper

An utterance reads the same alone and in a padded batch. Layers of speech are pooled over an utterance's own frames.

Notation: B batch, N tokens, T frames at 50 a second, D width, L layers (the first one's input, then each one's output).
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from emotrack.models import hub
from emotrack.models.bounds import SAMPLE_RATE
from emotrack.models.care import SpeechFeatures
from emotrack.models.front_end import padding_mask
from emotrack.models.hub import HubError
from emotrack.models.sizes import EarlierTurns, Flag, Tokens
from emotrack.models.wavlm import own_frames_norm

SPEECH_FAMILIES = ("wavlm", "hubert", "wav2vec2", "whisper")
WHISPER_SAMPLES = 30 * SAMPLE_RATE  # Whisper always reads 30 s
WHISPER_FFT = 400  # samples: 25 ms
WHISPER_HOP = 160  # samples: 10 ms


@dataclass(frozen=True, slots=True)
class HubTextConfig:
    """A text encoder of the hub.

    Raises:
        ValueError: a number of its configuration cannot be meant.
    """

    model: dict[str, Any]  # its configuration, in transformers' words
    origin: str  # hub id and commit, or a folder's name
    max_tokens: Tokens = 128  # longer texts are cut: 25 s of quick speech has about 110
    turns_before: EarlierTurns = 0  # how many earlier turns are read with a turn

    def __post_init__(self) -> None:
        hub.check_sizes(self.model)

    @classmethod
    def from_hub(cls, name: str, max_tokens: int = 128, turns_before: int = 0) -> Self:
        """That of a hub id or folder. Raises ``HubError``, in one line."""
        folder = hub.find(name)
        return cls(hub.read_config(name, folder), hub.origin(name, folder), max_tokens, turns_before)

    @property
    def vocabulary(self) -> int:
        """How many tokens it has embeddings for; 0 where its configuration does not say."""
        size = self.model.get("vocab_size")
        return size if isinstance(size, int) else 0

    @property
    def reads_forward(self) -> bool:
        """It is a decoder: a token sees itself and those before it alone."""
        return hub.is_decoder(self.model)


@dataclass(frozen=True, slots=True)
class HubSpeechConfig:
    """A speech encoder of the hub.

    Raises:
        ValueError: a number of its configuration cannot be meant.
    """

    model: dict[str, Any]  # its configuration, in transformers' words
    origin: str  # hub id and commit, or a folder's name
    normalise: Flag  # it was trained on waveforms of zero mean and unit variance

    def __post_init__(self) -> None:
        hub.check_sizes(self.model)


class HubTextEncoder(nn.Module):
    """Token ids -> one embedding an utterance: the first token's state in the last layer; of a decoder, the last's.

    The paper says RoBERTa and a fully connected layer; that the layer reads the first token is how RoBERTa classifies
    (Liu et al. 2019, after Devlin et al. 2019). Of a decoder, the last token alone has seen all of a text, so decoders
    classify by it (Radford et al. 2018, and transformers' classifiers of Llama and others).
    """

    def __init__(self, config: HubTextConfig, model: Any = None) -> None:
        """Build the encoder.

        Args:
            config: the kind and dimensions of the encoder.
            model: transformers' model with its weights; without one, they are random until a bundle's are loaded.

        Raises:
            HubError: the configuration is not that of a text encoder, or it reads fewer tokens than asked for.
        """
        super().__init__()
        family = config.model.get("model_type")
        self.reads_forward = config.reads_forward
        if not self.reads_forward and not hub.fills_gaps(family):
            raise HubError(
                f"{config.origin}: {family!r} neither fills gaps in text (as RoBERTa) nor is a decoder (as Llama)"
            )
        self.config = config
        self.model = model or hub.build(config.model)
        self.width = int(self.model.config.hidden_size)
        unused = 0 if self.reads_forward else 2  # RoBERTa never uses its first two places
        places = getattr(self.model.config, "max_position_embeddings", config.max_tokens + unused) - unused
        if config.max_tokens > places:
            raise HubError(f"{config.origin}: reads {places} tokens at most, not {config.max_tokens}")

    @classmethod
    def from_hub(cls, name: str, max_tokens: int = 128, turns_before: int = 0) -> Self:
        """Load a hub id or folder, with its weights. Raises ``HubError``, in one line."""
        config = HubTextConfig.from_hub(name, max_tokens, turns_before)
        return cls(config, hub.load(name, hub.find(name), config.model))

    def forward(self, ids: Tensor, padding: Tensor, own: Tensor) -> Tensor:  # noqa: ARG002
        """Encode a batch.

        Args:
            ids: (B, N) token ids, N <= ``max_tokens``.
            padding: (B, N) True where there is no token.
            own: (B,) as the small encoder takes it; the first token, or a decoder's last, sums up all that it reads.

        Returns:
            (B, D) embeddings.
        """
        states = self.states(ids, padding)  # (B, N, D)
        if not self.reads_forward:
            return states[:, 0]
        last = (~padding).sum(dim=1) - 1  # (B,)
        return states[torch.arange(len(states), device=states.device), last]

    def states(self, ids: Tensor, padding: Tensor) -> Tensor:
        """(B, N) token ids, (B, N) padding -> (B, N, D) the last layer's state of every token."""
        options = {"use_cache": False} if self.reads_forward else {}  # nothing is written on from here
        found = self.model(input_ids=ids, attention_mask=(~padding).long(), **options).last_hidden_state  # (B, N, D)
        states: Tensor = found.float()  # a frozen base may be narrower
        return states


class HubSpeechEncoder(nn.Module):
    """Waveforms -> the states of every layer of WavLM, HuBERT, wav2vec 2.0 or Whisper, pooled over time."""

    summary_width = 0  # such a summary is CARE's own

    def __init__(self, config: HubSpeechConfig, model: Any = None) -> None:
        """Build the encoder.

        Args:
            config: the kind and dimensions of the encoder.
            model: transformers' model with its weights; without one, they are random until a bundle's are loaded.

        Raises:
            HubError: the configuration is not that of a speech encoder.
        """
        super().__init__()
        self.config = config
        family = config.model.get("model_type")
        if family not in SPEECH_FAMILIES:
            raise HubError(f"{config.origin}: {family!r} is no speech encoder of {', '.join(SPEECH_FAMILIES)}")
        model = model or hub.build(config.model)
        self.encoder = WhisperFrames(model) if family == "whisper" else WaveformFrames(model)
        self.layers = 1 + int(self.encoder.model.config.num_hidden_layers)
        self.width = int(self.encoder.model.config.hidden_size)

    @classmethod
    def from_hub(cls, name: str) -> Self:
        """Load a hub id or folder, with its weights. Raises ``HubError``, in one line."""
        folder = hub.find(name)
        config = HubSpeechConfig(
            hub.read_config(name, folder), hub.origin(name, folder), hub.reads_normalised(name, folder)
        )
        return cls(config, hub.load(name, folder, config.model))

    def prepare(self, waveform: Tensor) -> Tensor:
        """(samples,) at 16 kHz -> (samples,), of zero mean and unit variance if the encoder was trained so.

        Raises:
            ValueError: shorter than one frame, or longer than the encoder reads.
        """
        shortest, longest = self.encoder.shortest, self.encoder.longest
        if not shortest <= len(waveform) <= longest:
            raise ValueError(f"a waveform has {shortest} to {longest} samples here, not {len(waveform)}")
        if not self.config.normalise:
            return waveform
        variance, mean = torch.var_mean(waveform, correction=0)
        return (waveform - mean) * (variance + 1e-7).rsqrt()

    def forward(self, inputs: Tensor, lengths: Tensor) -> SpeechFeatures:
        """Encode utterances.

        Args:
            inputs: (B, samples) the waveforms as ``prepare`` gives them, padded.
            lengths: (B,) samples in each.
        """
        inputs = inputs.masked_fill(padding_mask(lengths, inputs.shape[1]), 0.0)  # (B, samples)
        states, frames = self.encoder(inputs, lengths)  # (B, L, T, D), (B,)
        present = (~padding_mask(frames, states.shape[2]))[:, None, :, None]  # (B, 1, T, 1)
        mean = (states.float() * present).sum(dim=2) / frames.view(-1, 1, 1)  # (B, L, D)
        return SpeechFeatures(layers=mean, summary=None)


class WaveformFrames(nn.Module):
    """The frames of WavLM, HuBERT or wav2vec 2.0, which read waveforms."""

    longest = 60 * SAMPLE_RATE  # attention grows with the square of the length

    def __init__(self, model: Any) -> None:
        super().__init__()
        # WavLM adds a mask of truth values to one of numbers, which torch says it will stop to do.
        warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
        self.model = model
        self.strides = list(zip(model.config.conv_kernel, model.config.conv_stride, strict=True))
        self.shortest = 1
        for kernel, stride in reversed(self.strides):
            self.shortest = (self.shortest - 1) * stride + kernel
        if model.config.feat_extract_norm == "group":
            first = model.feature_extractor.conv_layers[0]
            first.layer_norm = OwnFramesNorm(first.layer_norm)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, samples), (B,) -> (B, L, T, D) states, and (B,) frames in each."""
        present = (~padding_mask(lengths, waveforms.shape[1])).long()  # (B, samples)
        for index, (kernel, stride) in enumerate(self.strides):
            lengths = (lengths - kernel) // stride + 1  # (B,)
            if index == 0 and self.model.config.feat_extract_norm == "group":
                self.model.feature_extractor.conv_layers[0].layer_norm.lengths = lengths
        states = self.model(waveforms, attention_mask=present, output_hidden_states=True).hidden_states
        return torch.stack(states, dim=1), lengths


class OwnFramesNorm(nn.Module):
    """The base models' first normalisation over an utterance's own frames; theirs is over the batch's padding too.

    Its place in the library's model gets no lengths, so they are set before each pass.
    """

    lengths: Tensor  # (B,) frames in each

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, states: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return own_frames_norm(states, self.lengths, self)


class WhisperFrames(nn.Module):
    """The frames of Whisper's encoder, which reads 30 s of log-mel and, as it was trained, hears the silence after."""

    shortest = WHISPER_FFT
    longest = WHISPER_SAMPLES
    window: Tensor
    filters: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("window", torch.hann_window(WHISPER_FFT), persistent=False)
        self.register_buffer("filters", hub.whisper_filters(model.config.num_mel_bins), persistent=False)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, samples), (B,) -> (B, L, T, D) states with T = 1500, and (B,) frames that hold speech in each."""
        states = self.model(self.log_mel(waveforms), output_hidden_states=True).hidden_states  # L of (B, T, D)
        samples = 2 * WHISPER_HOP  # a frame
        return torch.stack(states, dim=1), (lengths + samples - 1) // samples

    def log_mel(self, waveforms: Tensor) -> Tensor:
        """(B, samples) -> (B, M, 3000) as Whisper was trained on (Radford et al. 2022, section 2.2)."""
        waveforms = nn.functional.pad(waveforms.float(), (0, WHISPER_SAMPLES - waveforms.shape[1]))  # (B, samples)
        spectrum = torch.stft(waveforms, WHISPER_FFT, WHISPER_HOP, window=self.window, return_complex=True)
        with torch.autocast(waveforms.device.type, enabled=False):  # of small numbers, logarithms are taken next
            power = self.filters @ spectrum[..., :-1].abs().square()  # (B, M, 3000)
        decades = power.clamp(min=1e-10).log10()  # (B, M, 3000)
        loudest = decades.amax(dim=(1, 2), keepdim=True)  # (B, 1, 1)
        return (torch.maximum(decades, loudest - 8.0) + 4.0) / 4.0  # (B, M, 3000)
