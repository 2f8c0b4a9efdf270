"""The network: two encoders, a classifier for each, and a late fusion over a rolling window of turns.

It knows its own specification (labels, sample rate, context), so that whoever runs it needs nothing else. Encoding
(``embed_speech``, ``embed_text``) and estimating are apart: the encoders may run in different threads, and the
embeddings are joined, turn by turn, in the order of the conversation.

Notation: C labels, E embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.models.context import EmotionEstimate, Part, RollingContext, TurnEmbedding
from emotrack.models.features import SAMPLE_RATE, LogMel, normalise
from emotrack.models.fusion import LateFusion, Opinion
from emotrack.models.labels import EMOTIONS
from emotrack.models.speech_encoder import SpeechConfig, SpeechEncoder
from emotrack.models.text_encoder import TextConfig, TextEncoder

MIN_SPEECH_S = 0.1
MAX_SPEECH_S = 30.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns one classifier's scores into an opinion."""

    temperature: float = 1.0  # scores are divided by it; fitted on dev
    prior: tuple[float, ...] = (1.0 / len(EMOTIONS),) * len(EMOTIONS)  # how often it met each label in training


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Everything about a network but its weights and vocabulary."""

    name: str = "untrained"
    labels: tuple[str, ...] = EMOTIONS
    sample_rate: int = SAMPLE_RATE  # Hz
    context: int = 8  # turns
    prior_trust: float = 1.0  # in the corpora's proportions of emotions, 0 to 1
    uncertain_below: float = 0.4  # confidence; chosen on dev
    text: TextConfig = field(default_factory=TextConfig)
    speech: SpeechConfig = field(default_factory=SpeechConfig)
    text_calibration: Calibration = field(default_factory=Calibration)
    speech_calibration: Calibration = field(default_factory=Calibration)


class EmotionNetwork(nn.Module):
    """Voice and words of a turn, and the turns before it -> how likely each emotion is."""

    def __init__(self, config: NetworkConfig, tokenizer: Tokenizer, fingerprint: str = "unsaved") -> None:
        super().__init__()
        self.config = config
        self.name = config.name
        self.labels = config.labels
        self.sample_rate = config.sample_rate
        self.default_context = config.context
        self.fingerprint = fingerprint  # the first digits of the weights' SHA-256
        self.tokenizer = tokenizer
        self.log_mel = LogMel()
        self.text_encoder = TextEncoder(config.text)
        self.text_head = nn.Linear(config.text.width, len(config.labels))
        self.speech_encoder = SpeechEncoder(config.speech)
        self.speech_head = nn.Linear(config.speech.embedding, len(config.labels))
        self.fusion = LateFusion(len(config.labels))

    @property
    def device(self) -> torch.device:
        return self.text_head.weight.device

    @torch.inference_mode()
    def embed_speech(self, waveform: NDArray[np.float32]) -> Tensor:
        """Encode the voice of one turn: (samples,) mono at ``sample_rate`` -> (E,).

        Raises:
            ValueError: not one channel, not 0.1 to 30 s long, or samples that are not finite.
        """
        samples = np.asarray(waveform, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"a waveform is one-dimensional, not of shape {samples.shape}")
        seconds = len(samples) / self.sample_rate
        if not MIN_SPEECH_S <= seconds <= MAX_SPEECH_S:
            raise ValueError(f"a waveform lasts {MIN_SPEECH_S} to {MAX_SPEECH_S} s, not {seconds:.2f} s")
        if not np.isfinite(samples).all():
            raise ValueError("a waveform holds finite numbers only")
        frames = normalise(self.log_mel(torch.tensor(samples, device=self.device)))  # (T, MELS)
        lengths = torch.tensor([len(frames)], device=self.device)  # (1,)
        embedding: Tensor = self.speech_encoder(frames.unsqueeze(0), lengths)  # (1, E)
        return embedding.squeeze(0)

    @torch.inference_mode()
    def embed_text(self, text: str) -> Tensor:
        """Encode the words of one turn -> (E,). Words past the encoder's limit are left out.

        Raises:
            ValueError: there are no words; such a turn has no text at all.
        """
        if not text.strip():
            raise ValueError("a text without words: leave the text out instead")
        ids = torch.tensor([self.tokenizer.encode(text).ids], device=self.device)  # (1, N)
        padding = torch.zeros_like(ids, dtype=torch.bool)  # (1, N)
        embedding: Tensor = self.text_encoder(ids, padding)  # (1, E)
        return embedding.squeeze(0)

    def new_context(self, turns: int | None = None) -> RollingContext:
        """An empty memory of the last ``turns`` turns, the bundle's own number by default."""
        return RollingContext(self.default_context if turns is None else turns)

    @torch.inference_mode()
    def estimate(self, context: RollingContext, turn: TurnEmbedding) -> EmotionEstimate:
        """Score the newest turn, given the turns before it, and remember it in ``context``."""
        opinions = self.opinions(
            speech=None if turn.speech is None else turn.speech.unsqueeze(0),  # (1, E)
            text=None if turn.text is None else turn.text.unsqueeze(0),  # (1, E)
        )
        past = self.past(context, turn.speaker)  # (1, C)
        probabilities = self._fuse(opinions, past)  # (C,)
        context.append(probabilities, turn.speaker)
        emotion = int(probabilities.argmax())
        confidence = float(probabilities[emotion])
        without: dict[Part, Tensor] = {
            name: self._fuse({**opinions, name: opinion.silenced()}, past) for name, opinion in opinions.items()
        }  # (C,) each
        if past is not None:
            without["context"] = self._fuse(opinions, None)
        return EmotionEstimate(
            probabilities=tuple(probabilities.tolist()),
            labels=self.labels,
            emotion=self.labels[emotion],
            confidence=confidence,
            uncertain=confidence < self.config.uncertain_below,
            why={name: confidence - float(rest[emotion]) for name, rest in without.items()},
        )

    def opinions(self, speech: Tensor | None, text: Tensor | None) -> dict[Part, Opinion]:
        """What the modalities that were heard say of turns: (B, E) embeddings -> opinions, (B, C) each."""
        found: dict[Part, Opinion] = {}
        if speech is not None:
            found["speech"] = self.speech_opinion(self.speech_head(speech))
        if text is not None:
            found["text"] = self.text_opinion(self.text_head(text))
        return found

    def past(self, context: RollingContext, speaker: str | None) -> Tensor | None:
        """How the turns in ``context`` shift the next one, by ``speaker``: (1, C), or None when there are none."""
        history = context.history(speaker)
        if history is None:
            return None
        turns, same = (part.to(self.device).unsqueeze(0) for part in history)  # (1, K, C), (1, K)
        shift: Tensor = self.fusion.past(turns, same, torch.ones_like(same, dtype=torch.bool))  # (1, C)
        return shift

    def _fuse(self, opinions: dict[Part, Opinion], past: Tensor | None) -> Tensor:
        """(C,) probabilities of one turn."""
        log_probabilities: Tensor = self.fusion(list(opinions.values()), past, self.config.prior_trust)  # (1, C)
        return log_probabilities.exp().squeeze(0)

    def speech_opinion(self, scores: Tensor) -> Opinion:
        """(B, C) scores of the speech classifier -> its calibrated opinion."""
        return _opinion(scores, self.config.speech_calibration)

    def text_opinion(self, scores: Tensor) -> Opinion:
        """(B, C) scores of the text classifier -> its calibrated opinion."""
        return _opinion(scores, self.config.text_calibration)


def _opinion(scores: Tensor, calibration: Calibration) -> Opinion:
    return Opinion(
        log_probabilities=(scores / calibration.temperature).log_softmax(dim=-1),  # (B, C)
        log_prior=torch.tensor(calibration.prior, device=scores.device).log(),  # (C,)
    )
