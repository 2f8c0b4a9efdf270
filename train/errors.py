"""Errors of training and evaluation: each message is one clear line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotrack.errors import EmotrackError


class TrainError(EmotrackError):
    """Data, a recipe or a training run that cannot be used; the message is the one line that is shown."""


class DivergedError(TrainError):
    """A training whose loss is no longer a finite number."""


class CollapsedError(TrainError):
    """A training that ended in one answer to everything.

    Args:
        message: which training, and what it answers.
        scores: on dev, of the collapsed network, as JSON takes them.
    """

    def __init__(self, message: str, scores: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.scores = dict(scores or {})
