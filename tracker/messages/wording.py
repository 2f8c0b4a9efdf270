"""Numbers in words, the same wherever people read them."""

from __future__ import annotations

import math
from typing import Final

TOLD_OVERLAP: Final = 0.2
"""The share of a turn that others speak in, from which on people are told of it."""

TOLD_AFFECT: Final = 0.1
"""The distance from the middle from which on people are told how pleasant or aroused a turn sounds."""

_DOUBTS: Final = {"short": "very short", "unclear": "hardly speech", "no_words": "no words heard"}


def doubted(doubt: str | None) -> str:
    """Why an estimate is doubted, for people; empty for no reason, and for overlap, which they are told anyway."""
    return _DOUBTS.get(doubt or "", "")


def affect(valence: float | None, arousal: float | None) -> str:
    """How pleasant and how aroused it sounds, -1 to 1 each, for people, as in ``unpleasant 0.5, calm 0.3``.

    What is nearer the middle than ``TOLD_AFFECT``, and what nobody knows, is left out.
    """
    axes = ((valence or 0.0, "unpleasant", "pleasant"), (arousal or 0.0, "calm", "aroused"))
    told = [(abs(value), more if value > 0 else less) for value, less, more in axes if abs(value) >= TOLD_AFFECT]
    return ", ".join(f"{word} {strength:.1f}" for strength, word in told)


def clock(seconds: float) -> str:
    """Stream time as m:ss, or h:mm:ss from an hour on; 0:00 for what is no time of a stream."""
    whole = int(max(0.0, seconds)) if math.isfinite(seconds) else 0
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def counted(count: int, thing: str) -> str:
    """A number of things: ``1 turn``, ``20,000 turns``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
