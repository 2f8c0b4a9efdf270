"""The live pipeline: source -> listeners -> interpreter -> sinks.

source.items()     chunks of audio, or word of a lost device
  _listen          one listener per channel cuts them into turns
  _look_ahead      at a pause, the models begin with the turn that may be over
  _glance          while somebody speaks, the models have a look if they are idle
  _turns           at most MAX_WAITING_TURNS of them wait
  _interpret       words, voice and context, one turn after the other
  sinks            the event leaves
"""

from __future__ import annotations

import asyncio
import operator
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from functools import reduce

from emotrack.errors import EmotrackError
from emotrack.models.context import EmotionEstimate, RollingContext
from emotrack.models.labels import canonical
from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, SourceItem, SourceLost, SourceRestored
from emotrack.tracker.events import (
    BundleInfo,
    Correction,
    Event,
    Mark,
    OverloadEvent,
    Provisional,
    SessionEnded,
    SessionStarted,
    SourceLostEvent,
    SourceRestoredEvent,
    Turn,
)
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.hearing.silence import why_no_speech
from emotrack.tracker.messages.notices import Notice
from emotrack.tracker.session.provisional import Glance, Glances
from emotrack.tracker.session.speculation import Speculation
from emotrack.tracker.session.status import Activity
from emotrack.tracker.session.turn_events import HeardTurn, estimated, turn_event, versions
from emotrack.tracker.sinks.audio_archive import AudioKeeper, KeepingError
from emotrack.tracker.sinks.json_lines import Sink
from emotrack.tracker.sinks.publisher import Publisher
from emotrack.tracker.site import DEFAULT_SITE
from emotrack.tracker.sources import Source
from emotrack.tracker.summary.session_summary import Tally
from emotrack.tracker.understanding.captions import Captions
from emotrack.tracker.understanding.engine import SKIPPED, Engine
from emotrack.tracker.understanding.interpreter import Interpreter
from emotrack.tracker.understanding.overload import LeftOut
from emotrack.tracker.understanding.recognisers import Transcript

