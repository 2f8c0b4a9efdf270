"""One session's events on their way to the sinks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from emotrack.tracker.errors import SinkError
from emotrack.tracker.events import Event
from emotrack.tracker.messages.notices import lasting
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.sinks.json_lines import SilentSink, Sink

_log = logging.getLogger(__name__)


class Publisher:
    """Sends events to every sink. A sink that fails is left out from then on.

    With none left but silent ones the session ends.
    """

    def __init__(self, sinks: Sequence[Sink], controls: Controls) -> None:
        self.failure: SinkError | None = None
        """Why the latest sink that failed did so."""
        self._sinks = list(sinks)
        self._controls = controls
        self._on_the_way: set[asyncio.Task[None]] = set()
        self._closed = False

    async def send(self, event: Event) -> None:
        """Send ``event`` and wait until it has left."""
        for sink in list(self._sinks):
            try:
                await sink.emit(event)
            except SinkError as error:
                if sink in self._sinks:  # two events may have failed on it at once
                    self._sinks.remove(sink)
                    self.failure = error
                    if any(not isinstance(left, SilentSink) for left in self._sinks):
                        _log.warning("%s; the session goes on without it", error, extra=lasting(str(error)))
                    else:
                        self._controls.stop("failure")

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
