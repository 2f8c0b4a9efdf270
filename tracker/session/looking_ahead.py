"""Work on turns that have not ended, for when the models are idle: nobody ever waits for it.

- Speculation (``speculation.py``): at a pause the models begin with the turn that may be over. Where its words prove
  to be a finished sentence, a shorter silence ends the turn.
- Long turns (``long_turns.py``): the sentences of them that are over end while they go on.
- Provisional estimates (``provisional.py``): while somebody speaks, the turn so far is estimated by its voice, every
  half second of speech; at a pause, by its words, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

from emotrack.tracker.events import SpeculationShare
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.session.attribution import AttributedTurn, Attribution, begin
from emotrack.tracker.session.hearing import Hearing
from emotrack.tracker.session.long_turns import LongTurns
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.session.provisional import ProvisionalEstimate, TurnSoFar, TurnUnderWay
from emotrack.tracker.session.speculation import Speculation
from emotrack.tracker.session.status import Status
from emotrack.tracker.session.understanding import Understanding
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.interpreter import TurnWork
from emotrack.tracker.understanding.recognisers import Transcript
from emotrack.tracker.understanding.sentences import is_finished


class LookingAhead:
    """Speculation and provisional estimates of one session, each only where it was chosen."""

    def __init__(
        self,
        engine: Engine,
        hearing: Hearing,
        attribution: Attribution,
        understanding: Understanding,
        options: SessionOptions,
        status: Status,
    ) -> None:
        self._engine = engine
        self._listeners = hearing.listeners
        self._attribution = attribution
        self._interpreter = understanding.interpreter
        self._identification = understanding.identification
        self._status = status
        self._by_sentence = not options.every_sound
        self._speculation = Speculation(options.segmenter) if options.speculate else None
        self._under_way = [TurnUnderWay(listener) for listener in self._listeners] if options.provisional else []
        recognises = engine.recogniser is not None and not attribution.gives_words
        self._long_turns = [
            LongTurns(engine, attribution, listener)
            for channel, listener in enumerate(self._listeners)
            if options.speculate and self._by_sentence and recognises and hearing.voices(channel) is not None
        ]
        self._to_estimate: asyncio.Queue[TurnSoFar | None] = asyncio.Queue(1)

    def look(self) -> None:
        """After every chunk: throw away what was begun in vain, and begin what pays, if the models are idle."""
        if self._speculation is not None:
            for channel, listener in enumerate(self._listeners):
                self._speculate(self._speculation, channel, listener.pending)
        for long_turns in self._long_turns:
            long_turns.look()
        self._ask_for_estimate()

    def take(self, ended: AttributedTurn) -> TurnWork | None:
        """The work on a turn that has ended, if it was begun with the same samples and the same words."""
        return self._speculation.take(ended.turn, ended.words) if self._speculation else None

    async def estimates(self) -> AsyncGenerator[ProvisionalEstimate, None]:
        """The provisional estimates of turns that still go on, until ``close``."""
        while (so_far := await self._to_estimate.get()) is not None:
            attributed = self._attribution.preview(so_far.latest)[-1]
            speaker = self._identification.guess(attributed)
            if so_far.work is None:
                words, estimate = None, await self._interpreter.estimate_so_far(so_far.latest, speaker)
            else:
                found = await self._interpreter.estimate_begun(so_far.work, speaker)
                if found is None:
                    continue
                words, estimate = found
            if self._under_way[so_far.latest.channel].goes_on(so_far):
                overlap = attributed.voiced.overlap if attributed.voiced else None
                yield ProvisionalEstimate(so_far, speaker, overlap, words, estimate)

    async def close(self) -> None:
        """Nothing more is heard."""
        await self._to_estimate.put(None)

    def throw_away(self) -> None:
        """Nobody wants what was begun."""
        if self._speculation is not None:
            for channel in range(len(self._listeners)):
                self._speculation.throw_away(channel)
        for long_turns in self._long_turns:
            long_turns.cancel()

    @property
    def share(self) -> SpeculationShare | None:
        """How much of the speculation was of use so far; None without any."""
        return self._speculation.share() if self._speculation else None

    def _speculate(self, speculation: Speculation, channel: int, pending: SpeechTurn | None) -> None:
        if pending is not None and speculation.is_open(pending):
            return
        speculation.throw_away(channel)
        # While a turn is in work, the next waits for it anyway; turns that have ended, anybody's, come first.
        if pending is not None and not self._status.thinking and not self._engine.is_busy:
            pays = speculation.pays(0.0 if self._attribution.gives_words else self._engine.recognition_s)
            parts = self._attribution.preview(pending) if pays else []
            works = [begin(self._interpreter, part, by_sentence=self._by_sentence) for part in parts]
            speculation.begin(pending, works)
            if works and not self._attribution.gives_words:
                last = max(works, key=lambda work: work.turn.end)
                last.words.add_done_callback(partial(_heed, self._listeners[channel], pending))
            if works and self._under_way and not self._to_estimate.full():
                self._to_estimate.put_nowait(TurnSoFar(pending.start, works[-1].turn, works[-1]))

    def _ask_for_estimate(self) -> None:
        for under_way in self._under_way:
            if not under_way.is_due:
                continue
            if self._status.thinking or not self._engine.is_idle or self._to_estimate.full():
                return
            if (so_far := under_way.next()) is not None:
                self._to_estimate.put_nowait(so_far)


def _heed(listener: Listener, pending: SpeechTurn, words: asyncio.Future[Transcript]) -> None:
    """The ``words`` of the ``pending`` turn are there, or never will be."""
    if words.cancelled() or words.exception() is not None:
        return
    if (text := words.result().text) is not None and is_finished(text):
        listener.finish(pending)
