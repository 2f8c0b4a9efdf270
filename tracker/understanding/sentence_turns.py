"""A long turn is told sentence by sentence: within one, people go from one thing to the next, and to another mood.

A recogniser writes full stops, but not when it heard them. The border is looked for where it should be by the letters
before it: in a pause near there, else at the quietest moment, since nobody pauses long between most sentences. A word
may so be counted to the wrong sentence's sound; the words themselves are right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.doubt import SHORT_S
from emotrack.tracker.understanding.recognisers import Transcript
from emotrack.tracker.understanding.sentences import is_finished, words_of

LEAST_WORDS: Final = 6  # in a turn of its own: an "Oh, wow." belongs to what is said with it, unless they pause between
PAUSE_S: Final = 0.4  # ... so long: as live, where .3 s end a turn of known words, and the detector takes its time

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
    if len(sentences) < 2 or len(turn.samples) < 2 * SHORT_S * SAMPLE_RATE:
        return [(turn, words)]
    sound = _Sound(turn.samples)
    told = groups(sentences, sound.pauses(sentences))
    borders = sound.borders(told)
    if not borders:
        return [(turn, words)]
    turns = turn.divide([turn.start + border for border in borders])
    return [(part, replace(words, text=group.text)) for part, group in zip(turns, told, strict=True)]


@dataclass(frozen=True, slots=True)
class SentenceGroup:
    """Sentences that are told as one turn."""

    text: str
    pause: int | None
    """The level in the middle of the pause after it; None where none is known."""


def finished_sentences(words: str) -> list[str]:
    """``words`` cut after finished sentences."""
    found: list[str] = []
    for sentence in re.split(r"(?<=[.?!…])\s+", words.strip()):
        if found and not is_finished(found[-1]):
            found[-1] += " " + sentence
        else:
            found.append(sentence)
    return found


def groups(sentences: Sequence[str], pauses: Sequence[int | None]) -> list[SentenceGroup]:
    """``sentences``, those of fewer than LEAST_WORDS together with others, but not across a pause.

    ``pauses``: the level in the middle of the pause after each but the last, None where there is none.
    """
    stretches: list[list[str]] = [[]]
    for sentence, pause in zip(sentences, [None, *pauses], strict=True):
        if pause is not None:
            stretches.append([])
        if stretches[-1] and not _is_long(stretches[-1][-1]):
            stretches[-1][-1] += " " + sentence
        else:
            stretches[-1].append(sentence)
    ends = [*(pause for pause in pauses if pause is not None), None]
    found: list[SentenceGroup] = []
    for stretch, end in zip(stretches, ends, strict=True):
        if len(stretch) > 1 and not _is_long(stretch[-1]):
            stretch[-2:] = [" ".join(stretch[-2:])]
        found += [*(SentenceGroup(text, None) for text in stretch[:-1]), SentenceGroup(stretch[-1], end)]
    return found


def _is_long(sentence: str) -> bool:
    return len(words_of(sentence)) >= LEAST_WORDS


class _Sound:
    """How loud a turn is, and where in it its sentences must be by their letters."""

    def __init__(self, samples: Samples) -> None:
        power = _power(samples)  # (levels,)
        loud = float(np.percentile(power, _LOUD)) + _NOTHING
        self._is_spoken = power > loud * 10.0 ** (-_SPOKEN_DB / 10.0)  # (levels,)
        moments = np.convolve(power, np.ones(_BREATH) / _BREATH, "same")  # (levels,)
        self._levels = np.maximum(10.0 * np.log10((moments + _NOTHING) / loud), -_SILENT_DB)  # (levels,) in dB
        self._near = _NEAR_S * SAMPLE_RATE / _HOP + _NEAR_SHARE * len(power)
        self._least = round(SHORT_S * SAMPLE_RATE / _HOP)

    def pauses(self, texts: Sequence[str]) -> list[int | None]:
        """The level in the middle of the pause after each of ``texts`` but the last; None where there is none near.

        Each is the end of one of them, in their order, and leaves room for a turn on either side.
        """
        ends, silences = self._ends(texts), self._silences()

        @cache
        def matched(end: int, silence: int) -> tuple[float, tuple[int | None, ...]]:
            """From there on: how far they are from each other in all, and which silence is at each end."""
            if end == len(ends) or silence == len(silences):
                return self._near * (len(silences) - silence), (None,) * (len(ends) - end)
            without_end, without_silence = matched(end + 1, silence), matched(end, silence + 1)
            both, distance = matched(end + 1, silence + 1), abs(ends[end] - silences[silence])
            return min(
                (distance + both[0], (silences[silence], *both[1])),
                (without_end[0], (None, *without_end[1])),
                (self._near + without_silence[0], without_silence[1]),
                key=itemgetter(0),
            )

        return list(matched(0, 0)[1])

    def borders(self, told: Sequence[SentenceGroup]) -> list[int]:
        """Places in (samples,) at which ``told`` but the first begin; none where there is no room for them."""
        if len(self._levels) < self._least * len(told):
            return []
        borders = [0]
        for place, expected in enumerate(self._ends([group.text for group in told])):
            if (pause := told[place].pause) is not None:
                borders.append(pause)
                continue
            room = next(
                (each.pause - self._least * after for after, each in enumerate(told[place:]) if each.pause is not None),
                len(self._levels) - self._least * (len(told) - 1 - place),
            )
            earliest, latest = borders[-1] + self._least, room
            if earliest > latest:
                return []
            far = 2.0 * self._near
            first, last = np.clip([expected - far, expected + far], earliest, latest).astype(int)
            at = np.arange(first, last + 1)
            costs = self._levels[at] + _NEAR_DB * ((at - expected) / self._near) ** 2
            borders.append(int(at[costs.argmin()]))
        return [border * _HOP for border in borders[1:]]

    def _silences(self) -> list[int]:
        """The level in the middle of each silence of PAUSE_S between words, with room for a turn on either side."""
        edges = np.flatnonzero(np.diff(self._is_spoken, prepend=True, append=True))  # where silence begins, and ends
        found = [0]
        for begin, end in edges.reshape(-1, 2).tolist():
            middle = (begin + end) // 2
            is_long = end - begin >= PAUSE_S * SAMPLE_RATE / _HOP and begin > 0 and end < len(self._levels)
            if is_long and middle - found[-1] >= self._least and len(self._levels) - middle >= self._least:
                found.append(middle)
        return found[1:]

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
