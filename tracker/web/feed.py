"""What the viewers of one site are told, once for all of them; each reads at its own pace and holds nobody up.

Events are numbered and the latest of them kept, so that who opens the page in the middle sees the conversation so far,
and who was away goes on where they left off. The figures and the provisional estimates hold for a moment only: of each
kind the latest counts.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import Final
from weakref import WeakSet

from emotrack.tracker.events import Event, Provisional, to_json

KEEP_EVENTS: Final = 40_000  # a day's conversation, revisions included
KEEP_BYTES: Final = 32_000_000  # of their JSON
BATCH_BYTES: Final = 100_000  # of one message


class Feed:
    """The latest events of a site, and what holds at the moment."""

    def __init__(self, keep: int = KEEP_EVENTS, keep_bytes: int = KEEP_BYTES) -> None:
        self.run = secrets.token_hex(4)
        """Tells this feed's numbers from those of another one, before a restart say."""
        self.end = 0
        """The number of the next event."""
        self.stamp = 0
        """Counts what holds for a moment."""
        self._events: deque[bytes] = deque()
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._bytes = 0
        self._moment: dict[str, tuple[int, str]] = {}
        self._changed = asyncio.Event()
        self._readers: WeakSet[Reader] = WeakSet()

    @property
    def is_read(self) -> bool:
        """Whether anybody reads it."""
        return bool(self._readers)

    @property
    def begin(self) -> int:
        """The number of the oldest event that is kept."""
        return self.end - len(self._events)

    def add(self, event: Event) -> None:
        """Tell of an event."""
        if isinstance(event, Provisional):
            self.tell(f"provisional {event.channel}", f'{{"type":"passing","event":{to_json(event)}}}')
            return
        line = to_json(event).encode()
        self._events.append(line)
        self._bytes += len(line)
        self.end += 1
        while len(self._events) > self._keep or (self._bytes > self._keep_bytes and len(self._events) > 1):
            self._bytes -= len(self._events.popleft())
        self._wake()

    def tell(self, kind: str, message: str) -> None:
        """Tell what holds at the moment, in place of what was told of the same kind; the same again is no news."""
        if self._moment.get(kind, (0, ""))[1] != message:
            self.stamp += 1
            self._moment.pop(kind, None)
            self._moment[kind] = self.stamp, message
            self._wake()

    def attach(self, reader: Reader) -> None:
        """Somebody begins to read; nobody needs to say that they have ended."""
        self._readers.add(reader)

    def event(self, number: int) -> bytes:
        """The JSON of an event that is kept."""
        return self._events[number - self.begin]

    def since(self, stamp: int) -> list[str]:
        """What was told of the moment after ``stamp``, the oldest first."""
        return [message for at, message in self._moment.values() if at > stamp]

    async def change(self) -> None:
        """Return when there is something new."""
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Reader:
    """One viewer's place in a feed."""

    def __init__(self, feed: Feed, last_event: str | None) -> None:
        """``last_event`` is the name of the latest event that the viewer has."""
        run, _, number = (last_event or "").partition(":")
        is_of_this = run == feed.run and number.isdecimal() and len(number) < 18 and int(number) < feed.end
        self.goes_on = is_of_this
        """Whether what follows goes on where the viewer was; otherwise it begins anew."""
        self._feed = feed
        self._next = int(number) + 1 if is_of_this else 0
        self._stamp = -1
        feed.attach(self)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing new."""
        return self._next >= self._feed.end and self._stamp >= self._feed.stamp

    def take(self) -> list[str]:
        """The messages that are due now; of many events, some."""
        feed, messages = self._feed, []
        if self._next < feed.begin:
            missed = feed.begin - self._next
            self._next = feed.begin
            messages.append(f'{{"type":"lost","events":{missed}}}')
        if self._stamp >= 0 and self._next < feed.end:  # the first thing that a viewer learns is what holds now
            messages.append(self._batch())
        if self._next == feed.end or self._stamp < 0:  # to whoever still reads what was, it is of no use
            messages += feed.since(self._stamp)
            self._stamp = feed.stamp
        return messages

    async def change(self) -> None:
        """Return when there is something to take."""
        if self.is_done:
            await self._feed.change()

    def _batch(self) -> str:
        begin, size, lines = self._next, 0, list[bytes]()
        while self._next < self._feed.end and size < BATCH_BYTES:
            lines.append(self._feed.event(self._next))
            size += len(lines[-1])
            self._next += 1
        last = f"{self._feed.run}:{begin + len(lines) - 1}"
        return f'{{"type":"events","last_event":"{last}","events":[{b",".join(lines).decode()}]}}'
