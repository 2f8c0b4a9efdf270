"""Errors of training and evaluation: each message is one clear line."""

from __future__ import annotations

from emotrack.errors import EmotrackError


class TrainError(EmotrackError):
    """Data, a recipe or a training run that cannot be used; the message is the one line that is shown."""


class CollapsedError(TrainError):
    """A training that ended in one answer to everything."""
