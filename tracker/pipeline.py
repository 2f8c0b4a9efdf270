"""The live pipeline: source -> listeners -> interpreter -> sinks.

source.items()     chunks of audio, or word of a lost device
  _listen          one listener per channel cuts them into turns
  _turns           at most MAX_WAITING_TURNS of them wait
  _interpret       words, voice and context, one turn after the other
  sinks            the event leaves
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version

from emotrack.models.context import EmotionEstimate, RollingContext
from emotrack.models.labels import canonical
from emotrack.tracker.activity import Activity
from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, SourceItem, SourceLost, SourceRestored, level_dbfs
from emotrack.tracker.captions import Captions
from emotrack.tracker.engine import Engine
from emotrack.tracker.errors import EmotrackError
from emotrack.tracker.events import (
    BundleInfo,
    Correction,
    Event,
    Latency,
    Mark,
    Modality,
    SessionEnded,
    SessionStarted,
    SourceLostEvent,
    SourceRestoredEvent,
    Turn,
)
from emotrack.tracker.interpreter import Interpretation, Interpreter
from emotrack.tracker.keeping import AudioKeeper, KeepingError
from emotrack.tracker.listener import Listener, SpeechTurn
from emotrack.tracker.publisher import Publisher
from emotrack.tracker.recognisers import Transcript
from emotrack.tracker.segmenter import SegmenterOptions
from emotrack.tracker.sinks import Sink
from emotrack.tracker.sources import Source
from emotrack.tracker.tally import Tally

MAX_WAITING_TURNS = 8  # finished turns that may wait for the models
SKIP_TEXT_FROM = 4  # with so many waiting, a live source's turns go without recognition until it has caught up

_VERSIONS_OF = ("emotrack", "torch", "onnxruntime", "faster-whisper", "pocketsphinx", "silero-vad")


@dataclass(frozen=True, slots=True)
class _HeardTurn:
    """A finished turn on its way to the interpreter."""

    turn_id: int
    turn: SpeechTurn
    words: Transcript | None
    """None when they are to be recognised."""
    speaker: str | None
    decided_at: float
    """When it was known that the turn had ended: seconds, ``time.perf_counter``."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a session stood that goes on here."""

    session: str
    turns_heard: int
    context: RollingContext


