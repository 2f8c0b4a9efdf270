"""A page of a made-up session, served for real, and viewers that come with a client library of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from emotrack.tracker.events import Event
from emotrack.tracker.messages.notices import NoticeBoard
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.sources import Source
from emotrack.tracker.web.address import WebAddress, bind
from emotrack.tracker.web.server import WebServer
from emotrack.tracker.web.site import LiveSite
from tests.noticing import noticed
from tests.tracker.dashboard.made_up import LABELS

Message = dict[str, Any]


class ServedPage:
    """Serves within the block; ``site`` takes the events."""

    def __init__(self, source: Source | None = None, address: WebAddress | None = None) -> None:
        self.status = LiveStatus(site="kitchen", session="s", levels_dbfs=(-30.0,), speaking=(False,))
        self.controls = Controls(self.status, LABELS)
        self.site = LiveSite(self.controls, "Nothing is recorded.", NoticeBoard(), source)
        self.notices = list[str]()
        self.address = address or bind("127.0.0.1:0")
        self.server = WebServer(self.address, self.site)
        self.host = f"127.0.0.1:{self.address.port}"

    async def __aenter__(self) -> Self:
        with noticed(self.notices):
            self._serving = asyncio.create_task(self.server.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.server.close()
        await self._serving
        assert self.notices == []

    async def emit(self, events: Sequence[Event]) -> None:
        for event in events:
            await self.site.emit(event)

    @asynccontextmanager
    async def viewer(self, path: str = "events", **options: Any) -> AsyncIterator[ClientConnection]:
        """A connection to which nothing has been said."""
        scheme = "wss" if self.address.is_secure else "ws"
        async with connect(f"{scheme}://{self.host}/{path}", proxy=None, **options) as connection:
            yield connection

    @asynccontextmanager
    async def entered(self, **enter: Any) -> AsyncIterator[ClientConnection]:
        """A viewer who has come in; ``welcome`` is the first message."""
        async with self.viewer() as connection:
            await say(connection, type="enter", **enter)
            yield connection


async def say(connection: ClientConnection, **message: Any) -> None:
    await connection.send(json.dumps(message))


async def hear(connection: ClientConnection, wanted: Callable[[Message], object] | str) -> Message:
    """The next message of a type, or for which something holds."""
    is_it = (lambda each: each["type"] == wanted) if isinstance(wanted, str) else wanted
    async with asyncio.timeout(10):
        while not is_it(message := json.loads(await connection.recv())):
            pass
    return dict(message)


async def hear_events(connection: ClientConnection, count: int) -> tuple[list[Message], str]:
    """So many events, and the name of the last one."""
    events, last = list[Message](), ""
    while len(events) < count:
        message = await hear(connection, "events")
        events += message["events"]
        last = message["last_event"]
    return events, last
