"""Events without their words, on their way to a sink."""

from __future__ import annotations

from emotrack.tracker.events import Event, Provisional, Turn
from emotrack.tracker.sinks.json_lines import Sink


class Wordless:
    """Passes all events on to another sink, and in none of them what was said."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def emit(self, event: Event) -> None:
        """Pass it on. Raises ``SinkError`` as the other sink does."""
        if isinstance(event, Turn | Provisional):
            event = event.model_copy(update={"text": None})
        await self._sink.emit(event)

    async def close(self) -> None:
        await self._sink.close()
