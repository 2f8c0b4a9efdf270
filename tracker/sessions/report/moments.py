"""What happened beside the turns: shifts of mood, marked moments, lost audio. Each leads to a turn."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace

from emotrack.tracker.events import SourceLostEvent
from emotrack.tracker.messages.wording import clock
from emotrack.tracker.sessions.report.view import View
from emotrack.tracker.sessions.report.wording import without_folders
from emotrack.tracker.summary.shifts import MoodShift

MAX_MOMENTS = 2_000  # a person reads no more, and each is drawn three times

# The kinds, with the signs that stand for them.
SIGNS = {"shift": "◆", "turned": "◇", "mark": "★", "lost": "\N{MULTIPLICATION SIGN}", "back": "+"}


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment of the conversation."""

    kind: str
    at_s: float
    text: str
    turn_id: int | None
    """The turn it leads to; None when there is none on the page."""

    @property
    def sign(self) -> str:
        return SIGNS[self.kind]

    @property
    def at(self) -> str:
        return clock(self.at_s)


def moments(view: View) -> list[Moment]:
    """The first ``MAX_MOMENTS`` of them, in the order of the stream clock."""
    nearest = _Nearest(view)
    found = [Moment("shift" if s.speaker is None else "turned", s.at_s, _said(view, s), s.turn_id) for s in view.shifts]
    marks = [mark.at_s for mark in view.session.marks if math.isfinite(mark.at_s)]
    found += [Moment("mark", at_s, "A person marked this moment", nearest(at_s)) for at_s in marks]
    for loss in view.session.losses:
        if not math.isfinite(loss.at_s):
            continue
        if isinstance(loss, SourceLostEvent):
            text = f"The audio broke off: {without_folders(loss.reason)}"
            found.append(Moment("lost", loss.at_s, text, nearest(loss.at_s)))
        else:
            text = f"The audio came back; {loss.seconds_lost:.1f} s were lost"
            found.append(Moment("back", loss.at_s, text, nearest(loss.at_s)))
    first = sorted(found, key=lambda moment: moment.at_s)[:MAX_MOMENTS]
    return [each if view.draws(each.turn_id or 0) else replace(each, turn_id=None) for each in first]


def _said(view: View, shift: MoodShift) -> str:
    who = "The mood of the room" if shift.speaker is None else view.name(shift.speaker)
    return f"{who} turned from {view.label(shift.before).name} to {view.label(shift.after).name}"


class _Nearest:
    """Finds the turn in which a moment lies, or else the last one that began before it."""

    def __init__(self, view: View) -> None:
        self._begins = sorted((turn.start_s, turn.id) for turn in view.turns)

    def __call__(self, at_s: float) -> int | None:
        if not self._begins:
            return None
        place = bisect_right(self._begins, (at_s, math.inf)) - 1
        return self._begins[max(0, place)][1]
