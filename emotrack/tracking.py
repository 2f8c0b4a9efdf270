"""The tracker for Python programs.

Tracker        the loaded models; any number of conversations share them
Conversation   one source being tracked: its events, and the controls of its session
turns          a recording's turns, for a script without asyncio
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar
from weakref import WeakSet

from emotrack.errors import UsageError
from emotrack.tracker.events import Event, SessionStarted, Turn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.options import SPEAKERS
from emotrack.tracker.session.options import SessionOptions, SpeakerOptions
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.sinks.json_lines import JsonLines, Sink
from emotrack.tracker.site import DEFAULT_SITE
from emotrack.tracker.sources import Source
from emotrack.tracker.sources.blocks import Blocks
from emotrack.tracker.speakers.voice_store import VoiceStore, enrolled_prints, voice_folder
from emotrack.tracker.understanding.captions import Captions, read_captions
from emotrack.tracker.understanding.loading import load_engine

if TYPE_CHECKING:
    from emotrack.tracker.session.controls import Controls
    from emotrack.tracker.speakers.networks import VoicePrint
    from emotrack.tracker.understanding.engine import Engine

MAX_WAITING_EVENTS: Final = 64
"""Events of a conversation that wait for their reader; then the conversation waits for it too."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Tracker:
    """The models, loaded once: the network and a recogniser, each in a thread of its own.

        async with Tracker() as tracker:
            async for event in tracker.track(source):
                ...

    Leaving the block ends the conversations that are still under way, in order, and then the threads. Nothing of the
    process is changed: no signal handler, no thread count, no setting of the garbage collector. What a person would be
    told goes to the logger "emotrack".
    """

    def __init__(
        self,
        bundle: str | Path = "mini",
        *,
        recogniser: str = "auto",
        language: str | None = None,
        device: str = "auto",
        speakers: Literal["auto"] | int | None = "auto",
        known: Sequence[str] = (),
    ) -> None:
        """Note what is to be loaded on entering.

        Args:
            bundle: the trained network: the name of the packaged one, or a folder.
            recogniser: as ``--asr`` on the command line: "auto", "moonshine", "pocketsphinx", "none", or a
                faster-whisper size, hub id or folder.
            language: the language spoken, ISO 639-1; None lets the recogniser find out.
            device: "auto", "cpu" or "cuda".
            speakers: whether voices are told apart in sources of one channel: "auto", at most so many, or None.
            known: names of voices that ``emotrack voices enroll`` has kept, which are known from their first turn.

        Raises:
            UsageError: ``speakers`` is none of these, or ``known`` is a single name.
        """
        is_count = isinstance(speakers, int) and not isinstance(speakers, bool) and speakers in SPEAKERS
        if not is_count and speakers not in ("auto", None):
            raise UsageError(f"speakers is {speakers!r}, neither 'auto' nor None nor a {SPEAKERS}")
        if isinstance(known, str):
            raise UsageError(f"known is a single name; in a list it is one of several: [{known!r}]")
        self._bundle = str(bundle)
        self._recogniser = recogniser
        self._language = language
        self._device = device
        self._speakers = speakers
        self._known = list(known)
        self._enrolled: Mapping[str, VoicePrint] = {}
        self._engine: Engine | None = None
        self._conversations: WeakSet[Conversation] = WeakSet()

    async def __aenter__(self) -> Self:
        """Load the models, in another thread. Raises ``EmotrackError`` when one, or a known voice, cannot be had."""
        known = VoiceStore(voice_folder()).known(self._known) if self._known else []
        wanted = (self._bundle, self._recogniser, self._device, self._language)
        self._engine = await asyncio.to_thread(load_engine, *wanted, speakers=self._speakers is not None)
        self._enrolled = enrolled_prints(known, self._engine.speaker_networks)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(conversation.close() for conversation in list(self._conversations)))
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def track(
        self,
        source: Source,
        *,
        captions: str | Path | None = None,
        save: str | Path | None = None,
        site: str = DEFAULT_SITE,
        context_turns: int | None = None,
        segmenter: SegmenterOptions | None = None,
        with_text: bool = True,
    ) -> Conversation:
        """Begin to track ``source`` when the conversation is first asked for an event.

        Args:
            source: ``Microphone()``, ``File(path)``, ``Blocks(iterator, rate)``, or anything that is a ``Source``.
            captions: a file of captions; words and speakers come from it, not from recognition.
            save: append the events to this file, as ``--save`` does; nothing is kept otherwise.
            site: a name for the place, carried by every event.
            context_turns: turns remembered; the bundle's own number by default.
            segmenter: where speech is cut into turns.
            with_text: whether events carry words.

        Raises:
            UsageError: the tracker has not been entered, or has been left.
            CaptionsError: the captions cannot be read.
            SinkError: the file to save to cannot be written.
        """
        engine = self._engine
        if engine is None:
            raise UsageError("a tracker tracks inside its block: async with emotrack.Tracker() as tracker: ...")
        saved = [JsonLines.to_file(Path(save))] if save is not None else []
        options = SessionOptions(
            segmenter=segmenter or SegmenterOptions(),
            speakers=SpeakerOptions(self._speakers if isinstance(self._speakers, int) else None, self._enrolled)
            if self._speakers is not None
            else None,
            captions=Captions(read_captions(Path(captions))) if captions is not None else None,
            context_turns=context_turns,
            with_text=with_text,
            speculate=source.realtime,
            provisional=source.realtime,
        )
        conversation = Conversation(source, engine, site, options, saved)
        self._conversations.add(conversation)
        return conversation


