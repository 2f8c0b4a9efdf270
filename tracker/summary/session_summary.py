"""What a session adds up to, in bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from emotrack.tracker.events import Percentiles, Turn
from emotrack.tracker.summary.mood import Mood, believed
from emotrack.tracker.summary.percentile import percentile

_MAX_SPEAKERS = 64  # further names are not counted apart
_LATENCIES_KEPT = 10_000  # the latest turns; percentiles are of these


class Tally:
    """Counts turns as they leave."""

    def __init__(self) -> None:
        self.emotions: Counter[str] = Counter()
        self.speakers: Counter[str] = Counter()
        self.mood = Mood()
        self._after_end: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._end_of_turn: deque[float] = deque(maxlen=_LATENCIES_KEPT)

    @property
    def turns(self) -> int:
        return self.emotions.total()

    @property
    def after_end(self) -> Percentiles:
        return _percentiles(self._after_end)

    @property
    def end_of_turn(self) -> Percentiles:
        return _percentiles(self._end_of_turn)

    def add(self, turn: Turn) -> None:
        self.emotions[turn.emotion] += 1
        self._count_speaker(turn.speaker)
        self.mood.add(believed(turn), turn.start_s, turn.end_s)
        self._after_end.append(turn.latency_ms.after_end)
        self._end_of_turn.append(turn.latency_ms.end_of_turn)

    def revise(self, before: Turn, after: Turn) -> None:
        """Count a turn as what it was revised to."""
        self.emotions += Counter([after.emotion])
        self.emotions -= Counter([before.emotion])  # which leaves no zeros
        self.mood.revise(believed(before), believed(after), after.start_s, after.end_s)
        if before.speaker != after.speaker:
            if before.speaker is not None:
                self.speakers -= Counter([before.speaker])
            self._count_speaker(after.speaker)

    def rename(self, speaker: str, name: str) -> None:
        """Count the turns of a speaker as those of another name."""
        if speaker != name and (turns := self.speakers.pop(speaker, 0)):
            self.speakers[name] += turns

    def _count_speaker(self, speaker: str | None) -> None:
        if speaker is not None and (speaker in self.speakers or len(self.speakers) < _MAX_SPEAKERS):
            self.speakers[speaker] += 1


def _percentiles(milliseconds: Iterable[float]) -> Percentiles:
    values = tuple(milliseconds)
    return Percentiles(p50=percentile(values, 50), p95=percentile(values, 95), max=max(values, default=None))
