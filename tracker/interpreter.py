"""From a finished turn to an emotion: recogniser and encoders side by side, then the conversation's context."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from emotrack.models.context import EmotionEstimate, Revision, RollingContext
from emotrack.models.conversation import TurnEmbedding
from emotrack.tracker.engine import Engine
from emotrack.tracker.listener import SpeechTurn
from emotrack.tracker.recognisers import Transcript


@dataclass(frozen=True, slots=True)
class Interpretation:
    """How a turn sounds, and how long it took to find out."""

    transcript: Transcript
    estimate: EmotionEstimate
    revisions: list[Revision]
    """What the turn changes about earlier ones."""
    recognition_s: float
    encoding_s: float
    """Beyond recognition: the voice is encoded while words are recognised."""
    context_s: float


class Interpreter:
    """The models at work on one conversation.

    Call ``interpret`` for one turn after the other, in the order in which they ended: the rolling ``context`` has one
    writer.
    """

    def __init__(self, engine: Engine, context: RollingContext, notify: Callable[[str], None]) -> None:
        self.context = context
        self._engine = engine
        self._notify = notify

    async def interpret(self, turn: SpeechTurn, words: Transcript | None, speaker: str | None) -> Interpretation:
        """Score ``turn``; its ``words`` are recognised unless they are given."""
        began = time.perf_counter()
        voice = asyncio.ensure_future(self._engine.embed_speech(turn.samples))
        if words is None:
            words = await self._recognise(turn)
        recognised = time.perf_counter()
        text = None if words.text is None else await self._engine.embed_text(words.text, self.context.words)
        speech = await voice
        encoded = time.perf_counter()
        # A few milliseconds: not worth a thread.
        embedding = TurnEmbedding(speech, text, speaker, words.text)
        estimate, revisions = self._engine.network.update(self.context, embedding)
        return Interpretation(
            transcript=words,
            estimate=estimate,
            revisions=revisions,
            recognition_s=recognised - began,
            encoding_s=encoded - recognised,
            context_s=time.perf_counter() - encoded,
        )

    async def _recognise(self, turn: SpeechTurn) -> Transcript:
        try:
            return await self._engine.recognise(turn)
        except (RuntimeError, ValueError) as error:  # of the recogniser's engine; the voice can still be scored
            name = self._engine.recogniser.name if self._engine.recogniser else "the recogniser"
            self._notify(f"{name} failed on a turn, scored on voice alone: {error}")
            return Transcript(None, None, rejected="recogniser_failed")
