"""The second stage: words, voice and context, one turn after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from emotrack.tracker.messages.notices import lasting
from emotrack.tracker.session.attribution import AttributedTurn, begin, sentence
from emotrack.tracker.session.identification import Identification
from emotrack.tracker.session.options import SessionOptions
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.session.turn_queue import QueuedTurn
from emotrack.tracker.sinks.audio_archive import KeepingError
from emotrack.tracker.understanding.engine import SKIPPED, Engine
from emotrack.tracker.understanding.interpreter import Interpretation, Interpreter, TurnWork
from emotrack.tracker.understanding.recognisers import Transcript
from emotrack.tracker.understanding.sentences import says_nothing

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BegunTurn:
    """A turn, or a sentence of one, whose words are there."""

    turn_id: int
    attributed: AttributedTurn
    work: TurnWork
    decided_at: float
    """When it was known that the turn had ended: seconds, ``time.perf_counter``, as all of these."""
    began_at: float
    """When the models began with the turn, or its work was taken over."""
    recognised_at: float


@dataclass(frozen=True, slots=True)
class UnderstoodTurn:
    """A turn, what the models found in it, and the file that keeps its voice, if any."""

    begun: BegunTurn
    found: Interpretation
    audio: str | None
    queued_s: float
    """That it waited for the turns before."""


class Understanding:
    """The models at work on one session's turns, and the archive of their audio."""

    def __init__(
        self,
        engine: Engine,
        options: SessionOptions,
        identification: Identification,
        status: LiveStatus,
    ) -> None:
        """The rolling window is that of the ``status``, where a session goes on, or a new one."""
        self.failure: KeepingError | None = None
        """Why audio is kept no more."""
        self.context_turns = options.context_turns or engine.network.default_context
        """Turns that the rolling window holds."""
        self._engine = engine
        self.identification = identification
        self._status = status
        self._keeper = options.keeper
        self._every_sound = options.every_sound
        if status.context is None:
            status.context = engine.scorer.new_context(self.context_turns)
        self.interpreter = Interpreter(engine, status.context, status.site)

    async def begin(self, queued: QueuedTurn, *, skip_text: bool) -> list[BegunTurn]:
        """What a turn is told as, each with the work on it: the turn itself, or its sentences once they are known."""
        words = None
        if (
            queued.attributed.words is None
            and skip_text
            and self._engine.recogniser is not None
            and queued.work is None
        ):
            words = Transcript(None, None, rejected=SKIPPED)
        began_at = time.perf_counter()
        work = queued.work or begin(self.interpreter, queued.attributed, words, by_sentence=not self._every_sound)
        works = await work.sentences
        recognised_at = time.perf_counter()
        return [
            BegunTurn(
                turn_id=queued.turn_id + place,
                attributed=sentence(queued.attributed, each),
                work=each,
                decided_at=queued.decided_at,
                began_at=began_at,
                recognised_at=recognised_at,
            )
            for place, each in enumerate(works)
        ]

    async def understand(self, begun: BegunTurn) -> UnderstoodTurn | None:
        """Find out how a turn sounds; call it for one turn after the other, in the order in which they ended.

        None if nothing is said in it.
        """
        waited_s = time.perf_counter() - begun.recognised_at  # for the sentences before
        identify = partial(self.identification.identify, begun.turn_id, begun.attributed, begun.work)
        found = await self.interpreter.interpret(begun.work, identify, partial(self._is_none, begun.attributed))
        if found is None:
            return None
        self._status.text_skipped += found.transcript.rejected == SKIPPED
        queued_s = begun.began_at - begun.decided_at + waited_s
        return UnderstoodTurn(begun, found, await self._keep_audio(begun), queued_s)

    def attribute(self, speakers: Sequence[str | None], renamed: Sequence[tuple[str, str]] = ()) -> None:
        """Know who says the latest turns, oldest first, and who is called otherwise now, in turns of any age."""
        for speaker, into in renamed:
            self.interpreter.context.merge(speaker, into)
        self.interpreter.context.attribute(speakers)

    def forget(self) -> None:
        """Let the turns so far no longer colour the ones to come."""
        self.interpreter.context = self._status.context = self._engine.scorer.new_context(self.context_turns)

    def _is_none(self, attributed: AttributedTurn, words: Transcript) -> bool:
        """Whether what was heard is no turn. Who has a channel, or whose words are given, always says something."""
        voiced = attributed.voiced
        if self._every_sound or voiced is None or attributed.words is not None:
            return False
        return says_nothing(voiced.turn, words, borders=voiced.borders)

    async def _keep_audio(self, begun: BegunTurn) -> str | None:
        """The file that keeps the turn's audio, if that was asked for and can be done."""
        if self._keeper is None:
            return None
        try:
            return await self._keeper.keep(self._status.session, begun.turn_id, begun.attributed.turn.samples)
        except KeepingError as error:
            self._keeper, self.failure = None, error
            _log.warning("%s; no more audio is kept", error, extra=lasting(str(error)))
            return None
