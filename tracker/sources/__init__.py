"""Where audio comes from. Every source delivers 16 kHz chunks on its own stream clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from emotrack.tracker.audio import SourceItem

Channels = Literal["mix", "split"]

ONE_CHANNEL = "has one channel only, in which --channels split tells nobody apart"


@dataclass(frozen=True, slots=True)
class ChannelSpeakers:
    """Who may be heard on one channel."""

    name: str | None
    """What whoever speaks there is called as long as nothing else tells."""
    several: bool
    """Several people, whose voices are to be told apart."""


ROOM: Final[tuple[ChannelSpeakers, ...]] = (ChannelSpeakers(None, several=True),)


def usual_speakers(channels: int) -> tuple[ChannelSpeakers, ...]:
    """One channel is a room; of several each is somebody's own."""
    if channels == 1:
        return ROOM
    return tuple(ChannelSpeakers(f"channel {number}", several=False) for number in range(1, channels + 1))


class Source(Protocol):
    """A stream of audio.

    Making one checks what can be checked without audio flowing and raises ``SourceError``;
    ``items()`` opens it, yields until the source ends for good and closes it.
    """

    name: str
    """What the user calls it: a path or a device."""
    channels: int
    """Channels of every chunk: 1 when mixed."""
    speakers: tuple[ChannelSpeakers, ...]
    """Who may be heard on each of them."""
    elsewhere: str
    """Options with which speech may be found that is not heard now: other tracks of a file; empty without any."""
    lossless: bool
    """True when the source waits for a slow reader (a file); False when audio that is not read is lost."""

    realtime: bool
    """True when audio comes as it is spoken, so that there is time to look ahead."""

    @property
    def dropped_frames(self) -> int:
        """Device blocks thrown away because nobody read them in time."""

    @property
    def late_s(self) -> float:
        """For how many seconds the audio that is read now has been waiting; 0 where none does, and if lossless."""

    def items(self) -> AsyncGenerator[SourceItem, None]: ...
