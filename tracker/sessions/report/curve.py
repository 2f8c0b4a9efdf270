"""The mood of the room over time: ``tracker.mood.Mood`` after every turn, corrections counted as certain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emotrack.tracker.sessions.report.view import View
from emotrack.tracker.summary.mood import Mood, believed

MAX_STEPS = 500  # more would be narrower than a pixel


@dataclass(frozen=True, slots=True)
class Step:
    """The mood from ``at_s`` until the next step; only turns change it, so between them it is level."""

    at_s: float
    shares: Mapping[str, float]

    @property
    def prevailing(self) -> str:
        return max(self.shares, key=self.shares.__getitem__)


def mood_curve(view: View) -> list[Step]:
    """At most ``MAX_STEPS`` steps: of the turns that end within one step's time, the last one counts."""
    mood = Mood()
    steps: list[Step] = []
    width_s = view.seconds / MAX_STEPS
    now = 0.0
    for turn in view.turns:
        mood.add(believed(turn), turn.start_s, turn.end_s)
        now = max(now, turn.end_s)
        shares = mood.probabilities
        if not shares:
            continue  # too little was heard
        if steps and int(steps[-1].at_s / width_s) == int(now / width_s) and len(view.turns) > MAX_STEPS:
            steps[-1] = Step(steps[-1].at_s, shares)
        else:
            steps.append(Step(now, shares))
    return steps


def at_times(steps: list[Step], times: list[float]) -> list[tuple[float, Step]]:
    """The step that holds at each of ascending ``times``; those before the first step have none."""
    found = []
    current = -1
    for time in times:
        while current + 1 < len(steps) and steps[current + 1].at_s <= time:
            current += 1
        if current >= 0:
            found.append((time, steps[current]))
    return found
