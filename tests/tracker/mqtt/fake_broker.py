"""Something that listens where a broker should and answers every CONNECT with the same bytes, then hangs up."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

CONNACK = 0x20


def connack(reason: int, *properties: int) -> bytes:
    """MQTT 5's answer to CONNECT."""
    body = bytes([0, reason, len(properties), *properties])
    return bytes([CONNACK, len(body)]) + body


class FakeBroker:
    """For codes that no real broker can be made to send. ``connections`` counts the attempts."""

    def __init__(self, answer: bytes, *, only_to: bytes = b"") -> None:
        """``only_to``: what else a request lacks gets no answer."""
        self._answer = answer
        self._only_to = only_to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}/"
        self.connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with taken, contextlib.suppress(OSError):  # who is answered nonsense may hang up first
                while (asked := taken.recv(4096)) and self._only_to not in asked:
                    pass
                taken.sendall(self._answer)
                taken.shutdown(socket.SHUT_WR)
                taken.recv(4096)  # until it has been read