MAX_WAITING_TURNS = 8  # finished turns that may wait for the models
MAX_TURNS_IN_HAND = 2  # in work or waiting, with which no more of a file is heard: it can wait, and its turns come soon
SKIP_TEXT_FROM = 4  # with so many waiting, a live source's turns go without recognition until it has caught up
PATIENCE = 2.0  # where short turns are left out, this many times the usual silence ends a turn


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
        site: str = DEFAULT_SITE,
        with_text: bool = True,
        keeper: AudioKeeper | None = None,
        speculate: bool = False,
        provisional: bool = False,
        resumed: Resumption | None = None,
        activity: Activity,
        notify: Callable[[str], None],
    ) -> None:
        """Put a session together.

        ``speculate``: begin with a turn at the pause that may be its end. Only worth while where audio comes as it is
        spoken: a file that is read as quickly as possible leaves no time in which the models would be idle.
        ``provisional``: estimate turns that still go on, which is for the same reason of use there only.
        """
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
        self._segmenter = segmenter or SegmenterOptions()
        self._listeners = [Listener(channel, self._segmenter) for channel in range(source.channels)]
        context = resumed.context if resumed else engine.scorer.new_context(self._context_turns)
        self._interpreter = Interpreter(engine, context, notify)
        self._speculation = Speculation(self._segmenter) if speculate else None
        self._glances = [Glances(listener) for listener in self._listeners] if provisional else []
        self._to_glance_at: asyncio.Queue[Glance | None] = asyncio.Queue(1)
        self._recent: deque[Turn] = deque(maxlen=max(self._context_turns - 1, 1))  # those that may be revised
        self._turns: asyncio.Queue[HeardTurn | None] = asyncio.Queue(MAX_WAITING_TURNS)
        self._has_few_turns = asyncio.Event()
        self._has_few_turns.set()
        self._turns_heard = resumed.turns_heard if resumed else 0
        self._waiting: asyncio.Timeout | None = None  # for the source
        self._paused_s = 0.0
        self.is_stopping = False
        self._end_reason = "end_of_source"
        self._failure: EmotrackError | None = None

    def attach(self, sink: Sink) -> None:
        """Send events to ``sink`` too; call it before ``run``."""
        self._publisher.attach(sink)

    @property
    def session(self) -> str:
        """Its name in every event."""
        return self._publisher.session

    @property
    def has_spoken(self) -> bool:
        """Whether anybody has said anything, or is about to."""
        return self._turns_heard > 0 or any(self.activity.speaking)

    def remembered(self) -> bytes:
        """The rolling context, for whoever may have to go on with it; without words where events have none."""
        return self._interpreter.context.to_bytes(with_words=self._with_text)

    @property
    def why_no_speech(self) -> str:
        """The likeliest reason, where no turn was found."""
        heard = reduce(operator.or_, (listener.heard for listener in self._listeners))
        return why_no_speech(heard, self._paused_s, self._segmenter, self._source.elsewhere)

    @property
    def models_waiting(self) -> dict[str, int]:
        """How many turns of all sessions wait for a model, by stage."""
        return self._engine.waiting

    # -- controls, called on the event loop ----------------------------------------------------------------------

    def stop(self, reason: str = "quit") -> None:
        """End the session in order: the turn under way is finished, scored and written."""
        if not self.is_stopping:
            self._end_reason = reason
            self.is_stopping = True
            if self._waiting is not None:
                self._waiting.reschedule(0.0)

    def toggle_pause(self) -> None:
        """Stop listening, or go on. The turn under way ends at a pause."""
        self.activity.paused = not self.activity.paused

    def mark(self) -> None:
        """Note that a person found this moment worth finding again."""
        self._publisher.send_soon(Mark(**self._publisher.stamp(), at_s=self.activity.stream_s))

    def forget(self) -> None:
        """Let the turns so far no longer colour the ones to come."""
        self._interpreter.context = self._engine.scorer.new_context(self._context_turns)
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
            # A file waits until the models are ready for more of it, and loses nothing.
            watching = nullcontext() if self._source.lossless else self._engine.overload.watched_by(self._leave_out)
            with watching:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._listen())
                    group.create_task(self._interpret())
                    group.create_task(self._estimate_turns_under_way())
        except BaseException:
            self._end_reason = "failure"
            raise
        finally:
            self._look_ahead([None for _ in self._listeners])
            await self._publisher.close(last=self._ended())
        failure = self._failure or self._publisher.failure
        if failure is not None:
            raise failure

    def _leave_out(self, level: LeftOut) -> None:
        """The models keep up less well, or better, than they did."""
        for listener in self._listeners:
            listener.wait(PATIENCE if level >= LeftOut.SHORT_TURNS else 1.0)
        self.activity.left_out = level.event_name
        event = OverloadEvent(**self._publisher.stamp(), at_s=self.activity.stream_s, left_out=self.activity.left_out)
        self._publisher.send_soon(event)

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
        await self._to_glance_at.put(None)

    async def _items(self) -> AsyncGenerator[SourceItem, None]:
        """The source's items, until it ends or the session is stopped."""
        async with aclosing(self._source.items()) as items:
            while not self.is_stopping:
                try:
                    async with asyncio.timeout(None) as waiting:  # for ever, or until ``stop``
                        self._waiting = waiting
                        item = await anext(items, None)
                except TimeoutError:
                    if not waiting.expired():  # it is the source's own
                        raise
                    return
                finally:
                    self._waiting = None
                if item is None:
                    return
                yield item

    async def _hear(self, chunk: AudioChunk) -> None:
        self.activity.stream_s = chunk.end / SAMPLE_RATE
        self.activity.dropped_frames = self._source.dropped_frames
        if self.activity.paused:
            self._paused_s += len(chunk.samples) / SAMPLE_RATE
            await self._end_turns()
            return
        if self._source.lossless:
            await self._has_few_turns.wait()
        turns = await self._push(chunk)
        self.activity.levels_dbfs = tuple(listener.level_dbfs for listener in self._listeners)
        self.activity.speaking = tuple(listener.speaking for listener in self._listeners)
        await self._queue(turns)
        self._look_ahead([listener.pending for listener in self._listeners])
        self._glance()

    async def _push(self, chunk: AudioChunk) -> list[SpeechTurn]:
        return [
            turn
            for listener, channel in zip(self._listeners, chunk.samples.T, strict=True)
            for turn in await self._engine.listen(listener, channel, chunk.start)
        ]

    async def _end_turns(self) -> None:
        self.activity.speaking = tuple(False for _ in self._listeners)
        await self._queue([turn for listener in self._listeners for turn in listener.flush()])
        self._look_ahead([None for _ in self._listeners])

    async def _queue(self, turns: list[SpeechTurn]) -> None:
        """Hand over finished turns in the order in which they ended."""
        decided_at = time.perf_counter()
        for whole in sorted(turns, key=lambda turn: turn.end):
            for turn, words, speaker in self._worded(whole):
                self._turns_heard += 1
                if self._turns.full() and not self._source.lossless:
                    dropped = self._turns.get_nowait()
                    if dropped and dropped.work:
                        dropped.work.cancel()
                    self.activity.dropped_turns += 1
                    self._take_in_hand(-1)
                self._take_in_hand(1)
                work = self._speculation.take(turn, words) if self._speculation else None
                await self._turns.put(HeardTurn(self._turns_heard, turn, words, speaker, work, decided_at))

    def _take_in_hand(self, turns: int) -> None:
        """So many ``turns`` more are in work or wait for it."""
        self.activity.thinking += turns
        if self.activity.thinking < MAX_TURNS_IN_HAND:
            self._has_few_turns.set()
        else:
            self._has_few_turns.clear()

    def _worded(
        self, turn: SpeechTurn, *, has_ended: bool = True
    ) -> list[tuple[SpeechTurn, Transcript | None, str | None]]:
        """The turn with its words, if captions tell them, and its speaker, if captions or the channel do."""
        channel = f"channel {turn.channel + 1}" if len(self._listeners) > 1 else None
        if self._captions is None:
            return [(turn, None, channel)]
        parts = self._captions.caption(turn) if has_ended else self._captions.preview(turn)
        return [
            (part.turn, Transcript(part.text, "captions" if part.text else None), part.speaker or channel)
            for part in parts
        ]

    # -- looking ahead -------------------------------------------------------------------------------------------

    def _look_ahead(self, pending: Sequence[SpeechTurn | None]) -> None:
        """Throw away what was begun in vain, and begin with what may be over, if the models are idle; by channel."""
        if self._speculation is None:
            return
        for channel, turn in enumerate(pending):
            if turn is not None and self._speculation.is_open(turn):
                continue
            self._speculation.throw_away(channel)
            # While a turn is in work, the next waits for it anyway; turns that have ended, anybody's, come first.
            if turn is not None and not self.activity.thinking and not self._engine.is_busy:
                pays = self._speculation.pays(0.0 if self._captions else self._engine.recognition_s)
                parts = self._worded(turn, has_ended=False) if pays else []
                self._speculation.begin(turn, [self._interpreter.begin(part, words) for part, words, _ in parts])

    def _glance(self) -> None:
        """Have a look at the turn of a channel where enough was said since the last look, if that delays nobody."""
        for glances in self._glances:
            if not glances.is_due:
                continue
            if self.activity.thinking or not self._engine.is_idle or self._to_glance_at.full():
                return
            if (glance := glances.next()) is not None:
                self._to_glance_at.put_nowait(glance)

    async def _estimate_turns_under_way(self) -> None:
        while (glance := await self._to_glance_at.get()) is not None:
            latest = glance.latest
            *_, (_, _, speaker) = self._worded(latest, has_ended=False)
            estimate = await self._interpreter.glance(latest, speaker)
            if self._glances[latest.channel].goes_on(glance):
                event = Provisional(
                    **self._publisher.stamp(),
                    channel=latest.channel + 1,
                    speaker=speaker,
                    start_s=glance.start / SAMPLE_RATE,
                    at_s=latest.end_s,
                    **estimated(estimate),
                )
                await self._emit(event)

    # -- understanding -------------------------------------------------------------------------------------------

    async def _interpret(self) -> None:
        while (heard := await self._turns.get()) is not None:
            words = heard.words
            is_behind = not self._source.lossless and self._turns.qsize() >= SKIP_TEXT_FROM
            if words is None and is_behind and self._engine.recogniser is not None and heard.work is None:
                words = Transcript(None, None, rejected=SKIPPED)
            began = time.perf_counter()
            work = heard.work or self._interpreter.begin(heard.turn, words)
            found = await self._interpreter.interpret(work, heard.speaker)
            audio = await self._keep_audio(heard)
            stamp = self._publisher.stamp()
            event = turn_event(stamp, heard, found, audio, began_at=began, with_text=self._with_text)
            self.tally.add(event)
            self.activity.text_skipped += event.text_rejected == SKIPPED
            self._take_in_hand(-1)
            await self._emit(event)
            for revision in found.revisions:
                if revision.turns_ago <= len(self._recent):  # a session that was taken over has none from before
                    await self._revise(-revision.turns_ago, revision.estimate)
            self._recent.append(event)

    async def _revise(self, place: int, estimate: EmotionEstimate) -> None:
        """Publish anew what an earlier turn is now believed to have sounded like."""
        before = self._recent[place]
        changed = {**self._publisher.stamp(), **estimated(estimate), "revision": before.revision + 1, "why": None}
        after = before.model_copy(update=changed)
        self._recent[place] = after
        self.tally.revise(before, after)
        await self._emit(after)

    async def _keep_audio(self, heard: HeardTurn) -> str | None:
        """The file that keeps the turn's audio, if that was asked for and can be done."""
        if self._keeper is None:
            return None
        try:
            return await self._keeper.keep(self._publisher.session, heard.turn_id, heard.turn.samples)
        except KeepingError as error:
            self._keeper, self._failure = None, error
            self._notify(Notice(f"{error}; no more audio is kept", about="kept audio"))
            return None

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
            versions=versions(),
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
            speculation=self._speculation.share() if self._speculation else None,
        )
