"""The server: uvicorn within the event loop of the tracker, told to keep quiet and to leave signals alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final
from weakref import WeakMethod

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from emotrack.tracker.web.address import WebAddress
from emotrack.tracker.web.app import make_app
from emotrack.tracker.web.site import Shown

REFRESH_S: Final = 0.2  # between two looks at the figures
MAX_MESSAGE: Final = 64 * 1024  # bytes
MAX_CONNECTIONS: Final = 160
MAX_HTTP_S: Final = 60.0  # for which a connection may last that is no WebSocket


class WebServer:
    """Serves the page until it is closed."""

    def __init__(self, address: WebAddress, shown: Shown) -> None:
        logging.getLogger("uvicorn.error").disabled = True  # nothing of it may stand on the dashboard
        self._address = address
        self._shown = shown
        self._server = _SignallessServer(
            uvicorn.Config(
                make_app(address, shown),
                http=_BoundedHttp,
                ws=WebSocketsSansIOProtocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws_max_size=MAX_MESSAGE,
                ws_per_message_deflate=False,  # it costs more than it saves, and what is small may unpack to much
                h11_max_incomplete_event_size=16 * 1024,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=1,
                ssl_certfile=address.certificate,
                ssl_keyfile=address.key,
            )
        )

    async def run(self) -> None:
        """Serve until ``close``."""
        refreshing = asyncio.create_task(self._refresh())
        try:
            await self._server.serve([self._address.bound])
        finally:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing
            self._address.bound.close()

    async def close(self) -> None:
        """End ``run``, once the viewers had time to read the last events."""
        self._shown.refresh()
        if self._server.server_state.connections:
            await asyncio.sleep(REFRESH_S)
        self._server.should_exit = True

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            if self._server.server_state.connections:
                self._shown.refresh()


class _BoundedHttp(H11Protocol):
    """So many connections, and each for so long: one that asks for nothing takes nobody's place for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(MAX_HTTP_S, _call, WeakMethod(self._end))  # which need not wait for it to be forgotten

    def _end(self) -> None:
        if self.transport.get_protocol() is self:
            self.transport.abort()


def _call(method: WeakMethod[Callable[[], None]]) -> None:
    if (end := method()) is not None:
        end()


class _SignallessServer(uvicorn.Server):
    """Ctrl-C is the tracker's business."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
