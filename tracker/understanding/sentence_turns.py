"""A long turn is told sentence by sentence: within one, people go from one thing to the next, and to another mood.

Nobody pauses long between them, so no silence tells where one ends; a recogniser writes full stops, but not when it
heard them. The border is looked for where it should be by the letters before it: at the quietest moment near there. A
word may so be counted to the wrong sentence's sound; the words themselves are right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.doubt import SHORT_S
from emotrack.tracker.understanding.recognisers import Transcript
from emotrack.tracker.understanding.sentences import is_finished, words_of

LEAST_WORDS: Final = 6  # in a turn of its own: an "Oh, wow." belongs to what is said with it

_HOP: Final = SAMPLE_RATE // 100  # samples between two levels
_BREATH: Final = 6  # levels that count as one moment: 60 ms
_LOUD: Final = 80  # percentile of the levels: how loud somebody speaks
_SPOKEN_DB: Final = 20.0  # so far below that, nothing is said
_SILENT_DB: Final = 25.0  # so far below that, it is silent, and no quieter moment is a better one
_NEAR_S: Final = 0.3  # of what is expected, and ...
_NEAR_SHARE: Final = 0.05  # ... so much of the turn besides, ...
_NEAR_DB: Final = 12.0  # ... costs as much as so much louder a moment; twice as far is too far
_NOTHING: Final = 1e-12  # power of no sound


def sentence_turns(turn: SpeechTurn, words: Transcript) -> list[tuple[SpeechTurn, Transcript]]:
    """The sentences of a ``turn`` of one voice, or groups of short ones: the turn as a whole where it has but one."""
    texts = [] if words.text is None else long_sentences(words.text)
    borders = _borders(turn.samples, texts)
    if not borders:
        return [(turn, words)]
    turns = turn.divide([turn.start + border for border in borders])
    return [(part, replace(words, text=text)) for part, text in zip(turns, texts, strict=True)]


def long_sentences(words: str) -> list[str]:
    """``words`` cut after finished sentences, none of which has fewer than LEAST_WORDS."""
    found: list[str] = []
    for sentence in re.split(r"(?<=[.?!…])\s+", words.strip()):
        if found and not (_is_long(found[-1]) and is_finished(found[-1])):
            found[-1] += " " + sentence
        else:
            found.append(sentence)
    if len(found) > 1 and not _is_long(found[-1]):
        last = found.pop()
        found[-1] += " " + last
    return found


def _is_long(sentence: str) -> bool:
    return len(words_of(sentence)) >= LEAST_WORDS


def _borders(samples: Samples, texts: Sequence[str]) -> list[int]:
    """Places in (samples,) at which each of ``texts`` but the first begins; none where there is no room for them."""
    power = _power(samples)  # (levels,)
    least = round(SHORT_S * SAMPLE_RATE / _HOP)
    if len(texts) < 2 or len(power) < least * len(texts):
        return []
    loud = float(np.percentile(power, _LOUD)) + _NOTHING
    spoken = np.cumsum(power > loud * 10.0 ** (-_SPOKEN_DB / 10.0))  # (levels,)
    moments = np.convolve(power, np.ones(_BREATH) / _BREATH, "same")  # (levels,)
    levels = np.maximum(10.0 * np.log10((moments + _NOTHING) / loud), -_SILENT_DB)  # (levels,) in dB
    near = _NEAR_S * SAMPLE_RATE / _HOP + _NEAR_SHARE * len(power)
    letters = list(accumulate(len(text) for text in texts))
    borders = [0]
    for place, before in enumerate(letters[:-1]):
        expected = int(np.searchsorted(spoken, spoken[-1] * before / letters[-1]))
        earliest, latest = borders[-1] + least, len(power) - least * (len(texts) - 1 - place)
        first, last = np.clip([expected - 2.0 * near, expected + 2.0 * near], earliest, latest).astype(int)
        at = np.arange(first, last + 1)
        costs = levels[at] + _NEAR_DB * ((at - expected) / near) ** 2
        borders.append(int(at[costs.argmin()]))
    return [border * _HOP for border in borders[1:]]


def _power(samples: Samples) -> NDArray[np.float64]:
    """(samples,) -> (levels,), the mean square of each _HOP samples."""
    count = len(samples) // _HOP
    power: NDArray[np.float64] = np.square(samples[: count * _HOP], dtype=np.float64).reshape(count, _HOP).mean(axis=1)
    return power
