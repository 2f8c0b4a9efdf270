"""Figures as one drawing: a dot for each median, a line from it to the 95th percentile, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import svg

from benchmarks.figures import Figure
from benchmarks.record import Record

WIDTH, LEFT, RIGHT = 820, 300, 790  # of the drawing, and of the scale in it
LINE, FONT, HEAD, FOOT = 13, 12, 46, 40  # heights: a dot's line, text, and what stands over and under the dots
COLOURS = ("#1f5f8b", "#b3541e", "#4a7c3a", "#7a4a8c", "#8a7a2a", "#555555", "#c2407a")


def draw(records: Iterable[Record]) -> str:
    """The SVG: a panel for each record and unit, below one another."""
    panels: list[svg.Element] = []
    top = 0
    for record in records:
        for unit in dict.fromkeys(figure.unit for figure in record.figures):
            figures = [figure for figure in record.figures if figure.unit == unit]
            panel, height = _panel(f"{record.title}, {unit}", figures, top)
            panels += panel
            top += height
    background = svg.Rect(width=WIDTH, height=top, fill="white")
    size = svg.ViewBoxSpec(0, 0, WIDTH, top)
    return svg.SVG(viewBox=size, style=f"font: {FONT}px sans-serif", elements=[background, *panels]).as_str()


def _panel(title: str, figures: Sequence[Figure], top: int) -> tuple[list[svg.Element], int]:
    columns = list(dict.fromkeys(figure.column for figure in figures))
    colours = {column: COLOURS[place % len(COLOURS)] for place, column in enumerate(columns)}
    low, high = _decades(figures)
    parts: list[svg.Element] = [svg.Text(x=10, y=top + 18, text=title, font_weight="bold")]
    x = 10
    for column in columns:
        parts.append(svg.Circle(cx=x + 4, cy=top + 32, r=4, fill=colours[column]))
        parts.append(svg.Text(x=x + 13, y=top + 36, text=column, fill=colours[column]))
        x += 30 + 7 * len(column)
    y = top + HEAD
    rules = len(parts)
    for row in dict.fromkeys(figure.row for figure in figures):
        of_row = [figure for figure in figures if figure.row == row]
        middle = y + LINE * len(of_row) / 2
        parts.append(svg.Text(x=LEFT - 10, y=middle + FONT / 3, text=row, text_anchor="end"))
        for figure in of_row:
            parts += _dot(figure, y + LINE / 2, colours[figure.column], low, high)
            y += LINE
        y += LINE // 2
    ticks = [10.0**power for power in range(low, high + 1)]
    parts[rules:rules] = [
        element
        for tick in ticks
        for element in (
            svg.Line(x1=_x(tick, low, high), x2=_x(tick, low, high), y1=top + HEAD, y2=y, stroke="#dddddd"),
            svg.Text(x=_x(tick, low, high), y=y + FONT + 2, text=f"{tick:,g}", text_anchor="middle", fill="#666666"),
        )
    ]
    return parts, y - top + FOOT


def _dot(figure: Figure, y: float, colour: str, low: int, high: int) -> list[svg.Element]:
    median, p95 = _x(figure.median, low, high), _x(figure.p95, low, high)
    return [
        svg.Line(x1=median, x2=p95, y1=y, y2=y, stroke=colour, stroke_width=2),
        svg.Circle(cx=median, cy=y, r=4, fill=colour),
    ]


def _decades(figures: Iterable[Figure]) -> tuple[int, int]:
    """The powers of ten between which all of them lie."""
    values = [value for figure in figures for value in (figure.median, figure.p95) if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _x(value: float, low: int, high: int) -> float:
    share = (math.log10(value) - low) / (high - low) if value > 0 else 0.0
    return round(LEFT + share * (RIGHT - LEFT), 1)
