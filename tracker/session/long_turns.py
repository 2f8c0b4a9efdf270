"""What of a long turn is over while it goes on: its finished sentences, so that nobody waits for its end to see them.

Only of what one person says: where others seem to speak, too, that is settled first.
"""

from __future__ import annotations

import asyncio
from typing import Final

from emotrack.models.bounds import MAX_SPEECH_S
from emotrack.tracker.errors import look_at
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.session.attribution import Attribution
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.sentence_turns import sentence_turns

LONG_S: Final = 6.0  # of speech in a turn, from which on it is long, ...
EVERY_S: Final = 3.0  # ... and between two looks at it, ...
SETTLED_AFTER_S: Final = 1.0  # ... or, where others seem to speak in it, until the next
_QUICK_S: Final = 0.5  # a recogniser that takes longer would make the turns that have ended late


class LongTurns:
    """Looks for finished sentences in the turn under way on one channel."""

    def __init__(self, engine: Engine, attribution: Attribution, listener: Listener) -> None:
        self._engine = engine
        self._attribution = attribution
        self._listener = listener
        self._turn_start: int | None = None
        self._due_s = LONG_S
        self._looking: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Begin with the words so far, where there are many and the models are idle."""
        start, speech_s = self._listener.turn_start, self._listener.speech_s
        if start != self._turn_start:
            self._turn_start, self._due_s = start, LONG_S
        if start is None or speech_s < self._due_s or self._engine.recognition_s > _QUICK_S or not self._engine.is_idle:
            return
        if (so_far := self._listener.latest(MAX_SPEECH_S)) is None:
            return
        if len(self._attribution.preview(so_far)) > 1:
            self._due_s = speech_s + SETTLED_AFTER_S
            return
        self._due_s = speech_s + EVERY_S
        self._looking = asyncio.ensure_future(self._end_sentences(so_far))
        self._looking.add_done_callback(look_at)

    def cancel(self) -> None:
        """Nobody wants it any more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _end_sentences(self, so_far: SpeechTurn) -> None:
        """The last sentence goes on; those before it are over."""
        told = sentence_turns(so_far, await self._engine.recognise(so_far))
        if len(told) > 1 and self._listener.turn_start == so_far.start:
            self._listener.end_at(told[-1][0].start)
