"""Embeddings that another program computes, in the place of an encoder: so stages II and III stand on any encoder.

A network of these is given what its encoders would say of a turn; by itself it neither listens nor reads.

Notation: F numbers of a turn.
"""

from __future__ import annotations

from typing import NoReturn

from pydantic.dataclasses import dataclass
from tokenizers import Tokenizer, models
from torch import nn

from emotrack.models.sizes import Width

REFUSAL = "its embeddings are computed by another program: it cannot {} by itself"
UNKNOWN = "[UNK]"


@dataclass(frozen=True, slots=True)
class GivenTextConfig:
    """Embeddings of a turn's words."""

    given: Width  # F
    origin: str = ""  # what they were computed by

    @property
    def vocabulary(self) -> int:
        """A bundle has a vocabulary, this one of nothing."""
        return 1

    @property
    def max_tokens(self) -> int:
        """That are read: none in earnest."""
        return 1

    @property
    def turns_before(self) -> int:
        """Whoever computed the embeddings has read what was to be read."""
        return 0

    @property
    def reads_forward(self) -> bool:
        """It reads nothing."""
        return False


@dataclass(frozen=True, slots=True)
class GivenSpeechConfig:
    """Embeddings of a turn's voice."""

    given: Width  # F
    origin: str = ""  # what they were computed by


class GivenText(nn.Module):
    """In the place of a text encoder."""

    def __init__(self, config: GivenTextConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.given

    def forward(self, *_: object) -> NoReturn:
        """Raises ``ValueError``."""
        raise ValueError(REFUSAL.format("read"))


class GivenSpeech(nn.Module):
    """In the place of a speech encoder: one layer, without a summary."""

    layers, summary_width = 1, 0

    def __init__(self, config: GivenSpeechConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.given

    def prepare(self, *_: object) -> NoReturn:
        """Raises ``ValueError``."""
        raise ValueError(REFUSAL.format("listen"))

    def forward(self, *_: object) -> NoReturn:
        """Raises ``ValueError``."""
        raise ValueError(REFUSAL.format("listen"))


def no_vocabulary(config: GivenTextConfig) -> Tokenizer:
    """The vocabulary of a network that does not read."""
    tokenizer = Tokenizer(models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
    tokenizer.enable_truncation(config.max_tokens)
    return tokenizer
