"""Stage I of a voice that is measured against its own baseline.

A person's voice is known as angry or sad by how it differs from what it is like otherwise; but somebody who is angry
from the first word to the last has no otherwise, and is angry still. So there are two views of a turn:

    absolute    the voice as it is
    relative    the voice against the mean and deviation of its speaker so far, shrunk towards those of the room, and
                these towards those of the training voices, by how much was heard

The more varied a voice has sounded so far, the more the relative view is trusted. Both views, each by that share, are
the turn's embedding; a linear layer reads it, so that the scores are the views' log probabilities, weighed. Where each
view has small networks beside its linear classifier (``view_networks``), their log probabilities, weighed alike, are
the end of the embedding, and the same layer adds them, in short turns as far as there is evidence.

What a short turn sounds like is chance to a large part. So a turn of n frames has an *evidence* of n / (n + m), where
what is known of training voices counts for m frames: both views are moved so far from nothing, and so much of a turn
goes into the baseline.

Notation: N turns, F features, V numbers that tell a voice, V' = V + 1 with its evidence, E = 2 V, with networks
2 V + C, C labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from emotrack.models.baseline import LEAST_HEARD, Baseline, VoiceSums
from emotrack.models.care import Care, SpeechFeatures
from emotrack.models.config import BaselineHeadConfig, SpeechHeadConfig
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.heads import SpeechHead
from emotrack.models.hub_encoders import HubSpeechEncoder
from emotrack.models.view_networks import ViewNetworks

ABSOLUTE, RELATIVE = range(2)  # the views
ENOUGH = 90.0  # frames: in a longer turn an emotion is heard no more surely
LEAST_VARIANCE = 1e-4  # of a voice's numbers
LEAST_BELIEVED = 1e-3  # of a label, of which nothing was believed


class BaselineHead(nn.Module):
    """An utterance's features -> the numbers that tell its voice -> its embedding, against a baseline -> scores."""

    def __init__(self, features: int, labels: int, config: BaselineHeadConfig) -> None:
        super().__init__()
        self.config = config
        self.voice, self.views, self.labels = config.voice + 1, 2 * config.voice, labels
        self.embedding = self.views + (labels if config.networks else 0)
        self.reduce = nn.Linear(features, config.voice)
        self.variance = nn.Parameter(torch.ones(config.voice))  # (V,) of one training voice's turns
        self.networks = nn.ModuleList(
            ViewNetworks(config.networks, config.voice, config.hidden, labels)
            for _ in range(2 if config.networks else 0)
        )  # of each view
        self.classify = nn.Linear(self.embedding, labels)
        self.affect = nn.Linear(config.voice, 2)

    def embed(self, features: SpeechFeatures) -> Tensor:
        """(B, L, F / L) -> (B, V') what tells each voice, to be measured against a baseline."""
        parts = [features.layers.flatten(1), *([] if features.summary is None else [features.summary])]
        return self.voices(torch.cat(parts, dim=1), features.frames)

    def voices(self, features: Tensor, frames: Tensor | None) -> Tensor:
        """(..., F), and (...) the frames that they are of, where that is known -> (..., V')."""
        told: Tensor = self.reduce(features)  # (..., V)
        evidence = torch.ones_like(told[..., 0])  # (...)
        if frames is not None and self.config.frames:
            heard = frames.to(told.dtype).clamp(max=ENOUGH)  # (...)
            evidence = heard / (heard + self.config.frames)
        return torch.cat([told, evidence.unsqueeze(-1)], dim=-1)  # (..., V')

    def nothing(self) -> VoiceSums:
        """The sums of no turns."""
        return VoiceSums.nothing(self.config.voice, self.labels, self.variance.device)

    def note(self, voices: Tensor) -> VoiceSums:
        """(N, V') -> what a baseline keeps of each turn."""
        told, evidence = told_and_evidence(voices)  # (N, V), (N, 1)
        return VoiceSums(
            evidence.squeeze(-1), evidence * told, evidence * told.square(), evidence * self.sounds(voices)
        )

    def sounds(self, voices: Tensor) -> Tensor:
        """(N, V') -> (N, C) how likely each label is by the voices as they are."""
        told, evidence = told_and_evidence(voices)  # (N, V), (N, 1)
        parts = [evidence * told, torch.zeros_like(told)]
        if self.networks:
            parts.append(self._thought(ABSOLUTE, told, evidence))  # (N, C)
        believed: Tensor = self(torch.cat(parts, dim=-1)).softmax(dim=-1)  # (N, C)
        return believed

    def relate(self, voices: Tensor, rooms: VoiceSums, speakers: VoiceSums) -> Tensor:
        """(N, V') voices and what was heard of the room and the speaker of each, the turn included -> (N, E)."""
        told, evidence = told_and_evidence(voices)  # (N, V), (N, 1)
        trust = self.trust(rooms, speakers).unsqueeze(-1)  # (N, 1)
        relative = self.relative(told, rooms, speakers)  # (N, V)
        parts = [(1.0 - trust) * evidence * told, trust * evidence * relative]
        if self.networks:
            absolute, against = self._thought(ABSOLUTE, told, evidence), self._thought(RELATIVE, relative, evidence)
            parts.append((1.0 - trust) * absolute + trust * against)  # (N, C)
        return torch.cat(parts, dim=-1)  # (N, E)

    def _thought(self, view: int, voices: Tensor, evidence: Tensor) -> Tensor:
        """What the networks of a view think of it, (N, V) with (N, 1) -> (N, C), as far as there is evidence."""
        most = ENOUGH / (ENOUGH + self.config.frames)
        found: Tensor = evidence / most * self.networks[view](evidence * voices)  # (N, C)
        return found

    def relative(self, told: Tensor, rooms: VoiceSums, speakers: VoiceSums) -> Tensor:
        """(N, V) -> (N, V), how far each voice is from its baseline, in the training voices' deviations."""
        mean, variance = torch.zeros_like(told), self.variance.expand_as(told)  # (N, V), of the training voices
        for heard, weight in ((rooms, self.config.room), (speakers, self.config.speaker)):
            turns = heard.turns.unsqueeze(-1)  # (N, 1)
            own = (weight * mean + heard.total) / (weight + turns)  # (N, V)
            about_it = heard.squares - 2.0 * own * heard.total + turns * own.square()  # (N, V)
            mean, variance = own, (weight * variance + about_it) / (weight + turns)
        return (told - mean) * (self.variance / variance.clamp(min=LEAST_VARIANCE)).sqrt()

    def departure(self, voices: Tensor, affect: Tensor) -> Tensor:
        """How much more pleasant and aroused voices sound than what they are taken for, by themselves.

        Args:
            voices: (N, V').
            affect: (C, 2) valence and arousal of each label.

        Returns:
            (N, 2).
        """
        told, evidence = told_and_evidence(voices)  # (N, V), (N, 1)
        found: Tensor = self.affect(evidence * told) - self.sounds(voices) @ affect  # (N, 2)
        return found

    def trust(self, rooms: VoiceSums, speakers: VoiceSums) -> Tensor:
        """How far the relative view is believed, (N,), by how varied the speaker, or else the room, has sounded."""
        is_known = (speakers.turns > LEAST_HEARD).unsqueeze(-1)
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
    """Conversations with every voice, (V',), measured against its baseline: (E,).

    Args:
        head: the Stage I that measures.
        conversations: of turns as they were encoded.
        baselines: of each; where there is none, it is what the conversation's own turns make it.
    """
    heard = [turn.speech for turns in conversations for turn in turns if turn.speech is not None]
    if not heard:
        return [list(turns) for turns in conversations]
    known = list(zip(conversations, baselines or [None] * len(conversations), strict=True))
    own = [turn.speech for turns, given in known if given is None for turn in turns if turn.speech is not None]
    notes, nothing = iter(head.note(torch.stack(own).to(head.variance.device)).rows() if own else ()), head.nothing()
    rooms, speakers = [], []
    for turns, given in known:
        said = [turn.speaker for turn in turns if turn.speech is not None]
        baseline = given or Baseline.of(nothing, ((speaker, next(notes)) for speaker in said))
        rooms += [baseline.room for _ in said]
        speakers += [baseline.speaker(speaker) or nothing for speaker in said]
    voices = torch.stack(heard).to(head.variance.device)  # (N, V')
    related = iter(head.relate(voices, VoiceSums.stacked(rooms), VoiceSums.stacked(speakers)))  # (N, E)
    return [
        [turn if turn.speech is None else replace(turn, speech=next(related)) for turn in turns]
        for turns in conversations
    ]


def told_and_evidence(voices: Tensor) -> tuple[Tensor, Tensor]:
    """(..., V') -> (..., V) what tells the voices, (..., 1) the evidence of each."""
    return voices[..., :-1], voices[..., -1:]


def build_speech_head(
    encoder: Care | HubSpeechEncoder, labels: int, config: SpeechHeadConfig | BaselineHeadConfig
) -> SpeechHead | BaselineHead:
    """The Stage-I head of a configuration on an encoder, with random weights."""
    sizes = (encoder.layers, encoder.width, encoder.summary_width)
    if isinstance(config, SpeechHeadConfig):
        return SpeechHead(*sizes, labels, hidden=config.hidden, embedding=config.embedding)
    return BaselineHead(encoder.layers * encoder.width + encoder.summary_width, labels, config)
