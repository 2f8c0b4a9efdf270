"""Which message or subscription makes a broker hang up: one at which the connection breaks twice is given up.

The next would break it again, and nothing behind it would ever leave.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

MAX_LOST_AT: Final = 2  # connections that a message or a subscription may cost

Cause = int | str
"""A message by its number, or a topic filter."""


class Blame:
    """What awaits an answer, and how often the connection was lost meanwhile."""

    def __init__(self) -> None:
        self._under_way: set[Cause] = set()
        self._lost_at: Counter[Cause] = Counter()

    @contextlib.contextmanager
    def on(self, cause: Cause) -> Iterator[None]:
        """Within the context ``cause`` awaits an answer; no error means that it has come."""
        self._under_way.add(cause)
        yield
        self._under_way.discard(cause)
        del self._lost_at[cause]

    def lost(self) -> list[Cause]:
        """The connection is lost; what is to be given up."""
        given_up = []
        for cause in self._under_way:
            self._lost_at[cause] += 1
            if self._lost_at[cause] >= MAX_LOST_AT:
                del self._lost_at[cause]
                given_up.append(cause)
        self._under_way.clear()
        return given_up
