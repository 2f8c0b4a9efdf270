"""Whether to believe a transcript.

Recognisers write fluent sentences into noise and repeat themselves when lost. A transcript that fails a gate is
thrown away, the turn is scored on voice alone, and the event says why.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, replace
from typing import Literal

from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.recognisers.transcript import Transcript

Rejection = Literal["empty", "no_speech", "low_confidence", "repetition", "stock_phrase", "too_fast"]

# What recognisers trained on subtitles say when they hear nothing; believed only when speech was clearly heard.
_STOCK_PHRASES = frozenset(
    {
        "thank you",
        "thank you for watching",
        "thanks for watching",
        "thank you so much for watching",
        "please subscribe",
        "subscribe",
        "see you in the next video",
        "see you next time",
        "you",
        "bye",
        "the end",
        "subtitles by the amaraorg community",
    }
)


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Limits of what is believed."""

    min_confidence: float = 0.3
    """Confidence below which a transcript is rejected; its scale is the recogniser's own."""
    clear_speech: float = 0.85
    """Mean speech probability above which a stock phrase is taken for real."""
    max_compression: float = 2.4
    """Length over compressed length; more of it means that the text repeats itself."""
    max_characters_per_s: float = 30.0
    """Nobody speaks faster."""


def believed(turn: SpeechTurn, heard: Transcript, options: GateOptions) -> Transcript:
    """What was ``heard`` in a turn; without its words where they are rejected, by the recogniser itself or a gate."""
    rejected = heard.rejected or rejection(
        heard.text or "", heard.confidence or 0.0, turn.speech_probability, turn.end_s - turn.start_s, options
    )
    return replace(heard, text=None, source=None, rejected=rejected) if rejected else heard


def rejection(
    text: str, confidence: float, speech_probability: float, seconds: float, options: GateOptions
) -> Rejection | None:
    """Why ``text``, recognised in a turn of ``seconds``, is not to be believed; None when it is."""
    words = re.sub(r"[^\w\s]", "", text.casefold()).split()
    if not words:
        return "empty"
    if confidence < options.min_confidence:
        return "low_confidence"
    if " ".join(words) in _STOCK_PHRASES and speech_probability < options.clear_speech:
        return "stock_phrase"
    if _repeats(words) or _compression(text) > options.max_compression:
        return "repetition"
    if len(text) > options.max_characters_per_s * max(seconds, 0.5):
        return "too_fast"
    return None


def _compression(text: str) -> float:
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def _repeats(words: list[str], times: int = 4) -> bool:
    """Whether one to four words are said ``times`` times in a row."""
    for length in range(1, 5):
        for start in range(len(words) - length * times + 1):
            phrase = words[start : start + length]
            if all(words[start + k * length : start + (k + 1) * length] == phrase for k in range(1, times)):
                return True
    return False
