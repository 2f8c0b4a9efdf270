"""Where a mood changes and stays changed.

The mood is that of ``tracker.mood.Mood``: after every turn one emotion prevails. A *shift* is a turn after which
another emotion prevails than the one before, and goes on prevailing without a break for at least ``STAYS_TURNS``
turns that span at least ``STAYS_S`` seconds, from the end of the first of them to the end of the last. What flickers
and returns is none, nor is a change that the session's end leaves unproven. The first emotion that stays is where
things start from; it is no shift either.

A turn of which nothing is believed proves nothing. The room's mood counts every other turn, a speaker's only that
speaker's own. Turns of unknown speakers may be those of several people, so only the room counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from emotrack.tracker.summary.mood import Mood

STAYS_TURNS = 3
STAYS_S = 20.0


@dataclass(frozen=True, slots=True)
class TurnMood:
    """What shifts need to know of a turn."""

    turn_id: int
    start_s: float
    end_s: float
    speaker: str | None
    believed: Mapping[str, float]
    """The probabilities that count; empty where it is a guess."""


@dataclass(frozen=True, slots=True)
class MoodShift:
    """The turn at which a mood changed for good."""

    turn_id: int
    at_s: float
    """Where that turn ends: only then is it known."""
    speaker: str | None
    """Whose mood; None is the room."""
    before: str
    after: str


def find_shifts(turns: Iterable[TurnMood]) -> list[MoodShift]:
    """The shifts of the room and of every known speaker, in the order in which they happened."""
    room = ShiftWatch(None)
    speakers: dict[str, ShiftWatch] = {}
    found = []
    for turn in turns:
        found += room.add(turn)
        if turn.speaker is not None:
            found += speakers.setdefault(turn.speaker, ShiftWatch(turn.speaker)).add(turn)
    return sorted(found, key=lambda shift: (shift.at_s, shift.turn_id, shift.speaker is not None))


@dataclass(slots=True)
class ShiftWatch:
    """Follows one mood, the room's or a speaker's, and says when it has shifted."""

    speaker: str | None
    mood: Mood = field(default_factory=Mood)
    settled: str | None = None
    """The emotion that last stayed."""
    rival: str | None = None
    """The emotion that prevails now, while it is not the settled one."""
    since: TurnMood | None = None
    turns: int = 0
    """For how many turns it has prevailed."""

    def add(self, turn: TurnMood) -> list[MoodShift]:
        """Count a turn; the shift that it proves, if it does."""
        self.mood.add(turn.believed, turn.start_s, turn.end_s)
        if not turn.believed:
            return []
        label = self.mood.label
        if label is None or label == self.settled:
            self.rival = None
            return []
        if label != self.rival or self.since is None:
            self.rival, self.since, self.turns = label, turn, 0
        self.turns += 1
        if self.turns < STAYS_TURNS or turn.end_s - self.since.end_s < STAYS_S:
            return []
        before, self.settled, self.rival = self.settled, label, None
        if before is None:
            return []
        return [MoodShift(self.since.turn_id, self.since.end_s, self.speaker, before, label)]
