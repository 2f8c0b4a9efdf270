"""Conversations with both voice and words, put together, because no corpus at hand has both.

Two kinds are made anew in every epoch:

- A dialogue of MELD, to whose turns acted voices are given, some that agree with them and some that do not, as the
  voices of strangers are misheard. So what words say is believed, and emotions follow one another as in a dialogue.
- A conversation of two actors, whose words say nothing: their own neutral sentences, or neutral lines of MELD, or none.
  So an emotional voice is believed even where the words are plain.

How reliable voice and words are cannot be learned from clips and lines that the encoders were trained on: they are
nearly always right on them. So only a stretch of a clip is heard, and a line of MELD is read with words left out: so
much of either that Stage I is right as often as on speakers and lines that it has not met.

Notation: N lines, V readings of each, M clips, E embedding, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import pydantic.dataclasses
import torch
from pydantic import Field
from torch import Tensor

from emotrack.models.conversation import TurnEmbedding
from emotrack.models.sizes import Context, Count, Share
from emotrack.train.data.conversations import ConversationOptions, EncodedDialogue, cut, withhold
from emotrack.train.learning.losses import UNLABELLED

OWN_WORDS, PLAIN_WORDS = 0.3, 0.5  # shares of the actors' turns with their own sentence, with a neutral line; rest none


@dataclass(frozen=True, slots=True)
class Lines:
    """Dialogues of words."""

    readings: Tensor  # (N, V, E)
    targets: Tensor  # (N,)
    speakers: Sequence[str | None]  # of each line
    dialogues: Sequence[range]  # the lines of each


@dataclass(frozen=True, slots=True)
class Voices:
    """Acted clips."""

    readings: Tensor  # (M, V, E) of differently augmented copies
    targets: Tensor  # (M,)
    speakers: Sequence[str]
    words: Tensor  # (M, E) embedding of the words
    worded: Tensor  # (M,) True where that is known


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class PairingOptions:
    """How conversations are put together.

    Raises:
        ValueError: a number is out of its bounds.
    """

    acted: Annotated[int, Field(strict=True, ge=0, le=1_000_000)]  # conversations of two actors in an epoch
    turns: Context  # in each of them
    voiced: Share  # share of the corpus's dialogues that are given voices
    astray: Share  # share of their turns whose voice shows any emotion, whatever the turn is labelled with
    unread: Share  # share of a line's words that are left out
    unheard: Share  # share of a clip that is cut off
    readings: Count  # of every line and every clip


class Paired:
    """Training conversations of both kinds."""

    def __init__(
        self, lines: Lines, voices: Voices, options: PairingOptions, conversation: ConversationOptions
    ) -> None:
        self.lines = lines
        self.voices = voices
        self.options = options
        self.conversation = conversation
        self._plain = (lines.targets == 0).nonzero().flatten()  # (P,) neutral lines
        self._clips = _by_speaker_and_emotion(voices)
        self._actors = sorted(self._clips)

    def epoch(self, generator: torch.Generator) -> list[EncodedDialogue]:
        """Every dialogue of MELD once, and ``acted`` conversations of two actors; all cut and withheld anew."""
        dialogues = [self._dialogue(lines, generator) for lines in self.lines.dialogues]
        dialogues += [self._acted(generator) for _ in range(self.options.acted)]
        return [withhold(cut(each, self.conversation, generator), self.conversation, generator) for each in dialogues]

    def _dialogue(self, lines: range, generator: torch.Generator) -> EncodedDialogue:
        targets = self.lines.targets[lines.start : lines.stop]  # (K,)
        is_voiced = float(torch.rand((), generator=generator)) < self.options.voiced
        emotions: dict[str | None, set[int]] = {}
        for line, target in zip(lines, targets.tolist(), strict=True):
            emotions.setdefault(self.lines.speakers[line], set()).add(target)
        actors = {speaker: self._actor(shown - {UNLABELLED}, generator) for speaker, shown in emotions.items()}
        turns = []
        for line, target in zip(lines, targets.tolist(), strict=True):
            speaker = self.lines.speakers[line]
            voice = self._voice(actors[speaker], target, generator) if is_voiced else None
            turns.append(TurnEmbedding(voice, _one_of(self.lines.readings[line], generator), speaker))
        return EncodedDialogue(tuple(turns), targets)

    def _acted(self, generator: torch.Generator) -> EncodedDialogue:
        pair = [self._actors[_below(len(self._actors), generator)] for _ in range(2)]
        turns, targets = [], []
        for number in range(self.options.turns):
            actor = pair[number % 2]
            target = sorted(self._clips[actor])[_below(len(self._clips[actor]), generator)]
            clip = self._clip(actor, target, generator)
            voice = _one_of(self.voices.readings[clip], generator)  # (E,)
            turns.append(TurnEmbedding(voice, self._words(clip, generator), actor))
            targets.append(target)
        return EncodedDialogue(tuple(turns), torch.tensor(targets))

    def _actor(self, emotions: set[int], generator: torch.Generator) -> str:
        """One who shows all of a speaker's emotions, so that a missing voice gives none of them away."""
        able = [actor for actor in self._actors if emotions <= self._clips[actor].keys()] or self._actors
        return able[_below(len(able), generator)]

    def _voice(self, actor: str, target: int, generator: torch.Generator) -> Tensor | None:
        shown = self._clips[actor]
        if target != UNLABELLED and float(torch.rand((), generator=generator)) < self.options.astray:
            target = sorted(shown)[_below(len(shown), generator)]
        if target not in shown:
            return None
        return _one_of(self.voices.readings[self._clip(actor, target, generator)], generator)  # (E,)

    def _clip(self, actor: str, target: int, generator: torch.Generator) -> int:
        clips = self._clips[actor][target]
        return clips[_below(len(clips), generator)]

    def _words(self, clip: int, generator: torch.Generator) -> Tensor | None:
        choice = float(torch.rand((), generator=generator))
        if choice < OWN_WORDS and self.voices.worded[clip]:
            return self.voices.words[clip]  # (E,)
        if choice < OWN_WORDS + PLAIN_WORDS:
            line = int(self._plain[_below(len(self._plain), generator)])
            return _one_of(self.lines.readings[line], generator)  # (E,)
        return None


def _by_speaker_and_emotion(voices: Voices) -> dict[str, dict[int, list[int]]]:
    """Speaker -> emotion -> clips."""
    clips: dict[str, dict[int, list[int]]] = {}
    for clip, (speaker, target) in enumerate(zip(voices.speakers, voices.targets.tolist(), strict=True)):
        clips.setdefault(speaker, {}).setdefault(target, []).append(clip)
    return clips


def _one_of(readings: Tensor, generator: torch.Generator) -> Tensor:
    """(V, E) -> (E,)."""
    return readings[_below(len(readings), generator)]


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
