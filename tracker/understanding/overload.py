"""What is left out when the models cannot keep up, and when it comes back: one policy for a whole process.

Several times a second it looks at how late things are. Each level leaves out what is missed least, and what the levels
before it do:

    nothing      everything is done
    speakers     voices are not told apart
    extras       only what a turn needs once it has ended: no work ahead, no estimates while somebody speaks
    words        turns are scored on the voice alone
    short turns  turns end after longer silence, so that there are fewer; what is still too much is dropped

A level is entered when things are late at two looks running, and left when they have been well for a while. After a
relapse that while is longer, so that levels do not alternate.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from emotrack.tracker.events import LeftOutName
from emotrack.tracker.messages.notices import lasting, over

_log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.25
LATE_LOOKS: Final = 2
"""Late at so many looks running; at one, it may have been a stall of the whole machine."""
CALM_S: Final = 5.0
"""Things must have been well for so long before a level is left, ..."""
MAX_CALM_S: Final = 40.0
"""... and twice as long after a relapse, up to this; a relapse is one that comes within this time."""


class LeftOut(IntEnum):
    """How much is left out."""

    NOTHING = 0
    SPEAKERS = 1
    EXTRAS = 2
    WORDS = 3
    SHORT_TURNS = 4

    @property
    def event_name(self) -> LeftOutName:
        """The level's name in events."""
        return _EVENT_NAMES[self]


_EVENT_NAMES: Final[dict[LeftOut, LeftOutName]] = {
    LeftOut.NOTHING: "nothing",
    LeftOut.SPEAKERS: "speakers",
    LeftOut.EXTRAS: "extras",
    LeftOut.WORDS: "words",
    LeftOut.SHORT_TURNS: "short_turns",
}

_NOTICES: Final = {
    LeftOut.NOTHING: "the models keep up again",
    LeftOut.SPEAKERS: "the models are late: voices are not told apart",
    LeftOut.EXTRAS: "the models are late: nothing is estimated before its turn has ended",
    LeftOut.WORDS: "the models are late: turns are scored on the voice alone",
    LeftOut.SHORT_TURNS: "the models are late: turns end after longer silence, and some may be lost",
}


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long the oldest of what waits has been waiting, in seconds."""

    encoding_s: float
    """For an encoder, the context network or the event loop; each needs some 10 ms for a turn."""
    recognition_s: float
    """For the recogniser, which may need a second for a turn."""
    hearing_s: float = 0.0
    """For audio to be heard; sources throw it away after 4 s at the earliest. Audio that was held up on its way comes
    all at once and is heard ten times as quickly as it was spoken: that alone is no overload."""

    def calls_for(self, share: float = 1.0) -> LeftOut:
        """The level that it is late enough for, with all bounds at a ``share`` of their size."""
        encoding_s, recognition_s, hearing_s = (
            late_s / share for late_s in (self.encoding_s, self.recognition_s, self.hearing_s)
        )
        if encoding_s >= 2.0 or hearing_s >= 2.5:
            return LeftOut.SHORT_TURNS
        if encoding_s >= 1.0 or recognition_s >= 4.0 or hearing_s >= 2.0:
            return LeftOut.WORDS
        if encoding_s >= 0.25 or recognition_s >= 1.0 or hearing_s >= 1.5:
            return LeftOut.EXTRAS
        if encoding_s >= 0.2 or recognition_s >= 0.8 or hearing_s >= 1.0:
            return LeftOut.SPEAKERS
        return LeftOut.NOTHING


class OverloadPolicy:
    """From one look after the other to a level; it has no clock of its own."""

    def __init__(self) -> None:
        self.level = LeftOut.NOTHING
        self._late_looks = 0
        self._well_since_s = 0.0
        self._left_at_s: float | None = None  # when a level was last left, if none was entered since
        self._calm_s = CALM_S

    def look(self, lateness: Lateness, now_s: float) -> bool:
        """Take one look, at ``now_s`` seconds on any clock; whether the level has changed by it, by one at most."""
        self._late_looks = self._late_looks + 1 if lateness.calls_for() > self.level else 0
        if self._late_looks == LATE_LOOKS:
            self._enter(now_s)
            return True
        if lateness.calls_for(share=0.5) >= self.level:
            self._well_since_s = now_s
        elif now_s - self._well_since_s >= self._calm_s:
            self.level = LeftOut(self.level - 1)
            self._well_since_s = self._left_at_s = now_s
            return True
        return False

    def _enter(self, now_s: float) -> None:
        if self._left_at_s is not None:
            is_relapse = now_s - self._left_at_s < MAX_CALM_S
            self._calm_s = min(2 * self._calm_s, MAX_CALM_S) if is_relapse else CALM_S
        self.level = LeftOut(self.level + 1)
        self._late_looks, self._left_at_s, self._well_since_s = 0, None, now_s


class Overload:
    """The policy at work, as long as any conversation wants to know; on the event loop only."""

    def __init__(self, lateness: Callable[[], Lateness]) -> None:
        self._lateness = lateness
        self._policy = OverloadPolicy()
        self._watchers: list[tuple[Callable[[LeftOut], None], Callable[[], float]]] = []
        self._looking: asyncio.Task[None] | None = None

    @property
    def level(self) -> LeftOut:
        return self._policy.level

    @contextmanager
    def watched_by(
        self, watcher: Callable[[LeftOut], None], hearing_s: Callable[[], float] = lambda: 0.0
    ) -> Iterator[None]:
        """Tell ``watcher`` of every change of the level, and at once of one that is not the usual.

        ``hearing_s``: for how many seconds the oldest audio of its conversation has been waiting to be heard.
        """
        if self._looking is None:
            self._policy = OverloadPolicy()
            self._looking = asyncio.get_running_loop().create_task(self._look())
        self._watchers.append(watching := (watcher, hearing_s))
        try:
            if self.level:
                watcher(self.level)
            yield
        finally:
            self._watchers.remove(watching)
            if not self._watchers:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        while True:
            due_s = time.perf_counter() + LOOK_EVERY_S
            await asyncio.sleep(LOOK_EVERY_S)
            now_s = time.perf_counter()
            lateness = self._lateness()
            late_s = max(lateness.encoding_s, now_s - due_s)  # the event loop may be what is late
            hearing_s = max(waiting_s() for _, waiting_s in self._watchers)
            if self._policy.look(replace(lateness, encoding_s=late_s, hearing_s=hearing_s), now_s):
                if self.level > LeftOut.NOTHING:
                    _log.warning("%s", _NOTICES[self.level], extra=lasting("overload"))
                else:
                    _log.info("%s", _NOTICES[self.level], extra=over("overload"))
                for watcher, _ in list(self._watchers):
                    watcher(self.level)
