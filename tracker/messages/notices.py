"""Lines for the person at the screen, and for how long they hold.

Whoever has something to say calls a function with one line. A plain line is news, shown for a while. A ``Notice`` tells
of something that lasts, and is shown until another one about the same says that it is over.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Self

PASSING_S: Final = 20.0  # for which news stays on the screen
MAX_LASTING: Final = 16
MAX_UNREAD: Final = 50


class Notice(str):
    """A line about something that lasts."""

    __slots__ = ("about", "holds")

    about: str
    """What it tells of: the next line about the same takes its place."""
    holds: bool
    """False where what it is about is over."""

    def __new__(cls, line: str, *, about: str, holds: bool = True) -> Self:
        notice = super().__new__(cls, line)
        notice.about, notice.holds = about, holds
        return notice


class NoticeBoard:
    """What there is to say at the moment. It has no clock of its own: times are seconds on any one clock."""

    def __init__(self) -> None:
        self._lasting: dict[str, str] = {}
        self._news: str | None = None
        self._news_until_s = 0.0
        self._unread: deque[str] = deque(maxlen=MAX_UNREAD)

    def put(self, line: str, now_s: float) -> None:
        """Say ``line``, at ``now_s``."""
        self._unread.append(line)
        if isinstance(line, Notice):
            self._lasting.pop(line.about, None)
            if line.holds:
                self._lasting[line.about] = line
                self._news = None  # it is shown at once
                if len(self._lasting) > MAX_LASTING:
                    del self._lasting[next(iter(self._lasting))]
                return
        self._news, self._news_until_s = line, now_s + PASSING_S

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
