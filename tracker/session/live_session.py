"""One run of the tracker over one source: source -> hearing -> understanding -> events -> sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from time import perf_counter

from emotrack.tracker.session import event_making as make
from emotrack.tracker.session.attribution import Attribution
from emotrack.tracker.session.controls import Controls, ForgetTurns, RenameSpeaker
from emotrack.tracker.session.hearing import Hearing
from emotrack.tracker.session.identification import Identification
from emotrack.tracker.session.looking_ahead import LookingAhead
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.session.publisher import Publisher
from emotrack.tracker.session.recent_turns import RecentTurns
from emotrack.tracker.session.turn_queue import TurnQueue
from emotrack.tracker.session.understanding import Understanding
from emotrack.tracker.sinks.json_lines import Sink
from emotrack.tracker.sources import Source
from emotrack.tracker.understanding.engine import Engine


class LiveSession:
    """The stages, each a file beside this one, and the way between them; any number of sessions share an engine."""

    def __init__(
        self,
        source: Source,
        engine: Engine,
        sinks: Sequence[Sink],
        controls: Controls,
        options: SessionOptions,
    ) -> None:
        self._source, self._engine, self._controls, self._options = source, engine, controls, options
        self._status = status = controls.status
        self._publisher = Publisher(sinks, controls)
        self.hearing = Hearing(source, engine, options, controls, self._publisher)
        self._attribution = Attribution(source.speakers, options.captions, self.hearing.voices)
        self._queue = TurnQueue(status, lossless=source.lossless)
        self._identification = Identification(options.speakers, patient=not source.realtime)
        self._understanding = Understanding(engine, options, self._identification, status)
        self._ahead = LookingAhead(engine, self.hearing, self._attribution, self._understanding, options, status)
        self._recent = RecentTurns(self._understanding.context_turns, status, self._publisher)

    async def run(self) -> None:
        """Track until the end; raises ``EmotrackError`` at last if the source broke off or a sink failed."""
        reason = "failure"
        try:
            await self._publisher.send(make.session_started(self._status, self._source, self._engine, self._options))
            with self.hearing.heeding_overload():
                async with asyncio.TaskGroup() as group:
                    learning = self._recent.follow(self._identification.told())
                    for stage in (self._hear(), self._understand(), learning, self._look_ahead(), self._obey()):
                        group.create_task(stage)
            reason = "failure" if self.hearing.failure else self._controls.stop_reason or "end_of_source"
        finally:
            self._ahead.throw_away()
            await self._publisher.close(make.session_ended(self._status, self._source, reason, self._ahead.share))
        if failure := self.hearing.failure or self._understanding.failure or self._publisher.failure:
            raise failure

    async def _hear(self) -> None:
        async with aclosing(self.hearing.turns()) as heard:
            async for turns in heard:
                decided_at = perf_counter()
                for part in (part for turn in turns for part in self._attribution.attribute(turn)):
                    await self._queue.put(part, self._ahead.take(part), decided_at)
                self._ahead.look()
                await self._queue.wait_for_few()
        await self._queue.close()
        await self._ahead.close()

    async def _understand(self) -> None:
        async for queued in self._queue.turns():
            told_as = await self._understanding.begin(queued, skip_text=self._queue.is_behind)
            self._queue.take_apart(len(told_as))
            for begun in told_as:
                self._understanding.attribute(self._recent.speakers, self._recent.take_renamed())
                understood = await self._understanding.understand(begun)
                self._queue.done()
                if understood is not None:
                    turn = make.turn_event(self._status, understood, self._options)
                    await self._recent.publish(turn, understood.found.revisions)
        await self._identification.close()
        self._controls.close()

    async def _look_ahead(self) -> None:
        async for found in self._ahead.estimates():
            await self._publisher.send(make.provisional_event(self._status, found, self._options))

    async def _obey(self) -> None:
        async for command in self._controls.commands():
            if isinstance(command, ForgetTurns):
                self._understanding.forget()
                self._recent.clear()
            elif isinstance(command, RenameSpeaker):
                self._identification.rename(command.speaker, command.name)
                await self._recent.rename(command.speaker, command.name)
            else:  # an event that a person made
                await self._publisher.send(command)
