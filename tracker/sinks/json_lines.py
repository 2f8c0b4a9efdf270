"""Where events go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from emotrack.tracker.errors import SinkError
from emotrack.tracker.events import Event, Provisional, to_json
from emotrack.tracker.sessions.reading.event_parser import HEAD_BYTES, begins_session


class Sink(Protocol):
    """Takes events in order. ``emit`` raises ``SinkError`` once it cannot go on, ``close`` if it never could."""

    async def emit(self, event: Event) -> None: ...

    async def close(self) -> None: ...


class SilentSink:
    """The kind of sink that neither keeps nor shows events: for it alone no session goes on."""


class JsonLines:
    """Events as JSON, one a line, each written whole and at once.

    Writing happens in a thread of its own, so that a slow disk or a paused pipe never stalls the audio.
    """

    def __init__(self, descriptor: int, name: str, first_bytes: bytes = b"", *, with_provisional: bool = True) -> None:
        self._descriptor = descriptor
        self._name = name
        self._with_provisional = with_provisional
        self._pending = first_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sink")

    @classmethod
    def to_stdout(cls) -> JsonLines:
        return cls(os.dup(sys.stdout.fileno()), "standard output")

    @classmethod
    def to_file(cls, path: Path) -> JsonLines:
        """Append to ``path`` what is worth keeping; a half line left by a crash is ended first.

        Raises ``SinkError`` where that cannot be, or where something is kept that is no session.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror}") from error
        try:
            found = os.fstat(descriptor)
            is_file = stat.S_ISREG(found.st_mode)
            head = os.pread(descriptor, HEAD_BYTES, 0) if is_file else b""
            is_half = bool(head) and os.pread(descriptor, 1, found.st_size - 1) != b"\n"
        except OSError as error:
            os.close(descriptor)
            raise SinkError(f"cannot read {path}: {error.strerror}") from error
        if head.strip() and not begins_session(head):
            os.close(descriptor)
            raise SinkError(f"{path}: is no saved session; nothing was written to it")
        return cls(descriptor, str(path), b"\n" if is_half else b"", with_provisional=False)

    async def emit(self, event: Event) -> None:
        if isinstance(event, Provisional) and not self._with_provisional:
            return
        line = self._pending + to_json(event).encode() + b"\n"
        self._pending = b""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, line)

    async def close(self) -> None:
        self._thread.submit(os.close, self._descriptor)  # after what may still be written
        self._thread.shutdown(wait=False)

    def _write(self, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            if written:
                self._take_back(written)
            raise SinkError(f"cannot write to {self._name}: {error.strerror}") from error

    def _take_back(self, written: int) -> None:
        """Remove the half line that a full disk left; what was written before stays readable."""
        with contextlib.suppress(OSError):  # a pipe has nothing to take back
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
