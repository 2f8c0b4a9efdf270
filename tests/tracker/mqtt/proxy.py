"""A network between a tracker and its broker that can be cut and mended: TCP, forwarded by a thread."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Self

PIECE = 65_536


class Proxy:
    """Forwards connections to ``port`` until it is cut; then nothing moves, and nobody is told, until it is mended."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}/"
        self._other: dict[socket.socket, socket.socket] = {}
        self._open = threading.Event()
        self._open.set()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._open.set()
        self._thread.join(timeout=10)

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    def _run(self) -> None:
        while not self._ended:
            self._open.wait()
            ready, _, _ = select.select([self._listening, *self._other], [], [], 0.05)
            for one in ready if self._open.is_set() else ():
                if one is self._listening:
                    self._accept()
                elif one in self._other:
                    self._forward(one)
        for one in [self._listening, *self._other]:
            one.close()

    def _accept(self) -> None:
        near, _ = self._listening.accept()
        with contextlib.suppress(OSError):
            far = socket.create_connection(("127.0.0.1", self._to))
            self._other |= {near: far, far: near}
            return
        near.close()  # the broker is away

    def _forward(self, one: socket.socket) -> None:
        other = self._other[one]
        with contextlib.suppress(OSError):
            if piece := one.recv(PIECE):
                other.sendall(piece)
                return
        for end in (one, other):
            del self._other[end]
            end.close()
