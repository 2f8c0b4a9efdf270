"""The claim of a process that serves one site alone, and the connection that it is made over."""

from __future__ import annotations

from collections.abc import Callable

from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.ownership.claims import Claims, TakenError, claim_topics
from emotrack.tracker.mqtt.publishing.options import Publishing


class OwnClaim:
    """Claims the site before the first connection, and confirms it before every other."""

    def __init__(self, publishing: Publishing, site: str, leave: Callable[[str, str], None]) -> None:
        """``leave`` is called with the site and its new owner when another process has claimed it."""
        self._site = site
        self._is_obtained = False
        self._connection = Connection(
            publishing.broker,
            publishing.worker,
            on_message=self._receive,
            on_connected=self._connected,
            subscriptions=claim_topics(publishing.worker, site),
        )
        self.claims = Claims(self._connection, publishing.worker, None, leave)

    async def run(self) -> None:
        """Stay connected until ``release``. Raises ``BrokerError``."""
        await self._connection.run()

    async def confirm(self) -> None:
        """Return once it is certain that the site is served here. Raises ``TakenError`` if it is not."""
        if self._is_obtained:
            await self.claims.confirm(self._site)
        elif taken_by := await self.claims.obtain(self._site):
            raise TakenError(self._site, taken_by)
        self._is_obtained = True

    async def release(self, *, is_forgotten: bool) -> None:
        """Nobody serves the site any more; of one that is forgotten the broker keeps nothing."""
        self.claims.release(self._site, is_forgotten=is_forgotten)
        await self._connection.close()

    def _connected(self) -> None:
        self.claims.on_connected()

    def _receive(self, message: Message) -> None:
        self.claims.receive(message)
