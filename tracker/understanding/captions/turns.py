"""Which captions belong to which turn."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.captions.reading import Cue

_MIN_OVERLAP = 0.3  # of the shorter of cue and turn: what counts as said in that turn
_MIN_PART = round(0.2 * SAMPLE_RATE)  # the shortest part of a divided turn, in samples
_FEW = 0.9  # of the captions: if fewer than these fit a turn, that is said


@dataclass(frozen=True, slots=True)
class CaptionedTurn:
    """A turn, or the part of one that one speaker's captions cover."""

    turn: SpeechTurn
    text: str | None
    speaker: str | None


class Captions:
    """Gives finished turns their words and speakers; a turn in which speakers change is divided between them."""

    def __init__(self, cues: list[Cue]) -> None:
        self._cues = cues
        self._starts = [cue.start_s for cue in cues]
        self._longest = max((cue.end_s - cue.start_s for cue in cues), default=0.0)
        self._used: set[int] = set()  # cues whose words a turn has taken; bounded by the file

    def caption(self, turn: SpeechTurn) -> list[CaptionedTurn]:
        """``turn`` with its words, in one part per stretch of one speaker. No later turn gets these words again."""
        parts, used = self._divide(turn)
        self._used |= used
        return parts

    def preview(self, turn: SpeechTurn) -> list[CaptionedTurn]:
        """What ``caption`` would make of ``turn`` if it ended now."""
        return self._divide(turn)[0]

    def misfit(self, until_s: float, *, all_heard: bool) -> str | None:
        """One line if many captions found no turn in a stream of ``until_s`` seconds; None if few or none did.

        Unless ``all_heard``, captions from after the end of the stream do not count.
        """
        due = len(self._cues) if all_heard else bisect_left(self._starts, until_s)
        fit = sum(i < due for i in self._used)
        if fit >= _FEW * due:
            return None
        spans = (
            f"the captions run from {self._starts[0]:.1f} to {self._cues[-1].end_s:.1f} s, the audio to {until_s:.1f} s"
        )
        return f"{fit:,} of {due:,} captions fit a turn, and only their words are used; {spans}"

    def _divide(self, turn: SpeechTurn) -> tuple[list[CaptionedTurn], set[int]]:
        """The parts, and the cues whose words are in them."""
        first = bisect_left(self._starts, turn.start_s - self._longest)
        last = bisect_left(self._starts, turn.end_s)
        said = [i for i in range(first, last) if self._belongs(self._cues[i], turn)]
        groups: list[list[int]] = []
        for i in said:
            if groups and self._cues[groups[-1][-1]].speaker == self._cues[i].speaker:
                groups[-1].append(i)
            else:
                groups.append([i])
        if not groups:
            return [CaptionedTurn(turn, None, None)], set()
        if len(groups) * _MIN_PART > turn.end - turn.start:  # too short to divide: the longest cue has it
            longest = max(said, key=lambda i: self._cues[i].end_s - self._cues[i].start_s)
            return [CaptionedTurn(turn, self._fresh(said), self._cues[longest].speaker)], set(said)
        parts = turn.divide(self._borders(turn, groups))
        return [
            CaptionedTurn(part, self._fresh(group), self._cues[group[0]].speaker)
            for part, group in zip(parts, groups, strict=True)
        ], set(said)

    def _borders(self, turn: SpeechTurn, groups: list[list[int]]) -> list[int]:
        """Between every two groups the middle of the pause; cues may overlap, the parts may not."""
        borders: list[int] = []
        for before, after in pairwise(groups):
            pause_s = (self._cues[before[-1]].end_s + self._cues[after[0]].start_s) / 2
            earliest = (borders[-1] if borders else turn.start) + _MIN_PART
            latest = turn.end - _MIN_PART * (len(groups) - 1 - len(borders))
            borders.append(min(max(round(pause_s * SAMPLE_RATE), earliest), latest))
        return borders

    def _belongs(self, cue: Cue, turn: SpeechTurn) -> bool:
        overlap = min(cue.end_s, turn.end_s) - max(cue.start_s, turn.start_s)
        return overlap >= _MIN_OVERLAP * min(cue.end_s - cue.start_s, turn.end_s - turn.start_s)

    def _fresh(self, group: list[int]) -> str | None:
        """The words of ``group`` that no earlier turn has taken."""
        return " ".join(self._cues[i].text for i in group if i not in self._used) or None