class Conversation:
    """One source being tracked: iterate over it once to get its events in order, the last one a ``SessionEnded``.

    Leaving the loop, however that happens, ends the session in order: the turn under way is finished and saved, and
    the source is closed. While the reader is busy, at most ``MAX_WAITING_EVENTS`` wait for it; then a file and an
    iterator of blocks wait as well, and a microphone's oldest waiting turns are dropped and counted.
    """

    def __init__(
        self, source: Source, engine: Engine, site: str, options: SessionOptions, sinks: Sequence[Sink]
    ) -> None:
        """``sinks`` get the events too."""
        from emotrack.tracker.session.controls import Controls

        self._source = source
        self._engine = engine
        self._options = options
        self._outbox = _Outbox()
        self._sinks = [self._outbox, *sinks]
        self._controls = Controls(LiveStatus(site=site), engine.network.labels)
        self._running: asyncio.Task[None] | None = None

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        """The events, once.

        Raises ``EmotrackError`` after the last one if the source broke off or a file could not be written, and
        ``UsageError`` the second time.
        """
        if self._running is not None:
            raise UsageError("a conversation can be iterated over once; track the source again")
        self._running = asyncio.get_running_loop().create_task(self._run())
        return self._events(self._running)

    async def close(self) -> None:
        """End the session in order, and return when it has ended. What went wrong in it is not raised here."""
        self._outbox.leave()
        if self._running is not None:
            self._controls.stop()
        if self._running is not None:
            await asyncio.wait({self._running})
            if not self._running.cancelled() and (error := self._running.exception()) is not None:
                _log.warning("%s", error)

    # -- controls --------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the session in order: the turn under way is finished, and its events still come."""
        if self._running is not None:
            self._controls.stop()

    def mark(self) -> None:
        """Note that this moment is worth finding again."""
        self._begun().mark()

    def correct(self, turn_id: int, emotion: str) -> None:
        """Note what a turn really sounded like. Raises ``UsageError`` for a turn or an emotion that is not known."""
        try:
            self._begun().correct(turn_id, emotion)
        except ValueError as error:
            raise UsageError(str(error)) from None

    def rename(self, speaker: str, name: str) -> None:
        """Call a speaker by another name, for turns past and to come; two who get one name become one.

        Raises ``UsageError`` for a speaker of whom there is no turn, and for no name.
        """
        try:
            self._begun().rename(speaker, name)
        except ValueError as error:
            raise UsageError(str(error)) from None

    # -- inside ----------------------------------------------------------------------------------------------------

    def _begun(self) -> Controls:
        if self._running is None:
            raise UsageError("the conversation has not begun: iterate over it")
        return self._controls

    async def _run(self) -> None:
        from emotrack.tracker.session.live_session import LiveSession

        try:
            if isinstance(self._source, Blocks):
                await self._source.open()
            session = LiveSession(self._source, self._engine, self._sinks, self._controls, self._options)
            await session.run()
        finally:
            await self._outbox.end()

    async def _events(self, running: asyncio.Task[None]) -> AsyncGenerator[Event, None]:
        try:
            while (event := await self._outbox.get()) is not None:
                yield event
            await running
        finally:
            await self.close()


class _Outbox:
    """A sink that holds events until the reader of a conversation takes them."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(MAX_WAITING_EVENTS)
        self._left = False

    async def emit(self, event: Event) -> None:
        if not self._left:
            await self._queue.put(event)

    async def close(self) -> None:
        """The reader is told by ``end``, when the session has closed its other sinks too."""

    async def end(self) -> None:
        """No more events come."""
        if not self._left:
            await self._queue.put(None)

    async def get(self) -> Event | None:
        """The next event; None after the last one."""
        return await self._queue.get()

    def leave(self) -> None:
        """Nobody reads any more: whoever waits for room goes on."""
        self._left = True
        while not self._queue.empty():
            self._queue.get_nowait()


def turns(
    source: str | Path | Source,
    *,
    bundle: str | Path = "mini",
    recogniser: str = "auto",
    language: str | None = None,
    device: str = "auto",
    captions: str | Path | None = None,
) -> Iterator[Turn]:
    """The turns of a recording, each once, as it is known at last: for scripts and notebooks.

    A turn comes when no later turn can revise it any more. The event loop runs in a thread of its own, so that this
    works inside another loop (a notebook's), too.

    Args:
        source: a path, or any source that ends.
        bundle: as for ``Tracker``.
        recogniser: as for ``Tracker``.
        language: as for ``Tracker``.
        device: as for ``Tracker``.
        captions: as for ``Tracker.track``.

    Raises:
        EmotrackError: the recording, a model or the captions cannot be used; after the turns that came before.
    """
    tracker = Tracker(bundle, recogniser=recogniser, language=language, device=device)
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="emotrack", daemon=True)
    thread.start()
    found = _settled_turns(tracker, source, captions)

    def wait_for(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    async def next_turn() -> Turn | None:
        return await anext(found, None)

    try:
        while (turn := wait_for(next_turn())) is not None:
            yield turn
    finally:
        wait_for(found.aclose())
        wait_for(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _settled_turns(
    tracker: Tracker, source: str | Path | Source, captions: str | Path | None
) -> AsyncGenerator[Turn, None]:
    """Each turn of ``source`` once it has left the context window, in order."""
    from emotrack.tracker.sources.file import File

    opened = File(source) if isinstance(source, str | Path) else source
    async with tracker:
        recent: dict[int, Turn] = {}
        window = 0
        async with aclosing(aiter(tracker.track(opened, captions=captions))) as events:
            async for event in events:
                if isinstance(event, SessionStarted):
                    window = event.context_turns
                elif isinstance(event, Turn):
                    recent[event.turn_id] = event
                    if len(recent) > window:
                        yield recent.pop(min(recent))
        for turn in recent.values():
            yield turn
