"""Between hearing and understanding: who says a turn, where another speaker begins within it, and words that are given.

A turn of one channel may hold the words of several people. Here it is cut into parts of one speaker each.
"""

from __future__ import annotations

from dataclasses import dataclass

from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.captions import Captions
from emotrack.tracker.understanding.recognisers import Transcript


@dataclass(frozen=True, slots=True)
class AttributedTurn:
    """A stretch of speech, and who says it."""

    turn: SpeechTurn
    words: Transcript | None
    """None when they are to be recognised."""
    speaker: str | None
    """None where that is not known."""


class Attribution:
    """Attributes turns to speakers: by captions, else by channels where there are several."""

    def __init__(self, channels: int, captions: Captions | None) -> None:
        self._has_channels = channels > 1
        self._captions = captions

    @property
    def gives_words(self) -> bool:
        """Whether words are given, so that none need be recognised."""
        return self._captions is not None

    def attribute(self, turn: SpeechTurn) -> list[AttributedTurn]:
        """The parts of a ``turn`` that has ended, in order; call it once for each turn, in the order of their ends."""
        return self._parts(turn, has_ended=True)

    def preview(self, turn: SpeechTurn) -> list[AttributedTurn]:
        """The parts of a ``turn`` that may go on, as they are if it ends now; nothing of it is remembered."""
        return self._parts(turn, has_ended=False)

    def _parts(self, turn: SpeechTurn, *, has_ended: bool) -> list[AttributedTurn]:
        channel = f"channel {turn.channel + 1}" if self._has_channels else None
        if self._captions is None:
            return [AttributedTurn(turn, None, channel)]
        parts = self._captions.caption(turn) if has_ended else self._captions.preview(turn)
        return [
            AttributedTurn(part.turn, Transcript(part.text, "captions" if part.text else None), part.speaker or channel)
            for part in parts
        ]
