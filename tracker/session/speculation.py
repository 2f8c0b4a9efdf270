"""Work begun at a pause, before it is known whether the turn has ended.

A turn's samples are final once its trailing silence has been heard; only then comes the wait that tells whether speech
goes on. The models work in that wait: if the turn ends, the work is taken over as it is, and if speech goes on, it is
thrown away. A recogniser cannot be interrupted, though: where other programs slow it down, a recognition begun in vain
is still under way when the turn really ends. So work is begun only where it is expected to save more than it delays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from emotrack.tracker.events import SpeculationShare
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.understanding.interpreter import TurnWork
from emotrack.tracker.understanding.recognisers import Transcript

_TRUST: Final = 1  # pauses of either kind that are reckoned with before any was heard


@dataclass(slots=True)
class _Account:
    turns: int = 0
    seconds: float = 0.0

    def add(self, work: TurnWork) -> None:
        """Count ``work``, its seconds once it is over."""
        self.turns += 1
        work.when_over(lambda: self._add_seconds(work.seconds))

    def _add_seconds(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass(slots=True)
class _Pause:
    turn: SpeechTurn
    """The turn that is over if the pause goes on."""
    works: list[TurnWork]
    """On its parts; none where that would not have paid."""
    was_its_end: bool = False


class Speculation:
    """The work that is open: of each channel, that of its latest pause."""

    def __init__(self, segmenter: SegmenterOptions) -> None:
        self._silence_s = segmenter.end_silence_s
        self._wait_s = segmenter.end_silence_s - segmenter.pause_s
        self._kept = _Account()
        self._wasted = _Account()
        self._ends = _TRUST
        self._other_pauses = _TRUST
        self._open: dict[int, _Pause] = {}  # by channel

    def is_open(self, turn: SpeechTurn) -> bool:
        """Whether it has been decided for the pending ``turn`` what is begun."""
        return turn.channel in self._open and self._open[turn.channel].turn is turn

    def pays(self, work_s: float) -> bool:
        """Whether work of ``work_s`` seconds at a pause is expected to save more time than it costs.

        If the turn has ended, the wait for its end hides the work. If speech goes on, the turn ends after another
        silence at the soonest, and what is left of the work delays it. How often which happens, the pauses so far tell.
        """
        saved_s, delayed_s = min(work_s, self._wait_s), max(work_s - self._silence_s, 0.0)
        return self._ends * saved_s >= self._other_pauses * delayed_s

    def begin(self, turn: SpeechTurn, works: Iterable[TurnWork]) -> None:
        """Hold the ``works`` on the parts of the pending ``turn``; none where it does not pay."""
        self._open[turn.channel] = _Pause(turn, list(works))

    def take(self, turn: SpeechTurn, words: Transcript | None) -> TurnWork | None:
        """The work on a turn that has ended, if it was begun with the same samples and the same words."""
        pause = self._open.get(turn.channel)
        if pause is None:
            return None
        if pause.turn.end == turn.end and not pause.was_its_end:
            pause.was_its_end = True
            self._ends += 1
        for work in pause.works:
            if (work.turn.start, work.turn.end, work.given_words) == (turn.start, turn.end, words):
                pause.works.remove(work)
                self._kept.add(work)
                return work
        return None

    def throw_away(self, channel: int) -> None:
        """Speech went on, or the turn ended otherwise than was thought."""
        pause = self._open.pop(channel, None)
        if pause is None:
            return
        self._other_pauses += not pause.was_its_end
        for work in pause.works:
            work.cancel()
            self._wasted.add(work)

    def share(self) -> SpeculationShare:
        """How much of it was of use so far."""
        kept, wasted = self._kept, self._wasted
        return SpeculationShare(kept=kept.turns, wasted=wasted.turns, kept_s=kept.seconds, wasted_s=wasted.seconds)
