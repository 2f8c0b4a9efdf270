"""What the tracker is doing right now, for whoever wants to look.

The pipeline writes, observers read when they like: a slow screen sees fewer states and delays nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from emotrack.tracker.events import LeftOutName


@dataclass(slots=True)
class Activity:
    """The live figures of one session; written on the event loop only."""

    stream_s: float = 0.0
    """Stream time heard so far."""
    levels_dbfs: tuple[float, ...] = ()
    """Level of each channel's latest chunk, in dBFS; -120 is silence."""
    speaking: tuple[bool, ...] = ()
    """Whether a turn is under way on each channel."""
    thinking: int = 0
    """Finished turns that are being recognised and scored, or wait for it."""
    paused: bool = False
    source_lost: bool = False
    dropped_frames: int = 0
    dropped_turns: int = 0
    text_skipped: int = 0
    left_out: LeftOutName = "nothing"
    """Because the models cannot keep up."""
    notice: str | None = None
    """The line that is meant for the person at the screen now."""
