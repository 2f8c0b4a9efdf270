"""What waits to be sent to a broker: in order, within bounds, and some of it once more after every reconnect."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

from emotrack.tracker.mqtt.connection.message import Message

MAX_SPOOLED: Final = 2000  # messages of QoS 1 that wait; turns have about 2 KB
MAX_LOSSY: Final = 64  # messages of QoS 0 that wait
MAX_RETAINED: Final = 2048  # topics that are sent again after a reconnect; a site has up to 40, a worker one a site


class Outbox:
    """Messages of QoS 1 wait, by their numbers, until they are taken; those of QoS 0 until the connection is lost."""

    def __init__(self) -> None:
        self.dropped = 0
        """Messages given up because too many waited."""
        self._published = 0
        self._spool: OrderedDict[int, Message] = OrderedDict()
        self._only_now: set[int] = set()  # numbers of messages that are of no use on another connection
        self._retained: OrderedDict[str, int] = OrderedDict()
        self._retained_messages: dict[int, Message] = {}
        self._lossy: deque[Message] = deque(maxlen=MAX_LOSSY)
        self._more = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()

    @property
    def waiting(self) -> list[Message]:
        """Messages of QoS 1 that have not been taken yet, in order."""
        return list(self._spool.values())

    @property
    def lossy_waiting(self) -> int:
        """How many messages of QoS 0 wait."""
        return len(self._lossy)

    def __len__(self) -> int:
        """How many messages of QoS 1 have not been taken yet."""
        return len(self._spool)

    def put(self, message: Message, *, latest_only: bool = False, only_now: bool = False) -> None:
        """Let ``message`` wait.

        With ``latest_only`` it takes the place of an earlier one of its topic that still waits. With ``only_now`` it is
        dropped when the connection is lost, and is not sent again if it is retained.
        """
        if message.qos == 0:
            self._lossy.append(message)
        else:
            self._published += 1
            if only_now:
                self._only_now.add(self._published)
            elif message.retain:
                self._retain(self._published, message, latest_only=latest_only)
            self._spool[self._published] = message
            self._all_sent.clear()
            if len(self._spool) > MAX_SPOOLED:
                self._spool.popitem(last=False)
                self.dropped += 1
        self._more.set()

    def abandon(self) -> None:
        """Drop what waits, and what was retained."""
        self._spool.clear()
        self._lossy.clear()
        self._retained.clear()
        self._retained_messages.clear()
        self._all_sent.set()

    # -- the connection's side -----------------------------------------------------------------------------------

    def connected(self) -> None:
        """What is retained comes first, once more: whoever reads it is to know soonest that we are back."""
        again = {n: self._retained_messages[n] for n in self._retained.values() if n not in self._spool}
        self._spool = OrderedDict(again | self._spool)
        self._more.set()

    def lost(self) -> None:
        """What is of no use on another connection goes."""
        self._lossy.clear()
        for number in self._only_now:
            self._spool.pop(number, None)
        self._only_now.clear()

    def take_lossy(self) -> Iterator[Message]:
        """The messages of QoS 0, each once, those that come meanwhile included."""
        while self._lossy:
            yield self._lossy.popleft()

    def first(self) -> tuple[int, Message] | None:
        """The oldest message of QoS 1 and its number; it waits until it is ``taken`` or given up."""
        return next(iter(self._spool.items()), None)

    def taken(self, number: int, message: Message) -> None:
        """The broker has answered for a message."""
        self._spool.pop(number, None)  # a newer one may have taken its place meanwhile
        self._only_now.discard(number)
        if not message.payload:
            self._forget(message.topic, number)

    def give_up(self, number: int) -> Message | None:
        """Drop a message, and do not send it again; it, if it still waited."""
        if (message := self._spool.pop(number, None)) is not None:
            self._forget(message.topic, number)
        return message

    async def more(self) -> None:
        """Call it when nothing waits: return when there is something again."""
        self._all_sent.set()
        self._more.clear()
        await self._more.wait()

    async def all_sent(self) -> None:
        """Return once nothing waits any more."""
        await self._all_sent.wait()

    def nothing_will_be_sent(self) -> None:
        """Nobody need wait for ``all_sent``."""
        self._all_sent.set()

    def _retain(self, number: int, message: Message, *, latest_only: bool) -> None:
        if (earlier := self._retained.get(message.topic)) is not None:
            self._forget(message.topic, earlier)
            if latest_only:
                self._spool.pop(earlier, None)
        self._retained[message.topic] = number
        self._retained_messages[number] = message
        if len(self._retained) > MAX_RETAINED:
            self._forget(*next(iter(self._retained.items())))

    def _forget(self, topic: str, number: int) -> None:
        if self._retained.get(topic) == number:
            del self._retained[topic]
            del self._retained_messages[number]
