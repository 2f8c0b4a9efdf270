"""Sites that have no session here though audio of them may come: those told to stop, and those served elsewhere."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

MAX_REMEMBERED_SITES: Final = 1024  # names of sites that have no session
ASK_AGAIN_S: Final = 30.0  # after another tracker has said that it serves a site


class AbsentSites:
    """Why audio alone does not open a site; bounded."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, None] = OrderedDict()
        self._elsewhere: OrderedDict[str, float] = OrderedDict()  # and when to ask again

    def hold(self, name: str) -> None:
        """It was told to stop: audio alone does not open it again."""
        self._held[name] = None
        if len(self._held) > MAX_REMEMBERED_SITES:
            self._held.popitem(last=False)

    def is_held(self, name: str) -> bool:
        """Whether only a start opens it."""
        return name in self._held

    def is_elsewhere(self, name: str) -> bool:
        """Whether another worker served it a moment ago."""
        return time.monotonic() < self._elsewhere.get(name, 0.0)

    def leave_alone(self, name: str) -> bool:
        """Another worker serves it: do not ask for a while; whether that is news."""
        is_news = name not in self._elsewhere
        self._elsewhere[name] = time.monotonic() + ASK_AGAIN_S
        self._elsewhere.move_to_end(name)
        if len(self._elsewhere) > MAX_REMEMBERED_SITES:
            self._elsewhere.popitem(last=False)
        return is_news

    def opens(self, name: str) -> None:
        """It is served here."""
        self._elsewhere.pop(name, None)

    def starts(self, name: str) -> None:
        """It was told to start, whatever was before."""
        self._held.pop(name, None)
        self._elsewhere.pop(name, None)
