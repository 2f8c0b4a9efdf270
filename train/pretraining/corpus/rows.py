"""The rows of a corpus's tables: one dataclass a table, its fields the columns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One turn of speech and its words."""

    TABLE: ClassVar[str] = "turns/1"  # the number is the schema's version

    turn_id: str
    """``turn_id()`` of the stretch of audio."""
    source: str
    """The audio file, relative to the folder that was read."""
    source_sha256: str
    start_s: float
    end_s: float
    speaker: str | None
    text: str | None
    """None when no words were found, or they were rejected."""
    confidence: float | None
    """Of the words, in [0, 1]."""
    language: str | None
    """ISO 639-1."""
    rejected: str | None
    """Which gate rejected the words."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One annotator's label of one turn's words."""

    TABLE: ClassVar[str] = "labels/1"

    turn_id: str
    text: str
    annotator: str
    label: str | None
    """positive, negative or neutral; None when the answer was set aside."""
    set_aside: str | None
    """Why there is no label."""


def turn_id(source_sha256: str, start_s: float, end_s: float) -> str:
    """The same for the same stretch of the same audio, wherever the file lies and whatever it is called."""
    return hashlib.sha256(f"{source_sha256} {start_s:.3f} {end_s:.3f}".encode()).hexdigest()[:32]
