"""Bars in groups, with their spread: a figure of a paper."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

import svg

from emotrack.models.files import write_files

BAR, BETWEEN_GROUPS, LEAST_GROUP = 46, 34, 120  # widths
LEFT, RIGHT, TOP, HEIGHT = 70, 20, 70, 260  # of the axes: what is around them, and how high they are
LEGEND_ROW = 18
FONT = 12
LINE = FONT + 3
LETTER = 8.5  # width of a bold one
MOST_TICKS = 8
COLOURS = ("#8a8f98", "#1f5f8b", "#b3541e", "#4f7f3a", "#7a4a8c", "#b08a1e", "#2f8f8a", "#8c3a4a")


def draw_bars(title: str, axis: str, groups: Mapping[str, Mapping[str, Sequence[float]]], out: Path) -> None:
    """Draw the means of values, 0 or more, as bars from zero, with their spread and every value, into an SVG file.

    Args:
        title: of the figure.
        axis: the name of the values.
        groups: for each group, in order, the values behind each bar. A bar has the same colour and place in all groups,
            and one without values is left out.
        out: the file.
    """
    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
    slot = max(LEAST_GROUP, BAR * len(names) + BETWEEN_GROUPS)
    widest = round(LETTER * max(len(title), *(len(name) for name in names)))
    width = LEFT + max(slot * len(groups), widest) + RIGHT
    top = TOP + LEGEND_ROW * len(names)
    highest = max((value for bars in groups.values() for values in bars.values() for value in values), default=0.0)
    step, ticks = _ticks(highest)
    scale = HEIGHT / (step * ticks)  # pixels per unit
    floor = top + HEIGHT
    parts: list[svg.Element] = [
        svg.Text(x=LEFT, y=30, text=title, font_weight="bold", font_size=FONT + 2),
        svg.Text(x=LEFT, y=top - 14, text=axis, fill="#555555"),
    ]
    for place, name in enumerate(names):
        y = 40 + LEGEND_ROW * place
        parts += [
            svg.Rect(x=LEFT, y=y, width=12, height=12, fill=colours[name]),
            svg.Text(x=LEFT + 18, y=y + 10, text=name),
        ]
    for tick in range(ticks + 1):
        height = round(floor - tick * step * scale, 1)
        parts += [
            svg.Line(x1=LEFT, x2=width - RIGHT, y1=height, y2=height, stroke="#888888" if tick == 0 else "#e4e4e4"),
            svg.Text(x=LEFT - 8, y=height + 4, text=f"{tick * step:g}", text_anchor="end", fill="#555555"),
        ]
    labels = {group: _lines(group, slot) for group in groups}
    for place, (group, bars) in enumerate(groups.items()):
        centre = LEFT + slot * place + slot / 2
        parts += [
            svg.Text(x=centre, y=floor + 20 + LINE * number, text=line, text_anchor="middle")
            for number, line in enumerate(labels[group])
        ]
        first = centre - BAR * len(names) / 2
        for number, name in enumerate(names):
            if values := bars.get(name):
                parts += _bar(values, first + BAR * number, floor, scale, colours[name])
    bottom = floor + 20 + LINE * max(len(lines) for lines in labels.values())
    drawing = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, width, bottom),
        style=f"font: {FONT}px sans-serif",
        elements=[svg.Rect(width=width, height=bottom, fill="white"), *parts],
    )
    write_files({out: drawing.as_str()})


def _bar(values: Sequence[float], left: float, floor: float, scale: float, colour: str) -> list[svg.Element]:
    """The mean as a bar, its sample standard deviation as a whisker, a dot for each value, the mean in figures."""
    middle, centre, spread = mean(values), left + BAR / 2, stdev(values) if len(values) > 1 else 0.0
    top, low, high = (round(floor - max(0.0, value) * scale, 1) for value in (middle, middle - spread, middle + spread))
    above = min(top, high, *(floor - value * scale for value in values))
    parts: list[svg.Element] = [
        svg.Rect(x=left + 3, y=top, width=BAR - 6, height=round(floor - top, 1), fill=colour),
        svg.Text(x=centre, y=round(above - 8, 1), text=f"{middle:.1f}", text_anchor="middle"),
    ]
    if spread:
        parts += [
            svg.Line(x1=centre, x2=centre, y1=low, y2=high, stroke="black"),
            *(svg.Line(x1=centre - 5, x2=centre + 5, y1=y, y2=y, stroke="black") for y in (low, high)),
        ]
    dots = [round(floor - value * scale, 1) for value in values]
    parts += [svg.Circle(cx=centre + 12, cy=y, r=2.5, fill="white", stroke="black") for y in dots]
    return parts


def _lines(group: str, width: float) -> list[str]:
    """A group's name in lines that fit below it, each part of it in a line of its own."""
    return [line for part in group.split(", ") for line in textwrap.wrap(part, int(width / 7))]


def _ticks(highest: float) -> tuple[float, int]:
    """How far ticks are apart, a round number, and how many of them reach the highest value."""
    rounds = (factor * 10.0**exponent for exponent in range(-6, 7) for factor in (1.0, 2.0, 5.0))
    step = next((step for step in rounds if step * MOST_TICKS >= highest), highest / MOST_TICKS)
    return step, max(1, math.ceil(highest / step))
