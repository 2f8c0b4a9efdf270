"""From a finished turn to an emotion: recogniser and encoders, each in a thread of its own, then the context."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from emotrack.models.context import EmotionEstimate, TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.tracker.listener import SpeechTurn
from emotrack.tracker.recognisers import Recogniser, Transcript


@dataclass(frozen=True, slots=True)
class Interpretation:
    """How a turn sounds, and how long it took to find out."""

    transcript: Transcript
    estimate: EmotionEstimate
    recognition_s: float
    encoding_s: float
    """Beyond recognition: the voice is encoded while words are recognised."""
    context_s: float


class Interpreter:
    """The models at work on one conversation.

    Call ``interpret`` for one turn after the other, in the order in which they ended: the rolling context has one
    writer.
    """

    def __init__(
        self,
        network: EmotionNetwork,
        recogniser: Recogniser | None,
        context_turns: int | None,
        notify: Callable[[str], None],
    ) -> None:
        self.context_turns = context_turns or network.default_context
        self._network = network
        self._recogniser = recogniser
        self._context = network.new_context(self.context_turns)
        self._notify = notify
        self._recognising = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recogniser")
        self._encoding_text = ThreadPoolExecutor(max_workers=1, thread_name_prefix="text")
        self._encoding_speech = ThreadPoolExecutor(max_workers=1, thread_name_prefix="speech")

    async def interpret(self, turn: SpeechTurn, words: Transcript | None, speaker: str | None) -> Interpretation:
        """Score ``turn``; its ``words`` are recognised unless they are given."""
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        voice = loop.run_in_executor(self._encoding_speech, self._network.embed_speech, turn.samples)
        if words is None:
            words = await loop.run_in_executor(self._recognising, self._recognise, turn)
        recognised = time.perf_counter()
        text = None
        if words.text is not None:
            text = await loop.run_in_executor(self._encoding_text, self._network.embed_text, words.text)
        speech = await voice
        encoded = time.perf_counter()
        # A matter of a millisecond: not worth a thread.
        estimate = self._network.estimate(self._context, TurnEmbedding(speech, text, speaker))
        return Interpretation(
            transcript=words,
            estimate=estimate,
            recognition_s=recognised - began,
            encoding_s=encoded - recognised,
            context_s=time.perf_counter() - encoded,
        )

    def close(self) -> None:
        for thread in (self._recognising, self._encoding_text, self._encoding_speech):
            thread.shutdown(wait=False, cancel_futures=True)

    def _recognise(self, turn: SpeechTurn) -> Transcript:
        if self._recogniser is None:
            return Transcript(None, None)
        try:
            return self._recogniser.transcribe(turn)
        except (RuntimeError, ValueError) as error:  # of the recogniser's engine; the voice can still be scored
            self._notify(f"{self._recogniser.name} failed on a turn, scored on voice alone: {error}")
            return Transcript(None, None, rejected="recogniser_failed")
