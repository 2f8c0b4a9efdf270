"""A site whose utterances come over Wyoming: one session that goes on from utterance to utterance, for the context."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import Samples
from emotrack.tracker.events import Event, Turn
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.session.live_session import LiveSession
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.sinks.audio_archive import AudioKeeper
from emotrack.tracker.sinks.json_lines import Sink
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.wyoming.messages import WyomingError
from emotrack.tracker.wyoming.utterances import UtteranceSource

_log = logging.getLogger(__name__)

MAX_UTTERANCE_S: Final = 300.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UtteranceOptions:
    """What the sessions of all sites are made with."""

    site: str
    """The name of the first site; the others' are made of it."""
    session: SessionOptions
    sinks: Callable[[LiveStatus, Controls], Sequence[Sink]]
    """Where the events of a session go. Raises ``SinkError`` where they cannot go there."""
    keeper: Callable[[str], AudioKeeper | None] = lambda _: None
    """Keeps the audio of the site of that name."""


@dataclass(slots=True)
class _SpokenWords:
    """A sink that holds the words of the turns of one utterance."""

    words: dict[int, str | None] = field(default_factory=dict)
    latest: int = 0
    """The id of the latest turn that was understood."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def emit(self, event: Event) -> None:
        if isinstance(event, Turn):
            async with self.changed:
                self.words[event.turn_id] = event.text
                self.latest = max(self.latest, event.turn_id)
                self.changed.notify_all()

    async def close(self) -> None: ...


class WyomingSite:
    """One utterance at a time: ``begin``, ``hear`` its audio, ``end``. Raises ``SinkError`` where it cannot be made."""

    def __init__(self, name: str, engine: Engine, options: UtteranceOptions) -> None:
        self.name = name
        self.is_taken = False
        """Whether an utterance is under way."""
        self.failure: EmotrackError | None = None
        """What went wrong in the session, once it has ended."""
        self._status = LiveStatus(site=name)
        self._controls = Controls(self._status, engine.network.labels)
        self._source = UtteranceSource(f"wyoming:{name}")
        self._spoken = _SpokenWords()
        self._turns_before = 0
        self._heard_s = 0.0
        sinks = [self._spoken, *options.sinks(self._status, self._controls)]
        self._keeper = options.keeper(name)
        kept = replace(options.session, keeper=self._keeper, every_sound=True)
        session = LiveSession(self._source, engine, sinks, self._controls, kept)
        self.running = asyncio.create_task(self._run(session))
        """Ends with the session, however it ends."""

    @property
    def is_free(self) -> bool:
        """Whether somebody may speak now."""
        return not (self.is_taken or self._controls.is_stopping or self.running.done())

    def stop(self, reason: str) -> None:
        """End the session in order."""
        self._controls.stop(reason)

    def begin(self) -> None:
        """Somebody begins to speak."""
        self.is_taken = True
        self._spoken.words.clear()
        self._turns_before, self._heard_s = self._status.turns_heard, 0.0

    async def hear(self, samples: Samples, rate: int) -> None:
        """Take (samples, channels) at ``rate`` Hz when there is room. Raises ``WyomingError``."""
        self._heard_s += len(samples) / rate
        if self._heard_s > MAX_UTTERANCE_S:
            raise WyomingError("too_long", f"an utterance of more than {MAX_UTTERANCE_S:.0f} s")
        await self._unless_over(self._source.put(samples, rate))

    async def end(self) -> str:
        """The words of the utterance, once all its turns are understood; "" for none. Raises ``WyomingError``."""
        try:
            await self._unless_over(self._source.end())
            await self._unless_over(self._wait_for(self._status.turns_heard))
        finally:
            self.is_taken = False
        if self._status.paused:
            raise WyomingError("paused", f"the site {self.name} is paused")
        said = (words for turn_id, words in sorted(self._spoken.words.items()) if turn_id > self._turns_before)
        return " ".join(words for words in said if words)

    async def _wait_for(self, last: int) -> None:
        """Return when the turn of that id is understood."""
        if last > self._turns_before:
            async with self._spoken.changed:
                await self._spoken.changed.wait_for(lambda: self._spoken.latest >= last)

    async def _unless_over(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` comes to. Raises ``WyomingError`` where the session ends before."""
        working = asyncio.create_task(work)
        try:
            await asyncio.wait({working, self.running}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise WyomingError("stopped", f"the session of the site {self.name} has ended")
            return working.result()
        finally:
            working.cancel()

    async def _run(self, session: LiveSession) -> None:
        try:
            await session.run()
        except EmotrackError as error:
            self.failure = error
            if not self._controls.is_stopping:
                _log.warning("%s: %s", self.name, error)
        finally:
            if self._keeper:
                self._keeper.close()
