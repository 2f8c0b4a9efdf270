"""Stage I of a voice that is measured against its own baseline.

A person's voice is known as angry or sad by how it differs from what it is like otherwise; but somebody who is angry
from the first word to the last has no otherwise, and is angry still. So there are two views of a turn:

    absolute    the voice as it is
    relative    the voice against the mean and deviation of its speaker so far, shrunk towards those of the room, and
                these towards those of the training voices, by how much was heard

The more varied a voice has sounded so far, the more the relative view is trusted. Both views, each by that share, are
the turn's embedding; a linear layer reads it, so that the scores are the views' log probabilities, weighed.

Notation: N turns, F features, V numbers that tell a voice, E = 2 V, C labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from emotrack.models.baseline import Baseline, VoiceSums
from emotrack.models.care import Care, SpeechFeatures
from emotrack.models.config import BaselineHeadConfig, SpeechHeadConfig
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.heads import SpeechHead
from emotrack.models.hub_encoders import HubSpeechEncoder

LEAST_VARIANCE = 1e-4  # of a voice's numbers
LEAST_BELIEVED = 1e-3  # of a label, of which nothing was believed


class BaselineHead(nn.Module):
    """An utterance's features -> the numbers that tell its voice -> its embedding, against a baseline -> scores."""

    def __init__(self, features: int, labels: int, config: BaselineHeadConfig) -> None:
        super().__init__()
        self.config = config
        self.voice, self.embedding, self.labels = config.voice, 2 * config.voice, labels
        self.reduce = nn.Linear(features, config.voice)
        self.variance = nn.Parameter(torch.ones(config.voice))  # (V,) of one training voice's turns
        self.classify = nn.Linear(self.embedding, labels)
        self.affect = nn.Linear(config.voice, 2)

    def embed(self, features: SpeechFeatures) -> Tensor:
        """(B, L, F / L) -> (B, V) what tells each voice, to be measured against a baseline."""
        parts = [features.layers.flatten(1), *([] if features.summary is None else [features.summary])]
        voices: Tensor = self.reduce(torch.cat(parts, dim=1))  # (B, V)
        return voices

    def nothing(self) -> VoiceSums:
        """The sums of no turns."""
        return VoiceSums.nothing(self.voice, self.labels, self.variance.device)

    def note(self, voices: Tensor) -> VoiceSums:
        """(N, V) -> what a baseline keeps of each turn."""
        believed = self(torch.cat([voices, torch.zeros_like(voices)], dim=-1)).softmax(dim=-1)  # (N, C)
        return VoiceSums(torch.ones_like(voices[..., 0]), voices, voices.square(), believed)

    def relate(self, voices: Tensor, rooms: VoiceSums, speakers: VoiceSums) -> Tensor:
        """(N, V) voices and what was heard of the room and the speaker of each, the turn included -> (N, E)."""
        trust = self.trust(rooms, speakers).unsqueeze(-1)  # (N, 1)
        relative = self.relative(voices, rooms, speakers)  # (N, V)
        return torch.cat([(1.0 - trust) * voices, trust * relative], dim=-1)  # (N, E)

    def relative(self, voices: Tensor, rooms: VoiceSums, speakers: VoiceSums) -> Tensor:
        """(N, V) -> (N, V), how far each voice is from its baseline, in the training voices' deviations."""
        mean, variance = torch.zeros_like(voices), self.variance.expand_as(voices)  # (N, V), of the training voices
        for heard, weight in ((rooms, self.config.room), (speakers, self.config.speaker)):
            turns = heard.turns.unsqueeze(-1)  # (N, 1)
            own = (weight * mean + heard.total) / (weight + turns)  # (N, V)
            about_it = heard.squares - 2.0 * own * heard.total + turns * own.square()  # (N, V)
            mean, variance = own, (weight * variance + about_it) / (weight + turns)
        return (voices - mean) * (self.variance / variance.clamp(min=LEAST_VARIANCE)).sqrt()

    def departure(self, voices: Tensor, affect: Tensor) -> Tensor:
        """How much more pleasant and aroused voices sound than what they are taken for, by themselves.

        Args:
            voices: (N, V).
            affect: (C, 2) valence and arousal of each label.

        Returns:
            (N, 2).
        """
        found: Tensor = self.affect(voices) - self.note(voices).believed @ affect  # (N, 2)
        return found

    def trust(self, rooms: VoiceSums, speakers: VoiceSums) -> Tensor:
        """How far the relative view is believed, (N,), by how varied the speaker, or else the room, has sounded."""
        is_known = (speakers.turns > 0.5).unsqueeze(-1)
        believed = torch.where(is_known, speakers.believed, rooms.believed) + LEAST_BELIEVED  # (N, C)
        shares = believed / believed.sum(dim=-1, keepdim=True)  # (N, C)
        variety = -(shares * shares.log()).sum(dim=-1) / math.log(self.labels)  # (N,) 0 for one label, 1 for all alike
        return self.config.trust * (self.config.steepness * (variety - self.config.variety)).sigmoid()

    def forward(self, embedding: Tensor) -> Tensor:
        """(N, E) -> (N, C) scores."""
        scores: Tensor = self.classify(embedding)  # (N, C)
        return scores


def measured(
    head: BaselineHead,
    conversations: Sequence[Sequence[TurnEmbedding]],
    baselines: Sequence[Baseline | None] | None = None,
) -> list[list[TurnEmbedding]]:
    """Conversations with every voice, (V,), measured against its baseline: (E,).

    Args:
        head: the Stage I that measures.
        conversations: of turns as they were encoded.
        baselines: of each; where there is none, it is what the conversation's own turns make it.
    """
    heard = [turn.speech for turns in conversations for turn in turns if turn.speech is not None]
    if not heard:
        return [list(turns) for turns in conversations]
    voices = torch.stack(heard).to(head.variance.device)  # (N, V)
    notes, nothing = iter(head.note(voices).rows()), head.nothing()
    rooms, speakers = [], []
    for turns, given in zip(conversations, baselines or [None] * len(conversations), strict=True):
        said = [turn.speaker for turn in turns if turn.speech is not None]
        noted = [next(notes) for _ in said]
        baseline = given or Baseline.of(nothing, zip(said, noted, strict=True))
        rooms += [baseline.room for _ in said]
        speakers += [baseline.speaker(speaker) or nothing for speaker in said]
    related = iter(head.relate(voices, VoiceSums.stacked(rooms), VoiceSums.stacked(speakers)))  # (N, E)
    return [
        [turn if turn.speech is None else replace(turn, speech=next(related)) for turn in turns]
        for turns in conversations
    ]


def build_speech_head(
    encoder: Care | HubSpeechEncoder, labels: int, config: SpeechHeadConfig | BaselineHeadConfig
) -> SpeechHead | BaselineHead:
    """The Stage-I head of a configuration on an encoder, with random weights."""
    sizes = (encoder.layers, encoder.width, encoder.summary_width)
    if isinstance(config, SpeechHeadConfig):
        return SpeechHead(*sizes, labels, hidden=config.hidden, embedding=config.embedding)
    return BaselineHead(encoder.layers * encoder.width + encoder.summary_width, labels, config)
