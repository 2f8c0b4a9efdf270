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

Nor do all sound alike when they are angry. What each label is like in the relative view, its *prototype*, is that of
the training voices at first, and is moved by each turn of the speaker as far as that was believed to show the label.
By how much closer a turn is to the moved prototypes than to the first ones its scores change: its *likeness*, trusted
as the relative view is. Where nobody knows who speaks there is none: what one person's anger is like tells nothing of
another's.

What a short turn sounds like is chance to a large part. So a turn of n frames has an *evidence* of n / (n + m), where
what is known of training voices counts for m frames: both views are moved so far from nothing, and so much of a turn
goes into the baseline.

Notation: N turns, F features, V numbers that tell a voice, V' = V + 1 with its evidence, C labels, E = 2 V, and C more
with networks, and C more with a likeness.
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
        self.thoughts = self.views + (labels if config.networks else 0)  # where likeness begins in an embedding
        self.embedding = self.thoughts + (labels if config.likeness else 0)
        self.reduce = nn.Linear(features, config.voice)
        self.variance = nn.Parameter(torch.ones(config.voice))  # (V,) of one training voice's turns
        self.networks = nn.ModuleList(
            ViewNetworks(config.networks, config.voice, config.hidden, labels)
            for _ in range(2 if config.networks else 0)
        )  # of each view
        if config.likeness:
            self.prototypes = nn.Parameter(torch.zeros(labels, config.voice))  # (C, V) of the training voices
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
        return self._note(told, evidence, self._thought(ABSOLUTE, told, evidence))

    def _note(self, told: Tensor, evidence: Tensor, thought: Sequence[Tensor]) -> VoiceSums:
        believed = evidence * self._sounds(told, evidence, thought)  # (N, C)
        total = believed.unsqueeze(-1) * told.unsqueeze(-2)  # (N, C, V)
        return VoiceSums(evidence.squeeze(-1), total, evidence * told.square(), believed)

    def sounds(self, voices: Tensor) -> Tensor:
        """(..., V') -> (..., C) how likely each label is by the voices as they are."""
        told, evidence = told_and_evidence(voices)  # (..., V), (..., 1)
        return self._sounds(told, evidence, self._thought(ABSOLUTE, told, evidence))

    def _sounds(self, told: Tensor, evidence: Tensor, thought: Sequence[Tensor]) -> Tensor:
        parts = [evidence * told, torch.zeros_like(told), *thought]
        if self.config.likeness:
            parts.append(told.new_zeros(*told.shape[:-1], self.labels))  # (..., C)
        believed: Tensor = self(torch.cat(parts, dim=-1)).softmax(dim=-1)  # (..., C)
        return believed

    def relate(self, voices: Tensor, rooms: VoiceSums, speakers: VoiceSums) -> Tensor:
        """(N, V') voices and what was heard of the room and the speaker of each, the turn included -> (N, E)."""
        told, evidence = told_and_evidence(voices)  # (N, V), (N, 1)
        trust = self.trust(rooms, speakers).unsqueeze(-1)  # (N, 1)
        mean, gain = self._usual(rooms, speakers)  # (N, V), (N, V)
        relative = gain * (told - mean)  # (N, V)
        parts = [(1.0 - trust) * evidence * told, trust * evidence * relative]
        absolute, against = self._thought(ABSOLUTE, told, evidence), self._thought(RELATIVE, relative, evidence)
        parts += [(1.0 - trust) * one + trust * other for one, other in zip(absolute, against, strict=True)]  # (N, C)
        if self.config.likeness:
            likeness = self._likeness(relative, speakers - self._note(told, evidence, absolute), mean, gain)  # (N, C)
            known = (speakers.turns > LEAST_HEARD).unsqueeze(-1)  # (N, 1)
            parts.append(known * trust * evidence / self._most * likeness)  # (N, C)
        return torch.cat(parts, dim=-1)  # (N, E)

    def _thought(self, view: int, voices: Tensor, evidence: Tensor) -> list[Tensor]:
        """What the networks of a view think of it, if there are any, as far as there is evidence.

        (..., V) with (..., 1) -> (..., C).
        """
        if not self.networks:
            return []
        return [evidence / self._most * self.networks[view](evidence * voices)]

    @property
    def _most(self) -> float:
        """The evidence of a long turn."""
        return ENOUGH / (ENOUGH + self.config.frames)

    def relative(self, told: Tensor, rooms: VoiceSums, speakers: VoiceSums) -> Tensor:
        """(N, V) -> (N, V), how far each voice is from its baseline, in the training voices' deviations."""
        mean, gain = self._usual(rooms, speakers)  # (N, V), (N, V)
        return gain * (told - mean)

    def _usual(self, rooms: VoiceSums, speakers: VoiceSums) -> tuple[Tensor, Tensor]:
        """Each voice's baseline: (N, V) its mean, and (N, V) by what a distance from it is multiplied."""
        mean: Tensor = torch.zeros_like(rooms.squares)  # (N, V) of the training voices
        variance: Tensor = self.variance  # (V,) of the training voices
        for heard, weight in ((rooms, self.config.room), (speakers, self.config.speaker)):
            turns, total = heard.turns.unsqueeze(-1), heard.total.sum(dim=-2)  # (N, 1), (N, V)
            own = (weight * mean + total) / (weight + turns)  # (N, V)
            about_it = heard.squares - 2.0 * own * total + turns * own.square()  # (N, V)
            mean, variance = own, (weight * variance + about_it) / (weight + turns)
        return mean, (self.variance / variance.clamp(min=LEAST_VARIANCE)).sqrt()

    def _likeness(self, relative: Tensor, others: VoiceSums, mean: Tensor, gain: Tensor) -> Tensor:
        """How much closer turns are to the prototypes as their speakers have moved them than to the first ones.

        Args:
            relative: (N, V) of the turns.
            others: what was heard of the speaker in the other turns.
            mean: (N, V) of the baseline of each.
            gain: (N, V) of the baseline of each.

        Returns:
            (N, C).
        """
        believed = others.believed.clamp(min=0.0).unsqueeze(-1)  # (N, C, 1)
        total = gain.unsqueeze(-2) * (others.total - believed * mean.unsqueeze(-2))  # (N, C, V) in the relative view
        first = self.prototypes  # (C, V)
        moved = (self.config.typical * first + total) / (self.config.typical + believed)  # (N, C, V)
        closer = (relative.unsqueeze(-2) * (moved - first)).sum(dim=-1)  # (N, C)
        closer = closer - 0.5 * (moved.square().sum(dim=-1) - first.square().sum(dim=-1))
        return self.config.likeness / self.variance.mean() * closer

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
        is_known = (speakers.turns > LEAST_HEARD).unsqueeze(-1)  # (N, 1)
        believed = torch.where(is_known, speakers.believed, rooms.believed).clamp(min=0.0) + LEAST_BELIEVED  # (N, C)
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
