"""Forgetting a site: whatever the broker keeps on its topics goes, and with it its device in Home Assistant."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from emotrack.errors import EmotrackError
from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.ownership.claims import Claims, claim_topics

REACHED_S: Final = 5.0  # within which the broker has to answer
ENDED_S: Final = 15.0  # within which a session that is told to end has to
MAX_TOPICS: Final = 4096  # of one site, far beyond what is published for any


class ForgetError(EmotrackError):
    """A site cannot be forgotten; the message is one line."""


async def forget(broker: Broker, client_id: str, site: str) -> int:
    """Delete whatever is retained of a site that nobody serves; how many topics that were.

    Raises ``ForgetError`` where the broker cannot be reached, ``BrokerError`` where it turns us away.
    """
    async with _looking(broker, client_id, site) as (claims, kept):
        for topic in kept:
            claims.connection.publish(channels.to_deletion(topic))
        claims.connection.publish(channels.to_deletion(topics.discovery(site)))
        return len(kept)


async def end(broker: Broker, client_id: str, site: str) -> bool:
    """Have the tracker that serves a site forget it; whether there is one.

    Raises as ``forget`` does, and where the tracker goes on.
    """
    async with _looking(broker, client_id, site) as (claims, kept):
        # A broker that went down together with the tracker may say ``online`` for ever.
        if kept.get(topics.status(site)) != b"online" or not await claims.is_answered(site):
            return False
        claims.connection.publish(Message(topics.command(site, "forget"), b"{}", qos=1, expiry_s=60))
        try:
            async with asyncio.timeout(ENDED_S):
                while kept.get(topics.status(site)) == b"online":  # noqa: ASYNC110  # seldom, and seldom for long
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise ForgetError(f"site {site} is still served: stop its tracker first") from None
        return True


@contextlib.asynccontextmanager
async def _looking(broker: Broker, client_id: str, site: str) -> AsyncIterator[tuple[Claims, dict[str, bytes]]]:
    """Claims over a connection, and by topic what the broker keeps of the site; its status is kept up to date."""
    kept: dict[str, bytes] = {}

    def receive(message: Message) -> None:
        if (message.retain and len(kept) < MAX_TOPICS) or message.topic == topics.status(site):
            kept[message.topic] = message.payload
        claims.receive(message)

    def connected() -> None:
        claims.on_connected()

    connection = Connection(
        broker,
        client_id,
        on_message=receive,
        on_connected=connected,
        subscriptions=[(topics.of_sites("#", site), 1), *claim_topics(client_id, site)],
    )
    claims = Claims(connection, client_id, None, lambda *_: None)
    running = asyncio.ensure_future(connection.run())
    looked = asyncio.ensure_future(claims.fresh())
    try:
        done, _ = await asyncio.wait({running, looked}, timeout=REACHED_S, return_when=asyncio.FIRST_COMPLETED)
        if running in done:
            await running  # raises why
        if looked not in done:
            raise ForgetError(f"{broker}: gives no answer")
        yield claims, kept
    finally:
        looked.cancel()
        await connection.close()
        await asyncio.gather(running, return_exceptions=True)
