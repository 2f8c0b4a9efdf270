"""The page itself: the parts put into the template, with a policy that lets it fetch nothing.

Drawings are made here and now as inline SVG instead of by a plotting library in the browser: the report of an hour
stays below a megabyte where such a library alone brings one to five, every bar is a link that the keyboard and a
screen reader know, colours follow the reader's light or dark page, and no script is needed to read any of it.
"""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from emotrack.tracker.messages.plain import plain_document
from emotrack.tracker.messages.wording import clock, counted
from emotrack.tracker.sessions.documents import write_document
from emotrack.tracker.sessions.reading.garbage import without_collecting
from emotrack.tracker.sessions.reading.reader import Session
from emotrack.tracker.sessions.report import figures
from emotrack.tracker.sessions.report.colours import DARK_LANE, LIGHT_LANE
from emotrack.tracker.sessions.report.curve import Step, at_times, mood_curve
from emotrack.tracker.sessions.report.moments import MAX_MOMENTS, SIGNS, moments
from emotrack.tracker.sessions.report.plots import mood_areas, mood_letters, roll
from emotrack.tracker.sessions.report.timeline import STRETCH_S, STRETCHES_IN_ROW, rows, share, ticks
from emotrack.tracker.sessions.report.transcript import chapters
from emotrack.tracker.sessions.report.view import View
from emotrack.tracker.sessions.report.wording import moment, percent, without_folders

_ROLL_ROWS = 12  # further emotions share the last row of a roll
_COLUMNS = 200  # links over the rolls; each leads to what was said then
_TICKS = 7  # about so many times on the axis of a whole conversation
_SAMPLES = 12  # lines of the mood as a table


def write_report(session: Session, path: Path) -> None:
    """Write the report of ``session`` as one HTML file. Raises ``EmotrackError`` where that cannot be."""
    page = render_report(session)
    write_document(page, path)


def render_report(session: Session) -> str:
    """The report of ``session``; the same session always gives the same page."""
    with without_collecting():
        return _render(session)


def _render(session: Session) -> str:
    view = View(session)
    happened = moments(view)
    script = _asset("script.js")
    template = _environment().get_template("page.html.jinja")
    pieces = template.stream(
        view=view,
        style=Markup(_asset("look.css") + _asset("style.css")),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704 - our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        light_lane=LIGHT_LANE,
        dark_lane=DARK_LANE,
        source=figures.source_name(view),
        began=_began(session),
        site=plain_document(_site(session)),
        told=session.started is not None and session.started.notice_given,
        headline=figures.headline(view),
        problems=[without_folders(problem) for problem in session.problems],
        max_moments=MAX_MOMENTS,
        wordless=bool(view.turns) and all(turn.turn.text is None for turn in view.turns),
        explained=any(turn.turn.why for turn in view.turns),
        moments=happened,
        signs=SIGNS,
        glance=_glance(view),
        rows=rows(view, happened),
        mood=_mood(view, mood_curve(view)),
        chapters=chapters(view, happened),
        speakers=figures.speakers(view),
        uncertain=sum(turn.uncertain for turn in view.turns),
        least_certain=figures.least_certain(view),
        doubts=figures.doubts(view),
        delays=figures.delays(view),
        losses=figures.losses(view),
        facts=figures.tracker_facts(view),
    )
    pieces.enable_buffering(1_000)  # of a million; each takes more memory than its letters
    return "".join(pieces)


def _began(session: Session) -> str:
    if session.started is not None:
        return moment(session.started.time)
    if session.turns:
        return f"not later than {moment(session.turns[0].time)}"
    return "unknown"


def _site(session: Session) -> str:
    events = (session.started, session.ended, *session.turns[:1], *session.marks[:1], *session.losses[:1])
    return next((event.site for event in events if event is not None), "unknown")


def _glance(view: View) -> dict[str, Any] | None:
    """The whole conversation in one picture, where the timeline has more than one row."""
    if view.seconds <= STRETCHES_IN_ROW * STRETCH_S or not view.turns:
        return None
    labels = view.used[:_ROLL_ROWS]
    first_in: dict[int, int] = {}
    for turn in view.drawn:
        first_in.setdefault(min(_COLUMNS - 1, int(_COLUMNS * turn.start_s / view.seconds)), turn.id)
    return {
        "labels": labels,
        "ticks": ticks(0.0, view.seconds, _TICKS),
        "rolls": [(name, roll(view, lane, labels)) for lane, name in enumerate(view.lane_names)],
        "columns": [
            (turn_id, share(column, _COLUMNS), clock(view.seconds * column / _COLUMNS))
            for column, turn_id in sorted(first_in.items())
        ],
    }


def _mood(view: View, steps: list[Step]) -> dict[str, Any] | None:
    if not steps:
        return None
    count = min(_SAMPLES, max(1, math.floor(view.seconds / 5)))
    times = [view.seconds * (n + 1) / count for n in range(count)]
    return {
        "areas": mood_areas(view, steps),
        "letters": mood_letters(view, steps),
        "ticks": ticks(0.0, view.seconds, _TICKS),
        "samples": [
            (clock(at_s), view.label(step.prevailing), percent(step.shares[step.prevailing]))
            for at_s, step in at_times(steps, times)
        ],
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counted": counted, "percent": percent, "clock": clock, "share": share}
    return environment


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
