"""A long turn is told sentence by sentence: within one, people go from one thing to the next, and to another mood.

A recogniser writes full stops, but not when it heard them. The border is looked for where it should be by the letters
before it: at the quietest moment near there, since nobody pauses long between most sentences. A word may so be counted
to the wrong sentence's sound; the words themselves are right.
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

LEAST_WORDS: Final = 6  # in a turn of its own: an "Oh, wow." belongs to what is said with it, unless they pause between
PAUSE_S: Final = 0.3  # ... for as long as ends a turn where words are recognised while it goes on

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
    sentences = [] if words.text is None else finished_sentences(words.text)
    if len(sentences) < 2:
        return [(turn, words)]
    sound = _Sound(turn.samples)
    texts = groups(sentences, sound.pauses(sentences))
    borders = sound.borders(texts)
    if not borders:
        return [(turn, words)]
    turns = turn.divide([turn.start + border for border in borders])
    return [(part, replace(words, text=text)) for part, text in zip(turns, texts, strict=True)]


def finished_sentences(words: str) -> list[str]:
    """``words`` cut after finished sentences."""
    found: list[str] = []
    for sentence in re.split(r"(?<=[.?!…])\s+", words.strip()):
        if found and not is_finished(found[-1]):
            found[-1] += " " + sentence
        else:
            found.append(sentence)
    return found


def groups(sentences: Sequence[str], pauses: Sequence[bool]) -> list[str]:
    """``sentences``, those of fewer than LEAST_WORDS together with others, but not across a pause.

    ``pauses``: whether there is one after each but the last.
    """
    stretches: list[list[str]] = [[]]
    for sentence, paused in zip(sentences, [False, *pauses], strict=True):
        if paused:
            stretches.append([])
        if stretches[-1] and not _is_long(stretches[-1][-1]):
            stretches[-1][-1] += " " + sentence
        else:
            stretches[-1].append(sentence)
    for stretch in stretches:
        if len(stretch) > 1 and not _is_long(stretch[-1]):
            stretch[-2:] = [" ".join(stretch[-2:])]
    return [group for stretch in stretches for group in stretch]


def _is_long(sentence: str) -> bool:
    return len(words_of(sentence)) >= LEAST_WORDS


class _Sound:
    """How loud a turn is, and where in it its sentences must be by their letters."""

    def __init__(self, samples: Samples) -> None:
        power = _power(samples)  # (levels,)
        loud = (float(np.percentile(power, _LOUD)) if len(power) else 0.0) + _NOTHING
        self._is_spoken = power > loud * 10.0 ** (-_SPOKEN_DB / 10.0)  # (levels,)
        moments = np.convolve(power, np.ones(_BREATH) / _BREATH, "same")[: len(power)]  # (levels,)
        self._levels = np.maximum(10.0 * np.log10((moments + _NOTHING) / loud), -_SILENT_DB)  # (levels,) in dB
        self._near = _NEAR_S * SAMPLE_RATE / _HOP + _NEAR_SHARE * len(power)

    def pauses(self, texts: Sequence[str]) -> list[bool]:
        """Whether there is a pause near the end of each of ``texts`` but the last; one is at the end of one of them."""
        least = round(PAUSE_S * SAMPLE_RATE / _HOP)
        spoken = np.cumsum([0, *self._is_spoken])  # (levels + 1,)
        silent = np.flatnonzero(spoken[least:] == spoken[:-least])  # (silences,), each level before so long a silence
        ends = np.array(self._ends(texts))  # (texts - 1,)
        found = np.zeros(len(ends), dtype=bool)
        for pause in np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1):
            if len(pause):
                distances = np.abs(ends - (pause.mean() + least / 2))  # (texts - 1,)
                found[distances.argmin()] |= distances.min() <= self._near
        return [bool(each) for each in found]

    def borders(self, texts: Sequence[str]) -> list[int]:
        """Places in (samples,) at which ``texts`` but the first begin; none where there is no room for them."""
        least = round(SHORT_S * SAMPLE_RATE / _HOP)
        if len(self._levels) < least * len(texts):
            return []
        borders = [0]
        for place, expected in enumerate(self._ends(texts)):
            earliest, latest = borders[-1] + least, len(self._levels) - least * (len(texts) - 1 - place)
            far = 2.0 * self._near
            first, last = np.clip([expected - far, expected + far], earliest, latest).astype(int)
            at = np.arange(first, last + 1)
            costs = self._levels[at] + _NEAR_DB * ((at - expected) / self._near) ** 2
            borders.append(int(at[costs.argmin()]))
        return [border * _HOP for border in borders[1:]]

    def _ends(self, texts: Sequence[str]) -> list[int]:
        """Where each of ``texts`` but the last ends by the letters before, if all are spoken at one speed."""
        spoken = np.cumsum(self._is_spoken)  # (levels,)
        letters = list(accumulate(len(text) for text in texts))
        return [int(np.searchsorted(spoken, spoken[-1] * before / letters[-1])) for before in letters[:-1]]


def _power(samples: Samples) -> NDArray[np.float64]:
    """(samples,) -> (levels,), the mean square of each _HOP samples."""
    count = len(samples) // _HOP
    power: NDArray[np.float64] = np.square(samples[: count * _HOP], dtype=np.float64).reshape(count, _HOP).mean(axis=1)
    return power
