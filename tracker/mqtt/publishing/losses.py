"""What one site lost and what it was sent in vain: all of it counted, some of it told."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Final

from emotrack.tracker.mqtt.format.payloads import MAX_NAME_CHARS, ErrorCode, ErrorReport

REPORT_EVERY_S: Final = 1.0  # errors of the same kind
MAX_TOLD: Final = 256  # sites and kinds of error that the terminal is told of
_MAX_TOPIC_CHARS: Final = 256
_MAX_MESSAGE_CHARS: Final = 300


class Losses:
    """The counts of one site."""

    def __init__(self, site: str) -> None:
        self.dropped: Counter[str] = Counter()
        """Messages of audio that were not heard, by reason."""
        self.errors: Counter[str] = Counter()
        self._site = site[:MAX_NAME_CHARS]
        self._reported_s: dict[str, float] = {}

    def report(
        self, code: ErrorCode, message: str, topic: str | None, session: str | None, *, recoverable: bool = True
    ) -> ErrorReport | None:
        """Count an error; what to tell of it, or None when one of its kind was told a moment ago."""
        self.errors[code] += 1
        now_s = time.monotonic()
        if now_s - self._reported_s.get(code, -REPORT_EVERY_S) < REPORT_EVERY_S:
            return None
        self._reported_s[code] = now_s
        return ErrorReport(
            site=self._site,
            session=session,
            time=datetime.now(UTC),
            code=code,
            message=message[:_MAX_MESSAGE_CHARS],
            recoverable=recoverable,
            topic=topic[:_MAX_TOPIC_CHARS] if topic else None,
            count=self.errors[code],
        )


class Told:
    """What the person at the terminal has been told: an error of one kind once a site, and not for ever more sites."""

    def __init__(self) -> None:
        self._told: set[tuple[str, ErrorCode]] = set()

    def is_news(self, site: str, code: ErrorCode) -> bool:
        """Whether to tell it; from then on it is told."""
        if (site, code) in self._told or len(self._told) >= MAX_TOLD:
            return False
        self._told.add((site, code))
        return True
