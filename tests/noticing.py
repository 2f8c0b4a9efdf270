"""What is said for the person at the screen, for tests to read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LINES: ContextVar[list[str] | None] = ContextVar("lines", default=None)
_OPEN: list[list[str]] = []


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        lines = _LINES.get()
        if lines is None and _OPEN:  # of a thread, which belongs to no task
            lines = _OPEN[-1]
        if lines is not None:
            lines.append(record.getMessage())


logging.getLogger("emotrack").addHandler(_Handler())
logging.getLogger("emotrack").setLevel(logging.INFO)


@contextmanager
def noticed(lines: list[str] | None = None) -> Iterator[list[str]]:
    """Gather what is said within the block, and in tasks that begin in it."""
    lines = [] if lines is None else lines
    before = _LINES.set(lines)
    _OPEN.append(lines)
    try:
        yield lines
    finally:
        _OPEN.remove(lines)
        _LINES.reset(before)
