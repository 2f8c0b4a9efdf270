"""One session's events on their way to the sinks."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from emotrack.tracker.errors import SinkError
from emotrack.tracker.events import Event
from emotrack.tracker.messages.notices import Notice
from emotrack.tracker.sinks.json_lines import Sink


class Publisher:
    """Stamps events and sends them to every sink. A sink that fails is left out from then on."""

    def __init__(
        self, site: str, sinks: Sequence[Sink], notify: Callable[[str], None], session: str | None = None
    ) -> None:
        """``session`` is the name of one that goes on here; a new one gets a name of its own."""
        self.session = session or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        self.failure: SinkError | None = None
        """Why the latest sink that failed did so."""
        self._site = site
        self._sinks = list(sinks)
        self._notify = notify
        self._on_the_way: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def has_sinks(self) -> bool:
        """False once every sink has failed: nobody hears anything any more."""
        return bool(self._sinks)

    def attach(self, sink: Sink) -> None:
        """Send events to ``sink`` too."""
        self._sinks.append(sink)

    def stamp(self) -> dict[str, Any]:
        """What every event carries, at this moment."""
        return {"site": self._site, "session": self.session, "time": datetime.now(UTC)}

    async def send(self, event: Event) -> None:
        """Send ``event`` and wait until it has left."""
        for sink in list(self._sinks):
            try:
                await sink.emit(event)
            except SinkError as error:
                if sink in self._sinks:  # two events may have failed on it at once
                    self._sinks.remove(sink)
                    self.failure = error
                    if self._sinks:
                        self._notify(Notice(f"{error}; the session goes on without it", about=str(error)))

    def send_soon(self, event: Event) -> None:
        """Send ``event`` from where nothing can be awaited; too late once the session has ended."""
        if not self._closed:
            task = asyncio.get_running_loop().create_task(self.send(event))
            self._on_the_way.add(task)
            task.add_done_callback(self._on_the_way.discard)

    async def close(self, last: Event) -> None:
        """Send what is on the way, then the ``last`` event, and close the sinks."""
        self._closed = True
        await asyncio.gather(*self._on_the_way)
        await self.send(last)
        for sink in self._sinks:
            try:
                await sink.close()
            except SinkError as error:
                self.failure = error
