"""The first stage: audio in, finished turns out, one listener a channel."""

from __future__ import annotations

import operator
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing, nullcontext
from functools import reduce
from typing import Final

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, AudioChunk, SourceLost, SourceRestored
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.silence import why_no_speech
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.session.event_making import overload_event, source_event
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.session.publisher import Publisher
from emotrack.tracker.sources import Source
from emotrack.tracker.speakers.channel_voices import ChannelVoices
from emotrack.tracker.speakers.networks import WINDOW
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.overload import LeftOut

PIECE: Final = round(0.1 * SAMPLE_RATE)  # samples that are heard at once while nobody speaks
PATIENCE: Final = 2.0  # where short turns are left out, this many times the usual silence ends a turn


class Hearing:
    """Hears every channel of a source, writes into the status what is heard, and tells when the source is lost."""

    def __init__(
        self, source: Source, engine: Engine, options: SessionOptions, controls: Controls, publisher: Publisher
    ) -> None:
        tells_apart = options.speakers is not None and engine.speaker_networks is not None
        several = [speakers.several and tells_apart for speakers in source.speakers]
        self.listeners = [
            Listener(channel, options.segmenter, remembers=WINDOW if apart else 0)
            for channel, apart in enumerate(several)
        ]
        self._voices = {
            # captions tell where somebody else takes over
            channel: ChannelVoices(
                self.listeners[channel],
                engine.segment,
                engine.print_voice,
                ends_turns=options.captions is None,
                patient=not source.realtime,
            )
            for channel, apart in enumerate(several)
            if apart
        }
        self.failure: EmotrackError | None = None
        """Why the source broke off."""
        self._source = source
        self._engine = engine
        self._segmenter = options.segmenter
        self._controls = controls
        self._status = controls.status
        self._publisher = publisher
        self._paused_s = 0.0

    async def turns(self) -> AsyncGenerator[list[SpeechTurn], None]:
        """After each of the source's items the turns that it ended, in the order in which they ended; often none."""
        try:
            async with aclosing(self._controls.until_stopped(self._source.items())) as items:
                async for item in items:
                    if isinstance(item, AudioChunk):
                        yield await self._hear(item)
                        continue
                    yield await self._end_turns(breaks_off=isinstance(item, SourceLost))
                    if isinstance(item, SourceLost | SourceRestored):
                        self._status.source_lost = isinstance(item, SourceLost)
                        await self._publisher.send(source_event(self._status, item))
        except EmotrackError as error:
            self.failure = error
        yield await self._end_turns()

    def heeding_overload(self) -> AbstractContextManager[None]:
        """Within the context turns end later while the models cannot keep up, and events tell what is left out.

        A file waits until the models are ready for more of it, and loses nothing.
        """
        if self._source.lossless:
            return nullcontext()
        return self._engine.overload.watched_by(self._leave_out, lambda: self._source.late_s)

    @property
    def why_no_speech(self) -> str:
        """The likeliest reason, where no turn was found."""
        heard = reduce(operator.or_, (listener.heard for listener in self.listeners))
        return why_no_speech(heard, self._paused_s, self._segmenter, self._source.elsewhere)

    async def _hear(self, chunk: AudioChunk) -> list[SpeechTurn]:
        status = self._status
        status.stream_s = chunk.end / SAMPLE_RATE
        status.dropped_frames = self._source.dropped_frames
        if status.paused:
            self._paused_s += len(chunk.samples) / SAMPLE_RATE
            return await self._end_turns(breaks_off=True)
        turns = [turn for place in range(len(self.listeners)) for turn in await self._listen(place, chunk)]
        status.levels_dbfs = tuple(listener.level_dbfs for listener in self.listeners)
        status.speaking = tuple(listener.speaking for listener in self.listeners)
        return sorted(turns, key=operator.attrgetter("end"))

    async def _listen(self, channel: int, chunk: AudioChunk) -> list[SpeechTurn]:
        """The turns that end on a channel.

        While somebody speaks whose voice is told apart, frame by frame: so what is heard does not depend on how the
        source cuts its chunks.
        """
        listener, samples = self.listeners[channel], chunk.samples[:, channel]
        if (voices := self.voices(channel)) is None:
            return await self._engine.listen(listener, samples, chunk.start)
        turns: list[SpeechTurn] = []
        at = 0
        while at < len(samples):
            start = chunk.start + at
            size = FRAME_SAMPLES - (start - listener.heard_until) % FRAME_SAMPLES if listener.speaking else PIECE
            ended = await self._engine.listen(listener, samples[at : at + size], start)
            for turn in ended:
                await voices.finish(turn)
            turns += [*ended, *await voices.look()]
            at += size
        return turns

    def voices(self, channel: int) -> ChannelVoices | None:
        """The voices on a channel; None where they are not told apart, or not for now."""
        if self._engine.overload.level >= LeftOut.SPEAKERS and not self._source.lossless:
            return None
        return self._voices.get(channel)

    async def _end_turns(self, *, breaks_off: bool = False) -> list[SpeechTurn]:
        """The turns under way, which end here; with ``breaks_off`` their speakers may well go on unheard."""
        self._status.speaking = tuple(False for _ in self.listeners)
        turns = [turn for listener in self.listeners for turn in listener.flush(breaks_off=breaks_off)]
        for turn in turns:
            if (voices := self.voices(turn.channel)) is not None:
                await voices.finish(turn)
        return sorted(turns, key=operator.attrgetter("end"))

    def _leave_out(self, level: LeftOut) -> None:
        """The models keep up less well, or better, than they did."""
        for listener in self.listeners:
            listener.patience = PATIENCE if level >= LeftOut.SHORT_TURNS else 1.0
        self._status.left_out = level.event_name
        self._publisher.send_soon(overload_event(self._status))
