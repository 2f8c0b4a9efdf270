"""Work on turns that have not ended, for when the models are idle: nobody ever waits for it.

- Speculation (``speculation.py``): at a pause the models begin with the turn that may be over.
- Provisional estimates: while somebody speaks, the turn so far is estimated by its voice, every half second of speech.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from emotrack.models.context import EmotionEstimate
from emotrack.tracker.events import SpeculationShare
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.session.attribution import AttributedTurn, Attribution, begin
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.session.speculation import Speculation
from emotrack.tracker.session.status import Status
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.interpreter import Interpreter, TurnWork

EVERY_S: Final = 0.5  # of speech between two provisional estimates of a turn
LATEST_S: Final = 3.0  # of a turn is estimated, so that a long one costs no more than a short one


@dataclass(frozen=True, slots=True)
class TurnSoFar:
    """A turn under way, as far as it has been heard."""

    start: int
    """Of the whole turn, in samples of the stream."""
    latest: SpeechTurn
    """Its last ``LATEST_S``."""


@dataclass(frozen=True, slots=True)
class ProvisionalEstimate:
    """How a turn under way sounds so far, and who says it."""

    so_far: TurnSoFar
    speaker: str | None
    estimate: EmotionEstimate


class TurnUnderWay:
    """Tells when the turn under way on one channel is to be estimated."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._turn_start: int | None = None
        self._due_s = EVERY_S

    @property
    def is_due(self) -> bool:
        """Whether enough was said since the last estimate."""
        start, speech_s = self._listener.turn_start, self._listener.speech_s
        return start is not None and speech_s >= (self._due_s if start == self._turn_start else EVERY_S)

    def next(self) -> TurnSoFar | None:
        """What is to be estimated now; None while no more has been said since the last time."""
        start = self._listener.turn_start
        if start is None or not self.is_due or (latest := self._listener.latest(LATEST_S)) is None:
            return None
        self._turn_start, self._due_s = start, (self._listener.speech_s // EVERY_S + 1) * EVERY_S
        return TurnSoFar(start, latest)

    def goes_on(self, so_far: TurnSoFar) -> bool:
        """Whether the turn that was estimated has not ended yet."""
        return self._listener.turn_start == so_far.start


class LookingAhead:
    """Speculation and provisional estimates of one session, each only where it was chosen."""

    def __init__(
        self,
        engine: Engine,
        listeners: Sequence[Listener],
        attribution: Attribution,
        interpreter: Interpreter,
        options: SessionOptions,
        status: Status,
    ) -> None:
        self._engine = engine
        self._listeners = listeners
        self._attribution = attribution
        self._interpreter = interpreter
        self._status = status
        self._speculation = Speculation(options.segmenter) if options.speculate else None
        self._under_way = [TurnUnderWay(listener) for listener in self._listeners] if options.provisional else []
        self._to_estimate: asyncio.Queue[TurnSoFar | None] = asyncio.Queue(1)

    def look(self) -> None:
        """After every chunk: throw away what was begun in vain, and begin what pays, if the models are idle."""
        if self._speculation is not None:
            for channel, listener in enumerate(self._listeners):
                self._speculate(self._speculation, channel, listener.pending)
        self._ask_for_estimate()

    def take(self, ended: AttributedTurn) -> TurnWork | None:
        """The work on a turn that has ended, if it was begun with the same samples and the same words."""
        return self._speculation.take(ended.turn, ended.words) if self._speculation else None

    async def estimates(self) -> AsyncGenerator[ProvisionalEstimate, None]:
        """The provisional estimates of turns that still go on, until ``close``."""
        while (so_far := await self._to_estimate.get()) is not None:
            latest = so_far.latest
            speaker = self._attribution.preview(latest)[-1].speaker
            estimate = await self._interpreter.estimate_so_far(latest, speaker)
            if self._under_way[latest.channel].goes_on(so_far):
                yield ProvisionalEstimate(so_far, speaker, estimate)

    async def close(self) -> None:
        """Nothing more is heard."""
        await self._to_estimate.put(None)

    def throw_away(self) -> None:
        """Nobody wants what was begun."""
        if self._speculation is not None:
            for channel in range(len(self._listeners)):
                self._speculation.throw_away(channel)

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
            speculation.begin(pending, [begin(self._interpreter, part) for part in parts])

    def _ask_for_estimate(self) -> None:
        for under_way in self._under_way:
            if not under_way.is_due:
                continue
            if self._status.thinking or not self._engine.is_idle or self._to_estimate.full():
                return
            if (so_far := under_way.next()) is not None:
                self._to_estimate.put_nowait(so_far)
