"""Encoded conversations as stages II and III learn from them.

A live tracker scores the newest turn without its future, so most conversations are cut at a random turn; and voice or
words may be missing from any turn, so either is withheld at random.

Notation: K turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pydantic.dataclasses
import torch
from torch import Tensor

from emotrack.models.conversation import TurnEmbedding
from emotrack.models.sizes import Context, Share


@dataclass(frozen=True, slots=True)
class EncodedDialogue:
    """A conversation through Stage I, with its truth."""

    turns: tuple[TurnEmbedding, ...]
    targets: Tensor  # (K,) label indices, ``losses.UNLABELLED`` where a turn is only context


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class ConversationOptions:
    """How conversations are put before the network.

    Raises:
        ValueError: a number is out of its bounds, or more than all is withheld.
    """

    cut: Share  # share of conversations that end at a random turn
    window: Context  # turns of a cut conversation that are kept, as many as the rolling context holds
    withhold_speech: Share  # share of conversations without any voice
    withhold_text: Share  # share of conversations without any words
    withhold_turn: Share  # share of turns, in all of them, that lack voice, words or both, a third each

    def __post_init__(self) -> None:
        if self.withhold_speech + self.withhold_text > 1:
            raise ValueError("no more than all conversations can lack their voice or their words")


class Conversations(Protocol):
    """Where training conversations come from."""

    def epoch(self, generator: torch.Generator) -> list[EncodedDialogue]:
        """The conversations of one epoch."""
        ...


class Recorded:
    """Conversations as they were recorded, with voice, words or both."""

    def __init__(self, dialogues: Sequence[EncodedDialogue], options: ConversationOptions) -> None:
        self.dialogues = dialogues
        self.options = options

    def epoch(self, generator: torch.Generator) -> list[EncodedDialogue]:
        """Every conversation once, cut and withheld anew."""
        return [withhold(cut(each, self.options, generator), self.options, generator) for each in self.dialogues]


def cut(dialogue: EncodedDialogue, options: ConversationOptions, generator: torch.Generator) -> EncodedDialogue:
    """Mostly, the conversation up to a random turn, as far back as the rolling context reaches."""
    if _draw(generator) >= options.cut:
        return dialogue
    end = int(_draw(generator) * len(dialogue.turns)) + 1
    start = max(0, end - options.window)
    return EncodedDialogue(dialogue.turns[start:end], dialogue.targets[start:end])


def withhold(dialogue: EncodedDialogue, options: ConversationOptions, generator: torch.Generator) -> EncodedDialogue:
    """With single turns lacking voice, words or both, and now and then without any voice or any words."""
    choice = _draw(generator)
    turns = tuple(_withheld(turn, options.withhold_turn, generator) for turn in dialogue.turns)
    if choice < options.withhold_speech:
        turns = tuple(replace(turn, speech=None) for turn in turns)
    elif choice < options.withhold_speech + options.withhold_text:
        turns = tuple(replace(turn, text=None) for turn in turns)
    return replace(dialogue, turns=turns)


def prefixes(dialogue: EncodedDialogue, window: int) -> list[EncodedDialogue]:
    """The turns that a live tracker sees at each turn: that turn last, the only one to be scored."""
    return [
        EncodedDialogue(dialogue.turns[max(0, end - window) : end], dialogue.targets[end - 1 : end])
        for end in range(1, len(dialogue.turns) + 1)
    ]


def _withheld(turn: TurnEmbedding, share: float, generator: torch.Generator) -> TurnEmbedding:
    place = 3.0 * _draw(generator)
    if place < share:
        return replace(turn, speech=None)
    if place < 2.0 * share:
        return replace(turn, text=None)
    return replace(turn, speech=None, text=None) if place < 3.0 * share else turn


def _draw(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