class LiveSession:
    """One run of the tracker over one source. Any number of them may share an engine."""

    def __init__(
        self,
        source: Source,
        engine: Engine,
        sinks: Sequence[Sink],
        *,
        captions: Captions | None = None,
        segmenter: SegmenterOptions | None = None,
        context_turns: int | None = None,
        site: str = "default",
        with_text: bool = True,
        keeper: AudioKeeper | None = None,
        resumed: Resumption | None = None,
        activity: Activity,
        notify: Callable[[str], None],
    ) -> None:
        self.activity = activity
        self.tally = Tally()
        self._source = source
        self._engine = engine
        self._captions = captions
        self._context_turns = context_turns or engine.network.default_context
        self._publisher = Publisher(site, sinks, notify, resumed.session if resumed else None)
        self._with_text = with_text
        self._keeper = keeper
        self._notify = notify
        self._listeners = [Listener(channel, segmenter or SegmenterOptions()) for channel in range(source.channels)]
        context = resumed.context if resumed else engine.network.new_context(self._context_turns)
        self._interpreter = Interpreter(engine, context, notify)
        self._recent: deque[Turn] = deque(maxlen=max(self._context_turns - 1, 1))  # those that may be revised
        self._turns: asyncio.Queue[_HeardTurn | None] = asyncio.Queue(MAX_WAITING_TURNS)
        self._turns_heard = resumed.turns_heard if resumed else 0
        self._stopping = asyncio.Event()
        self._end_reason = "end_of_source"
        self._failure: EmotrackError | None = None

    def attach(self, sink: Sink) -> None:
        """Send events to ``sink`` too; call it before ``run``."""
        self._publisher.attach(sink)

    @property
    def session(self) -> str:
        """Its name in every event."""
        return self._publisher.session

    def remembered(self) -> bytes:
        """The rolling context, for whoever may have to go on with it; without words where events have none."""
        return self._interpreter.context.to_bytes(with_words=self._with_text)

    # -- controls, called on the event loop ----------------------------------------------------------------------

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self, reason: str = "quit") -> None:
        """End the session in order: the turn under way is finished, scored and written."""
        if not self._stopping.is_set():
            self._end_reason = reason
            self._stopping.set()

    def toggle_pause(self) -> None:
        """Stop listening, or go on. The turn under way ends at a pause."""
        self.activity.paused = not self.activity.paused

    def mark(self) -> None:
        """Note that a person found this moment worth finding again."""
        self._publisher.send_soon(Mark(**self._publisher.stamp(), at_s=self.activity.stream_s))

    def forget(self) -> None:
        """Let the turns so far no longer colour the ones to come."""
        self._interpreter.context = self._engine.network.new_context(self._context_turns)
        self._recent.clear()

    def correct(self, turn_id: int, emotion: str) -> None:
        """Note what a turn really sounded like. Raises ``ValueError`` for a turn or an emotion that is not known."""
        if not 1 <= turn_id <= self._turns_heard:
            raise ValueError(f"there is no turn {turn_id} in this session")
        labels = self._engine.network.labels
        label = emotion if emotion in labels else canonical(emotion)
        if label not in labels:
            raise ValueError(f"the emotions are {', '.join(labels)}")
        self._publisher.send_soon(Correction(**self._publisher.stamp(), turn_id=turn_id, emotion=label))

    async def run(self) -> None:
        """Track until the source ends or ``stop`` is called.

        Raises, after the last event has left, ``EmotrackError`` if the source broke off or a sink failed.
        """
        try:
            await self._emit(self._started())
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._interpret())
        except BaseException:
            self._end_reason = "failure"
            raise
        finally:
            await self._publisher.close(last=self._ended())
        failure = self._failure or self._publisher.failure
        if failure is not None:
            raise failure

    # -- hearing -------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        try:
            async with aclosing(self._items()) as items:
                async for item in items:
                    match item:
                        case AudioChunk():
                            await self._hear(item)
                        case SourceLost(reason=reason):
                            await self._end_turns()
                            self.activity.source_lost = True
                            at_s = self.activity.stream_s
                            await self._emit(SourceLostEvent(**self._publisher.stamp(), at_s=at_s, reason=reason))
                        case SourceRestored(seconds_lost=lost_s):
                            self.activity.source_lost = False
                            at_s = self.activity.stream_s + lost_s
                            await self._emit(
                                SourceRestoredEvent(**self._publisher.stamp(), at_s=at_s, seconds_lost=lost_s)
                            )
        except EmotrackError as error:
            self._failure, self._end_reason = error, "failure"
        await self._end_turns()
        await self._turns.put(None)

    async def _items(self) -> AsyncGenerator[SourceItem, None]:
        """The source's items, until it ends or the session is stopped."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        items = self._source.items()
        try:
            while not stopping.done():
                following = asyncio.ensure_future(anext(items, None))
                await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    await asyncio.wait({following})
                elif (item := following.result()) is not None:
                    yield item
                else:
                    return
        finally:
            stopping.cancel()
            await items.aclose()

    async def _hear(self, chunk: AudioChunk) -> None:
        self.activity.stream_s = chunk.end / SAMPLE_RATE
        self.activity.dropped_frames = self._source.dropped_frames
        if self.activity.paused:
            await self._end_turns()
            return
        self.activity.levels_dbfs = tuple(level_dbfs(channel) for channel in chunk.samples.T)
        turns = await self._engine.listen(partial(self._push, chunk))
        self.activity.speaking = tuple(listener.speaking for listener in self._listeners)
        await self._queue(turns)

    def _push(self, chunk: AudioChunk) -> list[SpeechTurn]:
        return [
            turn
            for listener, channel in zip(self._listeners, chunk.samples.T, strict=True)
            for turn in listener.push(channel, chunk.start)
        ]

    async def _end_turns(self) -> None:
        self.activity.speaking = tuple(False for _ in self._listeners)
        await self._queue([turn for listener in self._listeners for turn in listener.flush()])

    async def _queue(self, turns: list[SpeechTurn]) -> None:
        """Hand over finished turns in the order in which they ended."""
        decided_at = time.perf_counter()
        for whole in sorted(turns, key=lambda turn: turn.end):
            for turn, words, speaker in self._worded(whole):
                self._turns_heard += 1
                if self._turns.full() and not self._source.lossless:
                    self._turns.get_nowait()
                    self.activity.dropped_turns += 1
                    self.activity.thinking -= 1
                self.activity.thinking += 1
                await self._turns.put(_HeardTurn(self._turns_heard, turn, words, speaker, decided_at))

    def _worded(self, turn: SpeechTurn) -> list[tuple[SpeechTurn, Transcript | None, str | None]]:
        """The turn with its words, if captions tell them, and its speaker, if captions or the channel do."""
        channel = f"channel {turn.channel + 1}" if len(self._listeners) > 1 else None
        if self._captions is None:
            return [(turn, None, channel)]
        return [
            (part.turn, Transcript(part.text, "captions" if part.text else None), part.speaker or channel)
            for part in self._captions.caption(turn)
        ]

    # -- understanding -------------------------------------------------------------------------------------------

    async def _interpret(self) -> None:
        while (heard := await self._turns.get()) is not None:
            words = heard.words
            is_behind = not self._source.lossless and self._turns.qsize() >= SKIP_TEXT_FROM
            if words is None and is_behind and self._engine.recogniser is not None:
                words = Transcript(None, None, rejected="skipped_to_catch_up")
                self.activity.text_skipped += 1
            began = time.perf_counter()
            found = await self._interpreter.interpret(heard.turn, words, heard.speaker)
            audio = await self._keep_audio(heard)
            event = self._turn(heard, found, audio, queued_s=began - heard.decided_at)
            self.tally.add(event)
            self.activity.thinking -= 1
            await self._emit(event)
            for revision in found.revisions:
                if revision.turns_ago <= len(self._recent):  # a session that was taken over has none from before
                    await self._revise(-revision.turns_ago, revision.estimate)
            self._recent.append(event)

    async def _revise(self, place: int, estimate: EmotionEstimate) -> None:
        """Publish anew what an earlier turn is now believed to have sounded like."""
        before = self._recent[place]
        after = before.model_copy(
            update={
                **self._publisher.stamp(),
                "revision": before.revision + 1,
                "emotion": estimate.emotion,
                "confidence": round(estimate.confidence, 4),
                "uncertain": estimate.uncertain,
                "probabilities": {
                    label: round(share, 4) for label, share in zip(estimate.labels, estimate.probabilities, strict=True)
                },
                "why": None,
            }
        )
        self._recent[place] = after
        self.tally.revise(before, after)
        await self._emit(after)

    async def _keep_audio(self, heard: _HeardTurn) -> str | None:
        """The file that keeps the turn's audio, if that was asked for and can be done."""
        if self._keeper is None:
            return None
        try:
            return await self._keeper.keep(self._publisher.session, heard.turn_id, heard.turn.samples)
        except KeepingError as error:
            self._keeper, self._failure = None, error
            self._notify(f"{error}; no more audio is kept")
            return None

    def _turn(self, heard: _HeardTurn, found: Interpretation, audio: str | None, queued_s: float) -> Turn:
        turn, estimate, transcript = heard.turn, found.estimate, found.transcript
        modalities: tuple[Modality, ...] = ("speech",) if transcript.text is None else ("speech", "text")
        return Turn(
            **self._publisher.stamp(),
            turn_id=heard.turn_id,
            start_s=turn.start_s,
            end_s=turn.end_s,
            speaker=heard.speaker,
            text=transcript.text if self._with_text else None,
            text_source=transcript.source,
            text_rejected=transcript.rejected,
            emotion=estimate.emotion,
            confidence=estimate.confidence,
            uncertain=estimate.uncertain,
            probabilities=dict(zip(estimate.labels, estimate.probabilities, strict=True)),
            modalities=modalities,
            why=estimate.why,
            audio=audio,
            truncated=turn.truncated,
            latency_ms=Latency(
                end_of_turn=1000 * (turn.decided - turn.speech_end) / SAMPLE_RATE,
                queued=1000 * queued_s,
                recognition=1000 * found.recognition_s,
                encoding=1000 * found.encoding_s,
                context=1000 * found.context_s,
                after_end=1000 * (time.perf_counter() - heard.decided_at),
            ),
        )

    # -- events --------------------------------------------------------------------------------------------------

    async def _emit(self, event: Event) -> None:
        await self._publisher.send(event)
        if not self._publisher.has_sinks:
            self.stop("failure")

    def _started(self) -> SessionStarted:
        network, recogniser = self._engine.network, self._engine.recogniser
        return SessionStarted(
            **self._publisher.stamp(),
            source=self._source.name,
            channels=self._source.channels,
            labels=network.labels,
            bundle=BundleInfo(name=network.name, fingerprint=network.fingerprint),
            recogniser="captions" if self._captions else recogniser.name if recogniser else None,
            context_turns=self._context_turns,
            versions=_versions(),
        )

    def _ended(self) -> SessionEnded:
        return SessionEnded(
            **self._publisher.stamp(),
            reason=self._end_reason,
            seconds=self.activity.stream_s,
            turns=self.tally.turns,
            emotions=dict(self.tally.emotions),
            speakers=dict(self.tally.speakers),
            mood=self.tally.mood.label,
            dropped_frames=self._source.dropped_frames,
            dropped_turns=self.activity.dropped_turns,
            text_skipped=self.activity.text_skipped,
            latency_ms={"after_end": self.tally.after_end, "end_of_turn": self.tally.end_of_turn},
        )


@cache
def _versions() -> dict[str, str]:
    return {package: version(package) for package in _VERSIONS_OF}
