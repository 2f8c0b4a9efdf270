"""The page and its two WebSockets as an ASGI application: who may ask, what is answered, with which headers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from emotrack.tracker.sessions import report
from emotrack.tracker.web.address import WebAddress
from emotrack.tracker.web.site import Shown
from emotrack.tracker.web.viewer import TOO_MANY, ClosedError, Viewer, serve_audio

_log = logging.getLogger(__name__)

MAX_VIEWERS: Final = 64
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_KINDS: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


def make_app(address: WebAddress, shown: Shown) -> ASGIApp:
    """What answers at ``address``."""
    doors = _Doors(address, shown)
    routes: list[Route | WebSocketRoute] = [
        Route(path, partial(_asset, body=body, kind=kind)) for path, (body, kind) in _assets().items()
    ]
    routes += [WebSocketRoute("/events", doors.events), WebSocketRoute("/audio", doors.audio)]
    return _Gate(Starlette(routes=routes), address)


def _assets() -> dict[str, tuple[bytes, str]]:
    """The page's files by their path; what it looks like the report has, too."""
    found = {f"/{each.name}": each for each in files(__package__).joinpath("page").iterdir()}
    found["/look.css"] = files(report).joinpath("look.css")
    assets = {
        path: (each.read_bytes(), _KINDS[path.rpartition(".")[2]])
        for path, each in found.items()
        if path.rpartition(".")[2] in _KINDS
    }
    return assets | {"/": assets.pop("/index.html")}


async def _asset(_: Request, *, body: bytes, kind: str) -> Response:
    return Response(body, media_type=kind)


class _Doors:
    """The two WebSockets, and how many came in."""

    def __init__(self, address: WebAddress, shown: Shown) -> None:
        self._address = address
        self._shown = shown
        self._inside = 0

    async def events(self, socket: WebSocket) -> None:
        await self._serve(socket, lambda: Viewer(socket, self._address, self._shown).serve())

    async def audio(self, socket: WebSocket) -> None:
        await self._serve(socket, lambda: serve_audio(socket, self._address, self._shown))

    async def _serve(self, socket: WebSocket, serve: Callable[[], Awaitable[None]]) -> None:
        await socket.accept()
        self._inside += 1
        try:
            if self._inside > MAX_VIEWERS:
                await _close(socket, TOO_MANY, f"{MAX_VIEWERS} others are connected already")
            else:
                await serve()
        except WebSocketDisconnect:
            pass
        except ClosedError as error:
            await _close(socket, error.code, str(error))
        except Exception as error:  # noqa: BLE001 - a fault with one viewer must not end the session
            _log.warning("the page failed for a viewer: %s: %s", type(error).__name__, error)
            await _close(socket, 1011, "the tracker failed")
        finally:
            self._inside -= 1


async def _close(socket: WebSocket, code: int, why: str) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        with suppress(WebSocketDisconnect, RuntimeError):  # they are gone already
            await socket.close(code, why.encode()[:120].decode(errors="ignore"))


class _Gate:
    """Answers only whoever asks for this page, from this page; every answer carries the headers."""

    def __init__(self, app: ASGIApp, address: WebAddress) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if not self._lets_in(headers):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse("Not here.", 421, HEADERS)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _lets_in(self, headers: Headers) -> bool:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._address.knows(host):
            return False
        return origin is None or origin.lower().partition("://")[2] == host.lower()
