"""Work begun at a pause, before it is known whether the turn has ended.

A turn's samples are final once its trailing silence has been heard; only then comes the wait that tells whether speech
goes on. The models work in that wait: if the turn ends, the work is taken over as it is, and if speech goes on, it is
thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emotrack.tracker.events import SpeculationShare
from emotrack.tracker.interpreter import TurnWork
from emotrack.tracker.listener import SpeechTurn
from emotrack.tracker.recognisers import Transcript


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


class Speculation:
    """The work that is open: of each channel, that of its latest pause."""

    def __init__(self) -> None:
        self._kept = _Account()
        self._wasted = _Account()
        self._open: dict[int, tuple[SpeechTurn, list[TurnWork]]] = {}  # by channel: the pending turn, its parts

    def is_open(self, turn: SpeechTurn) -> bool:
        """Whether work on the pending ``turn`` is under way."""
        return turn.channel in self._open and self._open[turn.channel][0] is turn

    def begin(self, turn: SpeechTurn, works: Iterable[TurnWork]) -> None:
        """Hold the ``works`` on the parts of the pending ``turn``."""
        self._open[turn.channel] = (turn, list(works))

    def take(self, turn: SpeechTurn, words: Transcript | None) -> TurnWork | None:
        """The work on a turn that has ended, if it was begun with the same samples and the same words."""
        _, works = self._open.get(turn.channel, (None, []))
        for work in works:
            if (work.turn.start, work.turn.end, work.given_words) == (turn.start, turn.end, words):
                works.remove(work)
                self._kept.add(work)
                return work
        return None

    def throw_away(self, channel: int) -> None:
        """Speech went on, or the turn ended otherwise than was thought."""
        _, works = self._open.pop(channel, (None, []))
        for work in works:
            work.cancel()
            self._wasted.add(work)

    def share(self) -> SpeculationShare:
        """How much of it was of use so far."""
        kept, wasted = self._kept, self._wasted
        return SpeculationShare(kept=kept.turns, wasted=wasted.turns, kept_s=kept.seconds, wasted_s=wasted.seconds)
