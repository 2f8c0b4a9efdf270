"""A sweep over missing words and voices as files: every draw as CSV, means as Markdown, and a drawing."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from statistics import mean, stdev

import svg

from emotrack.models.files import whole_file, write_files
from emotrack.train.evaluation.missing import MissingScore

WIDTH, HEIGHT, LEFT, TOP = 480, 260, 60, 70  # of the axes: how large they are, and what is before them
FONT = 12
COLOURS = {"words": "#1f5f8b", "voice": "#b3541e"}  # which lacks
TICK = 5.0  # points of F1

Curve = dict[float, list[float]]  # weighted F1 of every draw in %, by share


def write_missing(title: str, found: Sequence[MissingScore], folder: Path, name: str = "missing") -> list[Path]:
    """Write ``name.csv``, ``.md`` and ``.svg`` into a folder, which is made. Returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}{ending}" for ending in (".csv", ".md", ".svg")]
    with whole_file(files[0]) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(MissingScore)])
        writer.writeheader()
        writer.writerows(asdict(each) for each in found)
    write_files({files[1]: missing_table(title, found), files[2]: missing_drawing(title, found).as_str()})
    return files


def curves(found: Sequence[MissingScore]) -> dict[str, Curve]:
    """The scores of every draw by what lacks, and by the share that lacks it."""
    curves: dict[str, Curve] = {}
    for each in found:
        curves.setdefault(each.missing, {}).setdefault(each.share, []).append(100.0 * each.weighted_f1)
    return curves


def missing_table(title: str, found: Sequence[MissingScore]) -> str:
    """The means in Markdown, a row a share."""
    each = curves(found)
    draws, seeds = len({point.draw for point in found}), len({point.seed for point in found})
    shares = dict.fromkeys(point.share for point in found)
    spread = f"mean ± sample standard deviation of {draws} draws{f' with each of {seeds} seeds' if seeds > 1 else ''}"
    lines = [
        f"{title}: weighted F1, %, where a share of the turns with voice and words lacks one of them; {spread}.",
        "",
        f"| share | {' | '.join(f'lack {missing}' for missing in each)} |",
        f"|---|{'---|' * len(each)}",
        *(f"| {share:.0%} | {' | '.join(_said(curve[share]) for curve in each.values())} |" for share in shares),
    ]
    return "\n".join([*lines, ""])


def missing_drawing(title: str, found: Sequence[MissingScore]) -> svg.SVG:
    """A line a modality that lacks: the means by share, their spread as whiskers."""
    each = curves(found)
    values = [value for curve in each.values() for draws in curve.values() for value in draws]
    low, high = TICK * (min(values) // TICK), TICK * (max(values) // TICK + 1)
    floor = TOP + HEIGHT

    def y(value: float) -> float:
        return round(floor - (value - low) / (high - low) * HEIGHT, 1)

    parts: list[svg.Element] = [
        svg.Text(x=LEFT, y=24, text=title, font_weight="bold"),
        svg.Text(x=LEFT, y=TOP - 10, text="weighted F1, %", fill="#555555"),
        svg.Text(x=LEFT + WIDTH / 2, y=floor + 36, text="share of turns that lack it", text_anchor="middle"),
    ]
    for step in range(round((high - low) / TICK) + 1):
        value = low + step * TICK
        parts += [
            svg.Line(x1=LEFT, x2=LEFT + WIDTH, y1=y(value), y2=y(value), stroke="#e4e4e4" if step else "#888888"),
            svg.Text(x=LEFT - 8, y=y(value) + 4, text=f"{value:g}", text_anchor="end", fill="#555555"),
        ]
    for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(svg.Text(x=LEFT + share * WIDTH, y=floor + 18, text=f"{share:.0%}", text_anchor="middle"))
    for place, (missing, curve) in enumerate(each.items()):
        colour = COLOURS[missing]
        points = [(round(LEFT + share * WIDTH, 1), mean(draws)) for share, draws in curve.items()]
        commands: list[svg.PathData] = [svg.M(points[0][0], y(points[0][1]))]
        commands += [svg.L(x, y(value)) for x, value in points[1:]]
        parts.append(svg.Path(d=commands, fill="none", stroke=colour, stroke_width=2))
        parts.append(svg.Text(x=LEFT + 110 * place, y=44, text=f"without {missing}", fill=colour))
        for (x, value), draws in zip(points, curve.values(), strict=True):
            spread = stdev(draws) if len(draws) > 1 else 0.0
            parts.append(svg.Circle(cx=x, cy=y(value), r=2.5, fill=colour))
            parts.append(svg.Line(x1=x, x2=x, y1=y(value - spread), y2=y(value + spread), stroke=colour))
    height = floor + 50
    return svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, LEFT + WIDTH + 30, height),
        style=f"font: {FONT}px sans-serif",
        elements=[svg.Rect(width=LEFT + WIDTH + 30, height=height, fill="white"), *parts],
    )


def _said(values: Sequence[float]) -> str:
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):.2f}{spread}"
