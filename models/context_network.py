"""Stage II: one modality of a conversation, each turn seen among its neighbours (Fig. 2 of the paper, left).

A bidirectional GRU, then self-attention between the turns, beside a linear path from the Stage-I embedding; both read
it normalised, which is ours.

A turn without the modality is given to the GRU as a learned vector of its own, so that the other turns keep their
distances, and nobody attends to it.

Notation: B batch, K turns, E Stage-I embedding, D width, H heads, C labels.
"""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from emotrack.models.attention import TurnAttention
from emotrack.models.conversation import only_one, where_heard
from emotrack.models.sizes import Dropout, Flag, Heads, Layers, Share, Width


@dataclass(frozen=True, slots=True)
class ContextConfig:
    """Dimensions of stages II and III.

    Raises:
        ValueError: there are none of such dimensions.
    """

    hidden: Width = 128  # of the GRU, in each direction
    layers: Layers = 1
    heads: Heads = 3
    head_width: Width = 40
    blocks: Layers = 1  # co-attention blocks of stage III
    speakers: Flag = True  # attention knows which turns have the same speaker; the published model does not
    input_dropout: Dropout = 0.3
    residual: Flag = True  # a stage's scores are added to those of the stage before; the published ones start afresh
    astray: Share = 0.0  # chance, as the fusion has it, that voice or words show something else altogether


class ContextNetwork(nn.Module):
    """Stage-I embeddings of a conversation's turns -> contextual ones, and scores."""

    def __init__(self, embedding: int, labels: int, config: ContextConfig) -> None:
        super().__init__()
        width = 2 * config.hidden
        self.width = width
        self.residual = config.residual  # the only turn with the modality keeps Stage I's scores
        self.absent = nn.Parameter(torch.empty(embedding))
        nn.init.normal_(self.absent, std=embedding**-0.5)
        self.input_norm = nn.LayerNorm(embedding)
        self.input_dropout = nn.Dropout(config.input_dropout)
        self.gru = nn.GRU(embedding, config.hidden, config.layers, batch_first=True, bidirectional=True)
        self.attention = TurnAttention(width, config.heads, config.head_width)
        self.speaker_bias = nn.Parameter(torch.zeros(config.heads, 3)) if config.speakers else None
        self.skip = nn.Linear(embedding, width)
        self.classify = classifier(width, labels, config)

    def forward(self, embeddings: Tensor, missing: Tensor, lengths: Tensor, relation: Tensor) -> Tensor:
        """Relate the turns of conversations.

        Args:
            embeddings: (B, K, E); the values at a missing turn do not matter.
            missing: (B, K) True where a turn lacks this modality, or there is no turn.
            lengths: (B,) turns in each conversation.
            relation: (B, K, K) whether two turns have the same speaker (see ``conversation``).

        Returns:
            (B, K, D).
        """
        told = embeddings[..., : len(self.absent)]  # (B, K, E) without what Stage I's networks think, if it has some
        inputs = self.input_norm(torch.where(missing.unsqueeze(-1), self.absent, told))  # (B, K, E)
        inputs = self.input_dropout(inputs)  # (B, K, E)
        with torch.autocast("cuda", enabled=False):  # autocast takes float16 for a GRU, even where told bfloat16
            states = self._recur(inputs, lengths.cpu())  # (B, K, D)
        bias = None if self.speaker_bias is None else self.speaker_bias[:, relation].transpose(0, 1)  # (B, H, K, K)
        attended: Tensor = self.attention(states, states, missing, bias)  # (B, K, D)
        contextual: Tensor = attended + self.skip(inputs)  # (B, K, D)
        return contextual

    def _recur(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """(B, K, E), (B,) -> (B, K, D)."""
        states: Tensor
        if int(lengths.min()) == inputs.shape[1]:  # nothing is padded; packing takes as long as the GRU
            states, _ = self.gru(inputs)
            return states
        packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        related, _ = self.gru(packed)  # (B, K, D), packed
        states, _ = nn.utils.rnn.pad_packed_sequence(related, batch_first=True, total_length=inputs.shape[1])
        return states

    def scores(self, states: Tensor, head: nn.Module, embeddings: Tensor, missing: Tensor) -> Tensor:
        """The scores of this modality alone -> (B, K, C), meaningless where it is missing.

        Args:
            states: (B, K, D) of the turns, as ``forward`` gives them.
            head: Stage I's classifier of the modality. With ``residual``, the context adds to its scores, and the only
                turn with the modality has nothing but them.
            embeddings: (B, K, E), which the head reads.
            missing: (B, K).
        """
        scores: Tensor = self.classify(states)  # (B, K, C)
        if not self.residual:
            return scores
        scores = scores.masked_fill(only_one(missing)[:, None, None], 0.0)  # (B, K, C)
        return scores + where_heard(head(embeddings), missing)


class NoContext(nn.Module):
    """In the place of Stage II, where a network has none: each turn is scored by Stage I alone."""

    width = 0
    residual = False

    def forward(self, embeddings: Tensor, *_: Tensor) -> Tensor:
        """(B, K, E) -> (B, K, 0): there is no state."""
        return embeddings[..., :0]

    def scores(self, _: Tensor, head: nn.Module, embeddings: Tensor, missing: Tensor) -> Tensor:  # noqa: ARG002
        """Stage I's own -> (B, K, C)."""
        scores: Tensor = head(embeddings)  # (B, K, C)
        return scores


def classifier(width: int, labels: int, config: ContextConfig) -> nn.Linear:
    """A stage's last layer; where it adds to the stage before, it begins by adding nothing."""
    layer = nn.Linear(width, labels)
    if config.residual:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return layer
