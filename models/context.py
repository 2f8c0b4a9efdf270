"""A conversation as the network remembers it: the last K turns, in fixed memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Part = Literal["speech", "text", "context"]  # what an estimate rests on


@dataclass(frozen=True, slots=True)
class TurnEmbedding:
    """One turn as the encoders hand it on: a 1-d embedding for each modality that was heard, and who spoke.

    Raises:
        ValueError: neither modality is there.
    """

    speech: Tensor | None
    text: Tensor | None
    speaker: str | None

    def __post_init__(self) -> None:
        if self.speech is None and self.text is None:
            raise ValueError("a turn needs speech, text or both")


@dataclass(frozen=True, slots=True)
class EmotionEstimate:
    """What the network believes of one turn; ``probabilities`` are in the order of ``labels`` and sum to 1."""

    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    emotion: str  # the likeliest label
    confidence: float  # its probability
    uncertain: bool  # the confidence lies below the bundle's threshold
    why: dict[Part, float]  # the confidence with it, less the probability without it


class RollingContext:
    """The last ``turns`` turns of one conversation, newest last: how likely each emotion was, and who spoke.

    Raises:
        ValueError: ``turns`` is negative.
    """

    def __init__(self, turns: int) -> None:
        if turns < 0:
            raise ValueError(f"a context holds 0 or more turns, not {turns}")
        self._turns: deque[tuple[Tensor, str | None]] = deque(maxlen=turns)

    def __len__(self) -> int:
        return len(self._turns)

    def append(self, probabilities: Tensor, speaker: str | None) -> None:
        """Remember a turn, (C,) probabilities, and forget the oldest when full."""
        self._turns.append((probabilities, speaker))

    def history(self, speaker: str | None) -> tuple[Tensor, Tensor] | None:
        """The past as the fusion takes it: (K, C) probabilities, newest first, and (K,) whether ``speaker`` spoke.

        An unknown speaker counts as half the same. None when there is no past.
        """
        if not self._turns:
            return None
        newest_first = list(reversed(self._turns))
        probabilities = torch.stack([turn for turn, _ in newest_first])  # (K, C)
        same = torch.tensor([_same(speaker, past) for _, past in newest_first])  # (K,)
        return probabilities, same


def _same(one: str | None, other: str | None) -> float:
    return 0.5 if one is None or other is None else float(one == other)
