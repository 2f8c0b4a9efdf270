"""From a turn to an emotion: recogniser and encoders side by side, then the conversation's context."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from emotrack.models.context import EmotionEstimate, Revision, RollingContext
from emotrack.models.conversation import TurnEmbedding
from emotrack.tracker.errors import look_at
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.speakers.pieces import PrintVoice, TurnPrint
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.recognisers import Transcript
from emotrack.tracker.understanding.sentence_turns import sentence_turns

_log = logging.getLogger(__name__)

T = TypeVar("T")
MakePrint = Callable[[SpeechTurn, PrintVoice], Awaitable[TurnPrint | None]]


@dataclass(frozen=True, slots=True)
class Interpretation:
    """How a turn sounds, and how long it took to find out."""

    transcript: Transcript
    speaker: str | None
    estimate: EmotionEstimate
    revisions: list[Revision]
    """What the turn changes about earlier ones."""
    encoding_s: float
    """Beyond recognition: the voice is encoded while words are recognised."""
    context_s: float


class TurnWork:
    """Recognition and encoding of one turn, under way from the moment this is made on the event loop.

    The voice is encoded while words are recognised. Once these are there, they are encoded too, which depends on what
    was said ``before`` them; and where they are several long sentences, the work on each of these begins.
    """

    def __init__(
        self,
        engine: Engine,
        turn: SpeechTurn,
        words: Transcript | None,
        before: Sequence[str | None] | None,
        make_print: MakePrint | None = None,
        *,
        by_sentence: bool = False,
    ) -> None:
        """Begin with what is known: no words are encoded until it is told what was said ``before`` them.

        The words are recognised unless they are given, and ``make_print`` makes the print of the voice. Unless it may
        be told ``by_sentence``, the turn stays whole.
        """
        self.turn = turn
        self.given_words = words
        self.is_cancelled = False
        self.seconds = 0.0
        """What the models took for it so far, waiting for others included."""
        self._engine = engine
        self._before = before
        self.voice = asyncio.ensure_future(self._timed(engine.embed_speech(turn.samples)))
        self.words = asyncio.ensure_future(self._recognise())
        self._text = None if before is None else asyncio.ensure_future(self._embed_words(before))
        self.sentences = asyncio.ensure_future(self._begin_sentences(make_print if by_sentence else None))
        """The work on each turn that this one is told as: itself, or its sentences."""
        self.voice_print = asyncio.ensure_future(self._print(make_print))
        for task in self._tasks:
            task.add_done_callback(look_at)

    async def text(self, before: Sequence[str | None]) -> Tensor | None:
        """The embedding of the words, if there are any; made anew if others than was thought were said before."""
        if self._text is None or before != self._before:
            if self._text is not None:
                self._text.cancel()
            self._before = before
            self._text = asyncio.ensure_future(self._embed_words(before))
        return await self._text

    def cancel(self) -> None:
        """Nobody wants it any more: what a model has not begun by now is left undone."""
        self.is_cancelled = True
        if self.sentences.done() and not self.sentences.cancelled():
            for sentence in self.sentences.result():
                if sentence is not self:
                    sentence.cancel()
        for task in self._tasks:
            task.cancel()

    def when_over(self, act: Callable[[], None]) -> None:
        """Call ``act`` when nothing of it is under way any more, however it went."""
        tasks = (self.voice, self.words, self._text)
        over = asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
        over.add_done_callback(lambda _: act())

    @property
    def _tasks(self) -> list[asyncio.Future[Any]]:
        tasks = (self.voice, self.words, self._text, self.sentences, self.voice_print)
        return [task for task in tasks if task is not None]

    async def _recognise(self) -> Transcript:
        if self.given_words is not None:
            return self.given_words
        return await self._timed(self._engine.recognise(self.turn))

    async def _begin_sentences(self, make_print: MakePrint | None) -> list[TurnWork]:
        """Without ``make_print`` the turn stays whole."""
        await asyncio.wait([self.words])
        if make_print is None or self.words.cancelled() or self.words.exception() is not None:
            return [self]
        found = sentence_turns(self.turn, self.words.result())
        if len(found) == 1:
            return [self]
        befores = [self._before, *([None] * (len(found) - 1))]
        return [
            TurnWork(self._engine, turn, words, before, make_print)
            for (turn, words), before in zip(found, befores, strict=True)
        ]

    async def _print(self, make: MakePrint | None) -> TurnPrint | None:
        """After words and voice, which people wait for: on two cores a print would make them late.

        A turn that is told by sentence has none of its own.
        """
        if make is None:
            return None
        await asyncio.wait([self.words, self.voice])
        return await make(self.turn, self._engine.print_voice) if await self.sentences == [self] else None

    async def _embed_words(self, before: Sequence[str | None]) -> Tensor | None:
        text = (await self.words).text
        return None if text is None else await self._timed(self._engine.embed_text(text, before))

    async def _timed(self, work: Awaitable[T]) -> T:
        began = time.perf_counter()
        try:
            return await work
        finally:
            self.seconds += time.perf_counter() - began


class Interpreter:
    """The models at work on one conversation.

    Call ``interpret`` for one turn after the other, in the order in which they ended: the rolling ``context`` has one
    writer.
    """

    def __init__(self, engine: Engine, context: RollingContext, site: str) -> None:
        self.context = context
        self._engine = engine
        self._site = site

    def begin(
        self,
        turn: SpeechTurn,
        words: Transcript | None,
        make_print: MakePrint | None = None,
        *,
        by_sentence: bool = False,
    ) -> TurnWork:
        """Begin what can be found out of a turn without the turns before; not while one is being interpreted.

        The rest is as for ``TurnWork``.
        """
        return TurnWork(self._engine, turn, words, self.context.words, make_print, by_sentence=by_sentence)

    async def interpret(
        self,
        work: TurnWork,
        identify: Callable[[], Awaitable[str | None]],
        says_nothing: Callable[[Transcript], bool] = lambda _: False,
    ) -> Interpretation | None:
        """Score the turn that was begun.

        Args:
            work: what was begun on it, or on a sentence of it.
            identify: tells who says it, once voice and words are there.
            says_nothing: tells by the words whether it is no turn; then nothing of it is remembered.

        Returns:
            None if it is no turn.
        """
        words = await self._words(work)
        if says_nothing(words):
            work.cancel()
            return None
        recognised = time.perf_counter()
        text = None if words.text is None else await work.text(self.context.words)
        speech = await work.voice
        encoded = time.perf_counter()
        speaker = await identify()
        embedding = TurnEmbedding(speech, text, speaker, words.text)
        estimate, revisions = await self._engine.update(self.context, embedding)
        return Interpretation(
            transcript=words,
            speaker=speaker,
            estimate=estimate,
            revisions=revisions,
            encoding_s=encoded - recognised,
            context_s=time.perf_counter() - encoded,
        )

    async def estimate_so_far(self, turn: SpeechTurn, speaker: str | None) -> EmotionEstimate:
        """How a turn that still goes on sounds so far, by its voice alone; nothing of it is remembered.

        Not to be asked for while a turn is being interpreted.
        """
        return await self._engine.estimate_so_far(self.context.copy(), turn.samples, speaker)

    async def estimate_begun(self, work: TurnWork, speaker: str | None) -> tuple[Transcript, EmotionEstimate] | None:
        """How a turn that may be over sounds, by voice and words; nothing of it is remembered.

        None if the work was thrown away meanwhile, or the turn has ended and its words are read in the light of others.
        """
        try:
            words = await self._words(work)
            text = None if words.text is None else await work.text(self.context.words)
            turn = TurnEmbedding(await work.voice, text, speaker, words.text)
        except asyncio.CancelledError:  # of the work or of its words, unless it is the session that ends
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None
        return words, await self._engine.estimate(self.context.copy(), turn)

    async def _words(self, work: TurnWork) -> Transcript:
        try:
            return await work.words
        except (RuntimeError, ValueError) as error:  # of the recogniser's engine; the voice can still be scored
            name = self._engine.recogniser.name if self._engine.recogniser else "the recogniser"
            _log.warning("%s: %s failed on a turn, scored on voice alone: %s", self._site, name, error)
            return Transcript(None, None, rejected="recogniser_failed")
