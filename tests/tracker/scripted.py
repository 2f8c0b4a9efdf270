"""Sessions over scripted parts: a source, a recogniser and a sink that do as a test tells them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, Samples, SourceItem
from emotrack.tracker.errors import SinkError
from emotrack.tracker.events import Event, Turn
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.session.live_session import LiveSession
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.sinks.json_lines import Sink
from emotrack.tracker.sources import usual_speakers
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.recognisers import Recogniser, Transcript

CHUNK = SAMPLE_RATE // 10


class ScriptedSource:
    """Yields what it is given; an exception among the items is raised there."""

    name = "script"
    elsewhere = ""
    dropped_frames = 0
    late_s = 0.0
    realtime = False

    def __init__(self, items: Sequence[SourceItem | Exception], channels: int = 1, lossless: bool = True) -> None:
        self.channels = channels
        self.speakers = usual_speakers(channels)
        self.lossless = lossless
        self._items = items
        self.closed = False
        self.is_ready: Callable[[], bool] = lambda: True
        """Whether the next item may come."""

    async def items(self) -> AsyncGenerator[SourceItem, None]:
        try:
            for item in self._items:
                await asyncio.sleep(0)
                while not self.is_ready():  # noqa: ASYNC110  # nobody tells when the models have finished
                    await asyncio.sleep(0.001)
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed = True


class Recorder:
    """A sink that keeps the events, and tells whoever wants to know."""

    def __init__(self, on_event: Callable[[Event], None] | None = None, fail_after: int | None = None) -> None:
        self.events: list[Event] = []
        self.closed = False
        self._on_event = on_event
        self._fail_after = fail_after

    async def emit(self, event: Event) -> None:
        if self._fail_after is not None and len(self.events) >= self._fail_after:
            raise SinkError("cannot write to the recorder")
        self.events.append(event)
        if self._on_event:
            self._on_event(event)

    async def close(self) -> None:
        self.closed = True

    @property
    def turns(self) -> list[Turn]:
        """Each turn as it is known at last."""
        return list({event.turn_id: event for event in self.events if isinstance(event, Turn)}.values())

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


class ScriptedRecogniser:
    name = "script"
    batch_size = 1
    languages: tuple[str, ...] = ("en",)

    def __init__(self, seconds: float = 0.0, error: Exception | None = None, said: str = "Good morning.") -> None:
        self._seconds = seconds
        self._error = error
        self._said = said

    def transcribe(self, turn: SpeechTurn) -> Transcript:
        time.sleep(self._seconds)
        if self._error:
            raise self._error
        return Transcript(self._said, "faster-whisper")

    def transcribe_batch(self, turns: Sequence[SpeechTurn]) -> list[Transcript]:
        return [self.transcribe(turn) for turn in turns]

    def close(self) -> None: ...


def chunks(audio: Samples, start: int = 0) -> list[SourceItem]:
    """(samples, channels) as chunks of 0.1 s from stream index ``start`` on."""
    return [AudioChunk(audio[at : at + CHUNK], start + at) for at in range(0, len(audio), CHUNK)]


def mono(audio: Samples) -> Samples:
    return audio.mean(axis=1, keepdims=True)


@dataclass(frozen=True)
class ScriptedSession:
    """A session over scripted parts, and whatever a test looks at meanwhile."""

    live: LiveSession
    engine: Engine
    controls: Controls

    @property
    def status(self) -> LiveStatus:
        return self.controls.status

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, not even a look ahead."""
        return self.engine.is_idle and not self.status.thinking

    async def run(self) -> None:
        await self.live.run()


def session(
    source: ScriptedSource,
    network: EmotionNetwork,
    *sinks: Sink,
    recogniser: Recogniser | None = None,
    site: str = "default",
    **options: Any,
) -> ScriptedSession:
    """A session of its own engine, with ``SessionOptions``."""
    return session_of(Engine(network, recogniser), source, *sinks, site=site, **options)


def session_of(
    engine: Engine,
    source: ScriptedSource,
    *sinks: Sink,
    site: str = "default",
    **options: Any,
) -> ScriptedSession:
    """A session that shares an engine."""
    controls = Controls(LiveStatus(site=site), engine.network.labels)
    live = LiveSession(source, engine, sinks, controls, SessionOptions(**options))
    return ScriptedSession(live, engine, controls)


def said_by(speaker: str) -> Callable[[], Awaitable[str | None]]:
    """What tells who says a turn, where that is known."""

    async def identify() -> str | None:
        return speaker

    return identify
