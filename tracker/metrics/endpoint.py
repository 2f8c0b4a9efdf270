"""Where the figures are read: ``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for whoever restarts it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from emotrack.errors import UsageError

DEFAULT_HOST: Final = "127.0.0.1"
BEAT_S: Final = 1.0
STALLED_S: Final = 10.0  # an event loop that has not run for so long is stuck
REQUEST_S: Final = 5.0  # that a client may take to ask
POLL_S: Final = 0.1  # after which the end is noticed

_Answer = tuple[HTTPStatus, str, bytes]


class MetricsEndpoint:
    """An HTTP server in a thread of its own, so that it answers also where the event loop is stuck."""

    def __init__(self, host: str, port: int) -> None:
        """Take the port. Raises ``UsageError`` where it cannot be taken."""
        endpoint = self

        class Handler(_Handler):
            def answer(self) -> _Answer:
                return endpoint._answer(self.path.partition("?")[0])

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise UsageError(f"--metrics: cannot listen at {host}:{port}: {error.strerror or error}") from error
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._registry = CollectorRegistry()
        self._is_ready: Callable[[], bool] = lambda: False
        self._beat_s = 0.0

    @contextlib.asynccontextmanager
    async def serving(self, registry: CollectorRegistry, is_ready: Callable[[], bool]) -> AsyncIterator[None]:
        """Answer within the block; ``is_ready`` is asked in another thread."""
        self._registry, self._is_ready = registry, is_ready
        beating = asyncio.get_running_loop().create_task(self._beat())
        await asyncio.sleep(0)  # the first beat
        thread = Thread(target=self._server.serve_forever, args=(POLL_S,), name="metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()

    async def _beat(self) -> None:
        while True:
            self._beat_s = time.monotonic()
            await asyncio.sleep(BEAT_S)

    def _answer(self, path: str) -> _Answer:
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        is_alive = time.monotonic() - self._beat_s < STALLED_S
        if path == "/healthz":
            return _said(is_alive, "alive", "the event loop is stuck")
        if path == "/readyz":
            return _said(is_alive and self._is_ready(), "ready", "not ready")
        return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"there are /metrics, /healthz and /readyz\n"


def _said(is_well: bool, well: str, ill: str) -> _Answer:
    status = HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "text/plain; charset=utf-8", f"{well if is_well else ill}\n".encode()


class _Handler(BaseHTTPRequestHandler):
    """Answers GET; writes no log, and does not say what it runs on."""

    timeout = REQUEST_S
    server_version = "emotrack"
    sys_version = ""

    def answer(self) -> _Answer:
        raise NotImplementedError

    def do_GET(self) -> None:
        status, kind, body = self.answer()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody wants a line for every scrape."""
