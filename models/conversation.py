"""Turns and conversations as stages II and III read them.

Notation: B batch, K turns, E a modality's Stage-I embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emotrack.models.front_end import padding_mask

SAME_SPEAKER, OTHER_SPEAKER, UNKNOWN_SPEAKER = range(3)  # how two turns are related


@dataclass(frozen=True, slots=True)
class TurnEmbedding:
    """One turn as Stage I hands it on: a 1-d embedding for each modality that was heard, and who spoke."""

    speech: Tensor | None
    text: Tensor | None
    speaker: str | None
    words: str | None = None  # its text, which the text encoder reads with the next turns


@dataclass(frozen=True, slots=True)
class ConversationBatch:
    """A batch of conversations, padded at the end."""

    text: Tensor  # (B, K, E); the values where words are missing do not matter
    text_missing: Tensor  # (B, K) True where a turn has no words, or there is no turn
    speech: Tensor  # (B, K, E)
    speech_missing: Tensor  # (B, K)
    lengths: Tensor  # (B,) turns in each
    relation: Tensor  # (B, K, K) of the constants above

    @property
    def padding(self) -> Tensor:
        """(B, K) True where there is no turn."""
        return padding_mask(self.lengths, self.relation.shape[1])


def collate(
    conversations: Sequence[Sequence[TurnEmbedding]], text_width: int, speech_width: int, device: torch.device
) -> ConversationBatch:
    """Conversations of any lengths as one batch, on ``device``."""
    lengths = torch.tensor([len(turns) for turns in conversations])  # (B,)
    shape = (len(conversations), int(lengths.max()))
    text, speech = torch.zeros(*shape, text_width), torch.zeros(*shape, speech_width)  # (B, K, E), (B, K, E)
    text_missing, speech_missing = torch.ones(2, *shape, dtype=torch.bool)  # (B, K), (B, K)
    relation = torch.full((*shape, shape[1]), UNKNOWN_SPEAKER)  # (B, K, K)
    for row, turns in enumerate(conversations):
        for place, turn in enumerate(turns):
            if turn.text is not None:
                text[row, place] = turn.text
                text_missing[row, place] = False
            if turn.speech is not None:
                speech[row, place] = turn.speech
                speech_missing[row, place] = False
        relation[row, : len(turns), : len(turns)] = relate([turn.speaker for turn in turns])
    found = (text, text_missing, speech, speech_missing, lengths, relation)
    return ConversationBatch(*(tensor.to(device) for tensor in found))


def relate(speakers: Sequence[str | None]) -> Tensor:
    """The speakers of K turns -> (K, K) how the speakers of two turns are related."""
    names = list(dict.fromkeys(speakers))
    who = torch.tensor([-1 if speaker is None else names.index(speaker) for speaker in speakers])  # (K,)
    relation = torch.where(who[:, None] == who, SAME_SPEAKER, OTHER_SPEAKER)  # (K, K)
    return relation.masked_fill((who[:, None] < 0) | (who < 0), UNKNOWN_SPEAKER)


def only_one(missing: Tensor) -> Tensor:
    """(B, K) True where a turn lacks a modality -> (B,) True for conversations in which a single turn has it."""
    return (~missing).sum(dim=1) == 1


def where_heard(scores: Tensor, missing: Tensor) -> Tensor:
    """(B, K, C) scores of a modality, zero where (B, K) the modality is missing."""
    return scores.masked_fill(missing.unsqueeze(-1), 0.0)
