"""Lines for the person at the screen, and for how long they hold.

Whoever has something to say logs one line below the logger "emotrack". A plain line is news, shown for a while. A
line with ``extra=lasting(...)`` tells of something that lasts, and is shown until one with ``extra=over(...)`` about
the same says that it is over. ``notices_to`` hands the lines to what shows them; a host program listens as it does to
any logger.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

PASSING_S: Final = 20.0  # for which news stays on the screen
MAX_LASTING: Final = 16
MAX_UNREAD: Final = 50
QUIET_S: Final = 3.0  # after which the same line is news again
MAX_TOLD: Final = 64

_LOGGER: Final = logging.getLogger("emotrack")


def lasting(about: str) -> dict[str, str]:
    """The ``extra`` of a line on something that lasts; the next line ``about`` the same takes its place."""
    return {"lasting": about}


def over(about: str) -> dict[str, str]:
    """The ``extra`` of a line that says that what was ``about`` this is over."""
    return {"over": about}


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for the person at the screen."""

    line: str
    about: str | None = None
    """What lasts; None for news."""
    holds: bool = True
    """False where what it is about is over."""

    @classmethod
    def of(cls, record: logging.LogRecord) -> Self:
        """The notice that a log record is."""
        begun, ended = getattr(record, "lasting", None), getattr(record, "over", None)
        return cls(record.getMessage(), begun or ended, ended is None)


@contextmanager
def notices_to(show: Callable[[Notice], None]) -> Iterator[None]:
    """Within the block ``show`` gets this process's notices, each line once, and whoever got them before does not.

    ``show`` is called in the thread in which the line was said.
    """
    handler = _NoticeHandler(show)
    before, level, propagate = list(_LOGGER.handlers), _LOGGER.level, _LOGGER.propagate
    _LOGGER.handlers[:] = [handler]
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    try:
        yield
    finally:
        _LOGGER.handlers[:] = before
        _LOGGER.setLevel(level)
        _LOGGER.propagate = propagate


class _NoticeHandler(logging.Handler):
    """Many connections may all say the same at the same time: each line is told once."""

    def __init__(self, show: Callable[[Notice], None]) -> None:
        super().__init__(logging.INFO)
        self._show = show
        self._told_s: OrderedDict[str, float] = OrderedDict()

    def emit(self, record: logging.LogRecord) -> None:
        notice, now_s = Notice.of(record), time.monotonic()
        if now_s - self._told_s.get(notice.line, -QUIET_S) >= QUIET_S:
            self._show(notice)
        self._told_s[notice.line] = now_s
        self._told_s.move_to_end(notice.line)
        if len(self._told_s) > MAX_TOLD:
            self._told_s.popitem(last=False)


class NoticeBoard:
    """What there is to say at the moment. It has no clock of its own: times are seconds on any one clock."""

    def __init__(self) -> None:
        self._lasting: dict[str, str] = {}
        self._news: str | None = None
        self._news_until_s = 0.0
        self._unread: deque[str] = deque(maxlen=MAX_UNREAD)

    def put(self, notice: Notice, now_s: float) -> None:
        """Say it, at ``now_s``."""
        self._unread.append(notice.line)
        if notice.about is not None:
            self._lasting.pop(notice.about, None)
            if notice.holds:
                self._lasting[notice.about] = notice.line
                self._news = None  # it is shown at once
                if len(self._lasting) > MAX_LASTING:
                    del self._lasting[next(iter(self._lasting))]
                return
        self._news, self._news_until_s = notice.line, now_s + PASSING_S

    def line(self, now_s: float) -> str | None:
        """What is to be shown: news, else the latest of what still holds."""
        if self._news is not None and now_s < self._news_until_s:
            return self._news
        return next(reversed(self._lasting.values()), None)

    def unread(self) -> list[str]:
        """What was said since this was last asked."""
        lines = list(self._unread)
        self._unread.clear()
        return lines
