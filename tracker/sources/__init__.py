"""Where audio comes from. Every source delivers 16 kHz chunks on its own stream clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

from emotrack.tracker.audio import SourceItem

Channels = Literal["mix", "split"]

ONE_CHANNEL = "has one channel only, in which --channels split tells nobody apart"


class Source(Protocol):
    """A stream of audio.

    Making one checks what can be checked without audio flowing and raises ``SourceError``;
    ``items()`` opens it, yields until the source ends for good and closes it.
    """

    name: str
    """What the user calls it: a path or a device."""
    channels: int
    """Channels of every chunk: 1 when mixed."""
    elsewhere: str
    """Options with which speech may be found that is not heard now: other tracks of a file; empty without any."""
    lossless: bool
    """True when the source waits for a slow reader (a file); False when audio that is not read is lost."""

    realtime: bool
    """True when audio comes as it is spoken, so that there is time to look ahead."""

    @property
    def dropped_frames(self) -> int:
        """Device blocks thrown away because nobody read them in time."""

    def items(self) -> AsyncGenerator[SourceItem, None]: ...
