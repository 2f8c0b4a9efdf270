"""The text encoder: a compact BERT, so that its first weights may come from any checkpoint of that layout.

It may read the turns before, too: a turn's own tokens come first and the earlier turns follow, newest first. All are
related to each other; the embedding is the mean over the turn's own tokens. A decoder, of which a token sees only those
before it, reads the turns in the order in which they were said.

Notation: B batch, N tokens, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Protocol

import torch
from pydantic.dataclasses import dataclass
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.models.sizes import EarlierTurns, Heads, Layers, Tokens, Vocabulary, Width
from emotrack.models.transformer import TransformerLayer

MAX_EARLIER_TOKENS = 40  # of each earlier turn, the token that begins a text counted, though it is left out


class ReadsTurns(Protocol):
    """The limits of reading that the configuration of any text encoder has."""

    @property
    def max_tokens(self) -> int: ...

    @property
    def turns_before(self) -> int: ...

    @property
    def reads_forward(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Dimensions of a text encoder; the defaults are MiniLM-L6's.

    Raises:
        ValueError: there is none of such dimensions.
    """

    vocabulary: Vocabulary = 30_522
    width: Width = 384
    layers: Layers = 6
    heads: Heads = 12
    feed_forward: Width = 1_536
    max_tokens: Tokens = 128  # longer texts are cut: 25 s of quick speech has about 110
    turns_before: EarlierTurns = 0  # how many earlier turns are read with a turn

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")

    @property
    def reads_forward(self) -> bool:
        """No decoder: every token sees all others."""
        return False


class TextEncoder(nn.Module):
    """Token ids -> one embedding an utterance: the mean over its tokens of the last layer (Devlin et al. 2019)."""

    def __init__(self, config: TextConfig, dropout: float = 0.1) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.max_tokens, config.width)
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        layer = TransformerLayer(config.width, config.heads, config.feed_forward, dropout, layer_norm_eps=1e-12)
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    def forward(self, ids: Tensor, padding: Tensor, own: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            ids: (B, N) token ids, N <= ``max_tokens``.
            padding: (B, N) True where there is no token.
            own: (B,) how many tokens, from the first, are the turn's own.

        Returns:
            (B, D) embeddings.
        """
        places = torch.arange(ids.shape[1], device=ids.device)  # (N,)
        states = self.dropout(self.norm(self.tokens(ids) + self.positions(places)))  # (B, N, D)
        for layer in self.layers.layers:
            states = layer(states, src_key_padding_mask=padding)  # (B, N, D)
        return own_mean(states, own)

    def store_in_half(self) -> None:
        """Keep the tokens' embeddings as a bundle has them, in half the memory; every sum is the same.

        For inference alone: nothing is to be learned in half precision.
        """
        self.tokens.half()


def own_mean(states: Tensor, own: Tensor) -> Tensor:
    """(B, N, D) states of tokens, (B,) how many, from the first, are a turn's own -> (B, D) the mean of those."""
    places = torch.arange(states.shape[1], device=states.device)  # (N,)
    present = (places < own.unsqueeze(1)).unsqueeze(-1).to(states.dtype)  # (B, N, 1)
    mean: Tensor = (states * present).sum(dim=1) / present.sum(dim=1)  # (B, D)
    return mean


def read_turn(
    tokenizer: Tokenizer, text: str, before: Sequence[str | None], config: ReadsTurns
) -> tuple[list[int], int]:
    """A turn and the words before it as one sequence of token ids, and how many of them are the turn's own.

    Args:
        tokenizer: cuts a text at the encoder's limit; an encoder's ends it with a separator.
        text: the turn's words.
        before: the words of earlier turns, oldest first; None where there are none.
        config: how many of them are read, how many tokens in all, and whether earlier turns come before the turn.
    """
    said = [words for words in before if words is not None][::-1][: config.turns_before]
    if config.reads_forward:
        return _in_spoken_order(tokenizer, text, said[::-1], config.max_tokens)
    ids = list(tokenizer.encode(text).ids)
    own = len(ids)
    for words in said:
        ids += tokenizer.encode(words).ids[1:MAX_EARLIER_TOKENS]  # without the token that begins a text
    return ids[: config.max_tokens], own


def _in_spoken_order(tokenizer: Tokenizer, text: str, before: Sequence[str], limit: int) -> tuple[list[int], int]:
    """Earlier turns, oldest first, a line each, then the turn; of too many tokens, the oldest are left out."""
    turn = tokenizer.encode(text)
    begins = sum(1 for _ in takewhile(bool, turn.special_tokens_mask))  # with a token that begins a text, or none
    earlier = [
        token
        for words in before
        for token in tokenizer.encode(f"{words}\n", add_special_tokens=False).ids[: MAX_EARLIER_TOKENS - 1]
    ]
    kept = earlier[max(0, len(earlier) + len(turn.ids) - limit) :]
    return [*turn.ids[:begins], *kept, *turn.ids[begins:]], len(turn.ids)
