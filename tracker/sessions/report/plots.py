"""The drawings: inline SVG that svg.py writes, in colours that the page's style sheet sets.

A drawing is stretched to the width of the page, so it holds shapes only; what must stay readable at any width, the
letters and times, stands on top of it as text of the page.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import svg
from markupsafe import Markup

from emotrack.tracker.sessions.report.curve import Step
from emotrack.tracker.sessions.report.timeline import share
from emotrack.tracker.sessions.report.view import LabelStyle, View

WIDTH = 1000.0
_HEIGHT = 100.0
_CELLS = 2000  # a roll's time is cut into so many cells: finer than a page shows, and no more however long the session
_ROW = 10.0
_LEAST_NAMED = 0.16  # an area narrower than this share has no room for its letter


@dataclass(frozen=True, slots=True)
class Letter:
    """An emotion's letter on its area of the mood curve."""

    label: LabelStyle
    left: str
    top: str


def mood_areas(view: View, steps: list[Step]) -> Markup:
    """The shares of the emotions, stacked in the order of the labels; level between turns, as the mood is."""
    labels = [label for label in view.labels if any(step.shares.get(label.key, 0.0) for step in steps)]
    floor = [0.0] * len(steps)
    areas: list[svg.Element] = []
    for label in labels:
        top = [low + step.shares.get(label.key, 0.0) for low, step in zip(floor, steps, strict=True)]
        areas.append(svg.Path(d=_between(view.seconds, steps, floor, top), class_=["area", label.css]))
        floor = top
    return _drawing(_HEIGHT, areas)


def mood_letters(view: View, steps: list[Step]) -> list[Letter]:
    """Where to write which emotion an area is: at its widest place in each quarter of the time."""
    found: dict[tuple[str, int], tuple[float, float, float]] = {}
    ends = [*(step.at_s for step in steps[1:]), view.seconds]
    for step, end_s in zip(steps, ends, strict=True):
        middle = (step.at_s + end_s) / 2
        quarter = min(3, int(4 * middle / view.seconds))
        low = 0.0
        for label in view.labels:
            height = step.shares.get(label.key, 0.0)
            weight = height * min(1.0, 40 * (end_s - step.at_s) / view.seconds)
            if height >= _LEAST_NAMED and weight > found.get((label.css, quarter), (0.0, 0.0, 0.0))[0]:
                found[label.css, quarter] = weight, middle, low + height / 2
            low += height
    by_css = {label.css: label for label in view.labels}
    return [
        Letter(by_css[css], share(at_s, view.seconds), share(1.0 - height, 1.0))
        for (css, _), (_, at_s, height) in sorted(found.items())
    ]


def roll(view: View, lane: int, rows: list[LabelStyle]) -> Markup:
    """One speaker's whole conversation as on a piano roll: every emotion has a row, so a place as well as a colour."""
    row_of = {label.css: number for number, label in enumerate(rows)}
    cells: dict[tuple[int, str], dict[int, int]] = defaultdict(dict)
    for turn in view.turns:
        if view.lane(turn) == lane:
            row = row_of.get(turn.label.css, len(rows) - 1)
            first = int(_CELLS * turn.start_s / view.seconds)
            last = max(first, math.ceil(_CELLS * turn.end_s / view.seconds) - 1)
            for cell in range(first, last + 1):
                seen = cells[row, turn.label.css]
                seen[cell] = max(seen.get(cell, 0), turn.strength)
    shapes: dict[tuple[str, int], list[svg.PathData]] = defaultdict(list)
    for (row, css), strengths in cells.items():
        for first, last, strength in _runs(strengths):
            x, width = WIDTH * first / _CELLS, WIDTH * (last + 1 - first) / _CELLS
            shapes[css, strength] += [svg.M(x, row * _ROW + 1), svg.h(width), svg.v(_ROW - 2), svg.h(-width), svg.Z()]
    lines: list[svg.PathData] = [part for row in range(1, len(rows)) for part in (svg.M(0, row * _ROW), svg.h(WIDTH))]
    drawn: list[svg.Element] = [svg.Path(d=lines, class_=["rule"])] if lines else []
    drawn += [svg.Path(d=d, class_=["fill", css, f"o{strength}"]) for (css, strength), d in shapes.items()]
    return _drawing(_ROW * len(rows), drawn)


def _runs(strengths: dict[int, int]) -> list[tuple[int, int, int]]:
    """Neighbouring cells of one strength, as (first, last, strength)."""
    runs: list[tuple[int, int, int]] = []
    for cell in sorted(strengths):
        if runs and runs[-1][1] == cell - 1 and runs[-1][2] == strengths[cell]:
            runs[-1] = (runs[-1][0], cell, strengths[cell])
        else:
            runs.append((cell, cell, strengths[cell]))
    return runs


def _between(seconds: float, steps: list[Step], low: list[float], high: list[float]) -> list[svg.PathData]:
    x = [round(WIDTH * step.at_s / seconds, 1) for step in steps]
    ends = [*x[1:], WIDTH]
    there: list[svg.PathData] = [svg.M(x[0], _y(low[0]))]
    back: list[svg.PathData] = []
    for left, right, top, bottom in zip(x, ends, high, low, strict=True):
        there += [svg.L(left, _y(top)), svg.H(right)]
        back += [svg.H(left), svg.L(right, _y(bottom))]
    return [*there, *reversed(back), svg.Z()]


def _y(share_below: float) -> float:
    return round(_HEIGHT * (1.0 - min(1.0, share_below)), 1)


def _drawing(height: float, elements: list[svg.Element]) -> Markup:
    """Hidden from screen readers: the page says in words what it shows."""
    drawn = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, WIDTH, height),
        preserveAspectRatio=svg.PreserveAspectRatio("none"),
        elements=elements,
        extra={"aria-hidden": "true", "focusable": "false"},
    )
    return Markup(drawn.as_str())  # noqa: S704 - shapes and our own class names: svg.py escapes nothing
