"""A connection to the broker that heals itself.

What is published with QoS 1 waits, in order and within bounds, until the broker has acknowledged it, however often the
broker goes away in between: each message arrives at least once and none overtakes another. Retained messages are sent
again after every reconnect, since a broker may have forgotten them. QoS 0 is dropped while nobody listens.

A message or a subscription at which the connection breaks twice is given up: the next would break it again, and
nothing behind it would ever leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from emotrack.tracker.messages.notices import Notice
from emotrack.tracker.mqtt.connection.broker import Broker, BrokerError
from emotrack.tracker.mqtt.connection.client import NO_ANSWER, Client, LostError
from emotrack.tracker.mqtt.connection.message import Message

BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # pauses between attempts; the last one for ever
STEADY_S: Final = 1.0  # a connection that ends sooner does not shorten the pause before the next attempt
FLUSH_S: Final = 5.0  # how long a connection that is being closed waits for what it still has to send

MAX_SPOOLED: Final = 2000  # messages of QoS 1 that wait; turns have about 2 KB
MAX_LOSSY: Final = 64  # messages of QoS 0 that wait
MAX_RETAINED: Final = 2048  # topics that are sent again after a reconnect; a site has up to 40, a worker one a site
MAX_REFUSALS: Final = 32  # topics whose refusal is told
MAX_LOST_AT: Final = 2  # connections that a message or a subscription may cost
_TOLD_CHARS: Final = 100  # of a topic


class Connection:
    """A connection to ``broker`` that is there, or on its way back.

    ``on_message`` gets what arrives for ``subscriptions`` (topic filter and QoS), on the event loop: it must be quick.
    Should it raise, that is told and the message is lost. ``on_connected`` and ``on_lost`` are called likewise, and
    must not raise. ``notify`` gets one line when the broker is lost or refuses something, and when it is back. With
    ``session_expiry_s`` the broker keeps what arrives for ``client_id`` while it is away that long, and says the Will
    only then, unless somebody of that name has come back. ``before_connecting`` is awaited before every attempt; where
    it raises ``BrokerError``, ``run`` ends with that.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        *,
        notify: Callable[[str], None],
        on_message: Callable[[Message], None] | None = None,
        on_connected: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
        subscriptions: Sequence[tuple[str, int]] = (),
        will: Message | None = None,
        session_expiry_s: int = 0,
        before_connecting: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.connected = False
        self.reconnects = 0
        self.dropped = 0
        """Messages given up because too many waited."""
        self.refused = 0
        """Messages that the broker does not take, or at which it hangs up."""
        self.delivered = 0
        """Messages of QoS 1 that the broker has taken."""
        self._broker = broker
        self._client_id = client_id
        self._notify = notify
        self._on_message = on_message
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._subscriptions = dict(subscriptions)
        self._will = will
        self._session_expiry_s = session_expiry_s
        self._before_connecting = before_connecting
        self._client: Client | None = None
        self._was_connected = False
        self._failures = 0
        self._connected_s = 0.0  # monotonic
        self._is_told_lost = False
        self._asks_barely = False
        self._under_way: set[int | str] = set()  # messages by number and topic filters that await an answer
        self._lost_at: Counter[int | str] = Counter()  # how often the connection was lost meanwhile
        self._published = 0
        self._spool: OrderedDict[int, Message] = OrderedDict()
        self._only_now: set[int] = set()  # numbers of messages that are of no use on another connection
        self._retained: OrderedDict[str, int] = OrderedDict()
        self._retained_messages: dict[int, Message] = {}
        self._lossy: deque[Message] = deque(maxlen=MAX_LOSSY)
        self._something_to_send = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._closing = asyncio.Event()
        self._refusals: set[str] = set()

    @property
    def is_away(self) -> bool:
        """Whether the broker is known to be out of reach."""
        return not self.connected and self._failures > 0

    @property
    def waiting(self) -> int:
        """Messages of QoS 1 that the broker has not acknowledged yet."""
        return len(self._spool)

    # -- called at any time --------------------------------------------------------------------------------------

    def publish(self, message: Message, *, latest_only: bool = False, only_now: bool = False) -> None:
        """Send ``message`` as soon as can be; never waits.

        With ``latest_only`` it takes the place of an earlier one of its topic that still waits: what is superseded
        need not be told. With ``only_now`` it is dropped when the connection is lost, and is not sent again if it is
        retained: it may no longer be true by then.
        """
        if only_now and not self.connected:
            return
        if message.qos == 0:
            if self.connected:
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
        self._something_to_send.set()

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe now, if there is a connection, and after every reconnect."""
        self._subscriptions[topic_filter] = qos
        if self._client is not None:
            with contextlib.suppress(LostError):  # the connection is gone; the next one subscribes
                await self._subscribe(self._client, topic_filter, qos)

    async def unsubscribe(self, topic_filter: str) -> None:
        """Undo ``subscribe``."""
        self._subscriptions.pop(topic_filter, None)
        if self._client is not None:
            with contextlib.suppress(LostError):  # the connection is gone, and the subscription with it
                await self._client.unsubscribe(topic_filter)

    def abandon(self) -> None:
        """Say nothing more: what waits, and what was retained, is no longer this connection's to say."""
        self._spool.clear()
        self._lossy.clear()
        self._retained.clear()
        self._retained_messages.clear()
        self._all_sent.set()

    async def close(self, *, is_away: bool = False) -> None:
        """Send what waits, within ``FLUSH_S`` unless the broker is known to be away, and let ``run`` end.

        The goodbye is a clean one, so that the Will is not published.
        """
        if not (is_away or self.is_away):  # connected, or on the way for the first time
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._all_sent.wait()
        if self._spool and self.delivered:  # if none was, that is for the owner of the connection to say
            self._notify(f"{self._broker}: {len(self._spool)} messages could not be delivered")
        self._closing.set()

    # -- staying connected ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stay connected until ``close``.

        Raises ``BrokerError`` if the broker turns us away, cannot be trusted, or lacks what is needed, before it was
        ever of use. An unreachable broker is waited for.
        """
        while await self._may_connect():
            try:
                async with self._new_client() as client:
                    await self._serve(client)
            except LostError as error:
                self._lost(error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s()):
                        await self._closing.wait()
            finally:
                self.connected, self._client = False, None

    async def _may_connect(self) -> bool:
        """Whether to connect, as soon as ``before_connecting`` has nothing against it; not once it is closing."""
        if self._before_connecting is not None and not self._closing.is_set():
            waiting = [asyncio.ensure_future(self._before_connecting()), asyncio.ensure_future(self._closing.wait())]
            try:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in waiting:
                    task.cancel()
        return not self._closing.is_set()

    async def _serve(self, client: Client) -> None:
        """Send and receive until ``close``; raises ``LostError`` when the connection is lost."""
        client.check(self._subscriptions)
        if self._asks_barely:  # it speaks MQTT 5 after all, and was only slow
            self._asks_barely = False
            return
        for topic_filter, qos in list(self._subscriptions.items()):
            await self._subscribe(client, topic_filter, qos)
        self._connected(client)
        tasks = [
            asyncio.ensure_future(self._send(client)),
            asyncio.ensure_future(client.wait_until_lost()),
            asyncio.ensure_future(self._closing.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _new_client(self) -> Client:
        receive = self._receive if self._on_message else None
        self._attempt = Client(
            self._broker, self._client_id, self._will, self._session_expiry_s, receive, is_bare=self._asks_barely
        )
        return self._attempt

    def _receive(self, message: Message) -> None:
        try:
            if self._on_message:
                self._on_message(message)
        except Exception as error:  # noqa: BLE001  # whatever it is, it would cost the connection
            self._refused(f"sent what could not be used, on {_told(message.topic)}", repr(error)[:_TOLD_CHARS])

    def _connected(self, client: Client) -> None:
        if self._was_connected:
            self.reconnects += 1
        if self._is_told_lost:
            self._notify(Notice(f"{self._broker}: connected", about=str(self._broker), holds=False))
        self._client, self.connected, self._was_connected, self._is_told_lost = client, True, True, False
        self._connected_s = time.monotonic()
        # What is retained comes first: whoever reads it is to know soonest that we are back.
        again = {n: self._retained_messages[n] for n in self._retained.values() if n not in self._spool}
        self._spool = OrderedDict(again | self._spool)
        self._something_to_send.set()
        if self._on_connected:
            self._on_connected()

    def _lost(self, error: LostError) -> None:
        self._attempt.abandon()
        reason, is_refusal = self._attempt.explain(error)
        if is_refusal and not self._was_connected:
            self._all_sent.set()  # nothing will be: nobody need wait for it
            raise BrokerError(f"{self._broker}: {reason}") from None
        self._asks_barely = not self._was_connected and not self._asks_barely and reason == NO_ANSWER
        if not self._is_told_lost:
            self._is_told_lost = True
            line = f"{self._broker}: {reason}; trying again until it works"
            self._notify(Notice(line, about=str(self._broker)))
        was_connected, self.connected, self._client = self.connected, False, None
        if was_connected and time.monotonic() - self._connected_s >= STEADY_S:
            self._failures = 0
        self._failures += 1
        self._blame()
        self._lossy.clear()
        for number in self._only_now:
            self._spool.pop(number, None)
        self._only_now.clear()
        if was_connected and self._on_lost:
            self._on_lost()

    def _blame(self) -> None:
        """Give up what was under way at every one of ``MAX_LOST_AT`` losses."""
        for cause in self._under_way:
            self._lost_at[cause] += 1
            if self._lost_at[cause] < MAX_LOST_AT:
                continue
            del self._lost_at[cause]
            if isinstance(cause, str):
                self._subscriptions.pop(cause, None)
                self._refused(f"hangs up at the subscription to {_told(cause)}", "it is given up")
            elif message := self._spool.pop(cause, None):
                self._forget(message.topic, cause)
                self.refused += 1
                self._refused(f"hangs up at what is published on {_told(message.topic)}", "it is dropped")
        self._under_way.clear()

    @contextlib.contextmanager
    def _answering(self, cause: int | str) -> Iterator[None]:
        """What is sent meanwhile has ``cause``, a message's number or a topic filter; no error means an answer."""
        self._under_way.add(cause)
        yield
        self._under_way.discard(cause)
        del self._lost_at[cause]

    def _pause_s(self) -> float:
        """Random, so that many clients do not all come back at the same moment."""
        return BACK_OFF_S[min(self._failures, len(BACK_OFF_S)) - 1] * random.uniform(0.5, 1.0)  # noqa: S311

    # -- sending -------------------------------------------------------------------------------------------------

    async def _send(self, client: Client) -> None:
        task = asyncio.current_task()
        # Before Python 3.12 an acknowledgement that comes at the same moment makes asyncio.wait_for, and so aiomqtt,
        # swallow a cancellation.
        while task and not task.cancelling():
            self._something_to_send.clear()
            while self._lossy:
                message = self._lossy.popleft()
                self._answered(message, await client.send(message))
            if self._spool:
                number, message = next(iter(self._spool.items()))
                with self._answering(number):
                    refusal = await client.send(message)
                self._spool.pop(number, None)  # a newer one may have taken its place meanwhile
                self._only_now.discard(number)
                if not message.payload:
                    self._forget(message.topic, number)
                self._answered(message, refusal)
            else:
                self._all_sent.set()
                await self._something_to_send.wait()

    def _answered(self, message: Message, refusal: str | None) -> None:
        if refusal:
            self.refused += 1
            self._refused(f"refuses what is published on {_told(message.topic)}", refusal)
        elif message.qos:
            self.delivered += 1

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

    async def _subscribe(self, client: Client, topic_filter: str, qos: int) -> None:
        refusals: Sequence[object] = ["MQTT has no such filter"]
        with self._answering(topic_filter), contextlib.suppress(ValueError):
            refusals = [code for code in await client.subscribe(topic_filter, qos) if getattr(code, "is_failure", 0)]
        for refusal in refusals:
            self._refused(f"refuses the subscription to {_told(topic_filter)}", str(refusal))

    def _refused(self, what: str, reason: str) -> None:
        if what not in self._refusals and len(self._refusals) < MAX_REFUSALS:
            self._refusals.add(what)
            self._notify(f"{self._broker}: {what} ({reason})")


def _told(topic: str) -> str:
    """A topic in a line for a person."""
    return "".join(char if char.isprintable() else "?" for char in topic[:_TOLD_CHARS])
