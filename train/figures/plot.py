"""The logs of a run as one drawing: for each training, the loss and the dev score of every epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import svg

from emotrack.models.files import write_files
from emotrack.train.errors import TrainError

WIDTH, HEIGHT = 640, 200  # of one training's panel
LEFT, RIGHT, TOP, BOTTOM = 60, 580, 40, 170  # of the curves in it
LOSS, SCORES = "loss", ("weighted_f1", "explained")  # of which a training has one; each curve has its own scale
COLOURS = ("#b3541e", "#1f5f8b")
FONT = 12


def plot_run(folder: Path, out: Path) -> None:
    """Draw every ``NAME.jsonl`` of a run's folder, below one another, into an SVG file.

    Raises:
        TrainError: there is none, or one is not a log.
    """
    logs = sorted(folder.glob("*.jsonl"))
    if not logs:
        raise TrainError(f"{folder}: no logs (*.jsonl) in it")
    panels = [part for number, log in enumerate(logs) for part in _panel(log, number * HEIGHT)]
    drawing = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, WIDTH, HEIGHT * len(logs)),
        style=f"font: {FONT}px sans-serif",
        elements=[svg.Rect(width=WIDTH, height=HEIGHT * len(logs), fill="white"), *panels],
    )
    write_files({out: drawing.as_str()})


def _panel(log: Path, top: int) -> list[svg.Element]:
    try:
        records = [json.loads(line) for line in log.read_text().splitlines()]
        score = next((name for name in SCORES if records and name in records[0]), SCORES[0])
        curves = {name: [float(record[name]) for record in records] for name in (LOSS, score)}
    except (ValueError, KeyError, TypeError) as error:
        raise TrainError(f"{log}: not the log of a training: {error}") from error
    if not records:
        raise TrainError(f"{log}: not the log of a training: it is empty")
    epochs = f"{len(records)} epoch{'s' if len(records) > 1 else ''}"
    parts: list[svg.Element] = [
        svg.Text(x=LEFT, y=top + TOP - 16, text=log.stem, font_weight="bold"),
        svg.Text(x=RIGHT, y=top + BOTTOM + 18, text=epochs, text_anchor="end"),
        svg.Rect(x=LEFT, y=top + TOP, width=RIGHT - LEFT, height=BOTTOM - TOP, fill="none", stroke="#cccccc"),
    ]
    for (name, values), colour, on_left in zip(curves.items(), COLOURS, (True, False), strict=True):
        labels = {
            f"{max(values):.3f}": TOP + FONT,
            name.removeprefix("weighted_"): (TOP + BOTTOM) // 2,
            f"{min(values):.3f}": BOTTOM,
        }
        parts += [
            svg.Text(
                x=LEFT - 6 if on_left else RIGHT + 6,
                y=top + y,
                text=text,
                fill=colour,
                text_anchor="end" if on_left else "start",
            )
            for text, y in labels.items()
        ]
        parts.append(svg.Path(d=_curve(values, top), fill="none", stroke=colour, stroke_width=2))
    return parts


def _curve(values: Sequence[float], top: int) -> list[svg.PathData]:
    """From the lowest value at the bottom of the panel to the highest at its top."""
    low, span = min(values), max(values) - min(values) or 1.0
    step = (RIGHT - LEFT) / max(1, len(values) - 1)
    points = [
        (round(LEFT + epoch * step, 1), round(top + BOTTOM - (value - low) / span * (BOTTOM - TOP), 1))
        for epoch, value in enumerate(values)
    ]
    return [svg.M(*points[0]), *(svg.L(*point) for point in points)]
