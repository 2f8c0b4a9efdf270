"""What a session is doing right now, for everybody who wants to look.

The session writes, observers read when they like: a slow screen sees fewer states and delays nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from emotrack.tracker.events import LeftOutName, Stamp
from emotrack.tracker.summary.session_summary import Tally

if TYPE_CHECKING:
    from emotrack.models.context import RollingContext


class Status(Protocol):
    """The live figures of one session, to be read."""

    @property
    def site(self) -> str:
        """The place or stream that is tracked."""

    @property
    def session(self) -> str:
        """Its name in every event."""

    @property
    def stream_s(self) -> float:
        """Stream time heard so far."""

    @property
    def levels_dbfs(self) -> tuple[float, ...]:
        """Level of each channel's latest chunk, in dBFS; -120 is silence."""

    @property
    def speaking(self) -> tuple[bool, ...]:
        """Whether a turn is under way on each channel."""

    @property
    def thinking(self) -> int:
        """Finished turns that are being recognised and scored, or wait for it."""

    @property
    def paused(self) -> bool:
        """Whether somebody has asked not to be heard."""

    @property
    def source_lost(self) -> bool:
        """Whether the source delivers no audio at the moment."""

    @property
    def turns_heard(self) -> int:
        """Turns that have ended, those of a session that goes on here included: the latest turn's id."""

    @property
    def dropped_frames(self) -> int:
        """Device blocks lost because nobody read them in time."""

    @property
    def dropped_turns(self) -> int:
        """Turns lost because the models could not keep up."""

    @property
    def text_skipped(self) -> int:
        """Turns scored on voice alone to catch up."""

    @property
    def left_out(self) -> LeftOutName:
        """What is left out because the models cannot keep up."""

    @property
    def tally(self) -> Tally:
        """What the turns of this run add up to."""

    @property
    def context(self) -> RollingContext | None:
        """The rolling window, from which another process can go on; None before the session is made."""

    def stamp(self) -> Stamp:
        """What every event carries, at this moment."""


def _new_name() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


@dataclass(slots=True)
class LiveStatus:
    """A ``Status`` as its session writes it, on the event loop only.

    A session that goes on from elsewhere is made with the name, ``turns_heard``, ``paused`` and ``context`` with which
    it stopped there.
    """

    site: str = "default"
    session: str = field(default_factory=_new_name, compare=False)
    stream_s: float = 0.0
    levels_dbfs: tuple[float, ...] = ()
    speaking: tuple[bool, ...] = ()
    thinking: int = 0
    paused: bool = False
    source_lost: bool = False
    turns_heard: int = 0
    dropped_frames: int = 0
    dropped_turns: int = 0
    text_skipped: int = 0
    left_out: LeftOutName = "nothing"
    tally: Tally = field(default_factory=Tally, compare=False)
    context: RollingContext | None = field(default=None, compare=False)

    def stamp(self) -> Stamp:
        """What every event carries, at this moment."""
        return Stamp(site=self.site, session=self.session, time=datetime.now(UTC))
