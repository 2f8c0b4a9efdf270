"""A connection to the broker that heals itself.

What is published with QoS 1 waits, in order and within bounds, until the broker has acknowledged it, however often the
broker goes away in between: each message arrives at least once and none overtakes another. Retained messages are sent
again after every reconnect, since a broker may have forgotten them. QoS 0 is dropped while nobody listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from emotrack.tracker.messages.notices import lasting, over
from emotrack.tracker.mqtt.connection.blame import Blame, Cause
from emotrack.tracker.mqtt.connection.broker import Broker, BrokerError
from emotrack.tracker.mqtt.connection.client import NO_ANSWER, Client, LostError
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.connection.outbox import Outbox

_log = logging.getLogger(__name__)

BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)  # pauses between attempts; the last one for ever
STEADY_S: Final = 1.0  # a connection that ends sooner does not shorten the pause before the next attempt
FLUSH_S: Final = 5.0  # how long a connection that is being closed waits for what it still has to send

MAX_REFUSALS: Final = 32  # topics whose refusal is told
_TOLD_CHARS: Final = 100  # of a topic


class Connection:
    """A connection to ``broker`` that is there, or on its way back.

    ``on_message`` gets what arrives for ``subscriptions`` (topic filter and QoS), on the event loop: it must be quick.
    Should it raise, that is told and the message is lost. ``on_connected`` and ``on_lost`` are called likewise, and
    must not raise. One line is logged when the broker is lost or refuses something, and when it is back. With
    ``session_expiry_s`` the broker keeps what arrives for ``client_id`` while it is away that long, and says the Will
    only then, unless somebody of that name has come back. ``before_connecting`` is awaited before every attempt; where
    it raises ``BrokerError``, ``run`` ends with that.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        *,
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
        self.outbox = Outbox()
        self.refused = 0
        """Messages that the broker does not take, or at which it hangs up."""
        self.delivered = 0
        """Messages of QoS 1 that the broker has taken."""
        self._broker = broker
        self._client_id = client_id
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
        self._blame = Blame()
        self._closing = asyncio.Event()
        self._refusals: set[str] = set()

    @property
    def is_away(self) -> bool:
        """Whether the broker is known to be out of reach."""
        return not self.connected and self._failures > 0

    @property
    def waiting(self) -> int:
        """Messages of QoS 1 that the broker has not acknowledged yet."""
        return len(self.outbox)

    # -- called at any time --------------------------------------------------------------------------------------

    def publish(self, message: Message, *, latest_only: bool = False, only_now: bool = False) -> None:
        """Send ``message`` as soon as can be; never waits.

        With ``latest_only`` it takes the place of an earlier one of its topic that still waits: what is superseded
        need not be told. With ``only_now`` it is dropped when the connection is lost, and is not sent again if it is
        retained: it may no longer be true by then.
        """
        if self.connected or (message.qos > 0 and not only_now):
            self.outbox.put(message, latest_only=latest_only, only_now=only_now)

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
        self.outbox.abandon()

    async def close(self, *, is_away: bool = False) -> None:
        """Send what waits, within ``FLUSH_S`` unless the broker is known to be away, and let ``run`` end.

        The goodbye is a clean one, so that the Will is not published.
        """
        if not (is_away or self.is_away):  # connected, or on the way for the first time
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self.outbox.all_sent()
        if self.outbox and self.delivered:  # if none was, that is for the owner of the connection to say
            _log.warning("%s: %d messages could not be delivered", self._broker, len(self.outbox))
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
            _log.info("%s: connected", self._broker, extra=over(str(self._broker)))
        self._client, self.connected, self._was_connected, self._is_told_lost = client, True, True, False
        self._connected_s = time.monotonic()
        self.outbox.connected()
        if self._on_connected:
            self._on_connected()

    def _lost(self, error: LostError) -> None:
        self._attempt.abandon()
        reason, is_refusal = self._attempt.explain(error)
        if is_refusal and not self._was_connected:
            self.outbox.nothing_will_be_sent()
            raise BrokerError(f"{self._broker}: {reason}") from None
        self._asks_barely = not self._was_connected and not self._asks_barely and reason == NO_ANSWER
        if not self._is_told_lost:
            self._is_told_lost = True
            extra = lasting(str(self._broker))
            _log.warning("%s: %s; trying again until it works", self._broker, reason, extra=extra)
        was_connected, self.connected, self._client = self.connected, False, None
        if was_connected and time.monotonic() - self._connected_s >= STEADY_S:
            self._failures = 0
        self._failures += 1
        for cause in self._blame.lost():
            self._give_up(cause)
        self.outbox.lost()
        if was_connected and self._on_lost:
            self._on_lost()

    def _give_up(self, cause: Cause) -> None:
        """The broker hangs up at a message or a subscription."""
        if isinstance(cause, str):
            self._subscriptions.pop(cause, None)
            self._refused(f"hangs up at the subscription to {_told(cause)}", "it is given up")
        elif message := self.outbox.give_up(cause):
            self.refused += 1
            self._refused(f"hangs up at what is published on {_told(message.topic)}", "it is dropped")

    def _pause_s(self) -> float:
        """Random, so that many clients do not all come back at the same moment."""
        return BACK_OFF_S[min(self._failures, len(BACK_OFF_S)) - 1] * random.uniform(0.5, 1.0)  # noqa: S311

    # -- sending -------------------------------------------------------------------------------------------------

    async def _send(self, client: Client) -> None:
        task = asyncio.current_task()
        # Before Python 3.12 an acknowledgement that comes at the same moment makes asyncio.wait_for, and so aiomqtt,
        # swallow a cancellation.
        while task and not task.cancelling():
            for message in self.outbox.take_lossy():
                self._answered(message, await client.send(message))
            if (first := self.outbox.first()) is None:
                await self.outbox.more()
                continue
            number, message = first
            with self._blame.on(number):
                refusal = await client.send(message)
            self.outbox.taken(number, message)
            self._answered(message, refusal)

    def _answered(self, message: Message, refusal: str | None) -> None:
        if refusal:
            self.refused += 1
            self._refused(f"refuses what is published on {_told(message.topic)}", refusal)
        elif message.qos:
            self.delivered += 1

    async def _subscribe(self, client: Client, topic_filter: str, qos: int) -> None:
        refusals: Sequence[object] = ["MQTT has no such filter"]
        with self._blame.on(topic_filter), contextlib.suppress(ValueError):
            refusals = [code for code in await client.subscribe(topic_filter, qos) if getattr(code, "is_failure", 0)]
        for refusal in refusals:
            self._refused(f"refuses the subscription to {_told(topic_filter)}", str(refusal))

    def _refused(self, what: str, reason: str) -> None:
        if what not in self._refusals and len(self._refusals) < MAX_REFUSALS:
            self._refusals.add(what)
            _log.warning("%s: %s (%s)", self._broker, what, reason)


def _told(topic: str) -> str:
    """A topic in a line for a person."""
    return "".join(char if char.isprintable() else "?" for char in topic[:_TOLD_CHARS])
