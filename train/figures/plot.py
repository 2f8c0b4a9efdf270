"""The logs of a run as one drawing: for each training, the loss and the dev score of every epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import svg

from emotrack.models.files import write_files
from emotrack.train.errors import TrainError

WIDTH, HEIGHT = 640, 200  # of one training's panel
LEFT, RIGHT, TOP, BOTTOM = 60, 580, 40, 170  # of the curves in it
LOSS, SCORES = "loss", ("weighted_f1", "explained")  # of which a training has one; each curve has its own scale
COLOURS = ("#b3541e", "#1f5f8b")
FONT = 12


def plot_run(folder: Path, out: Path) -> None:
    """Draw the logs of a run's folder, or those of its seeds, one training below the other, into an SVG file.

    Args:
        folder: has every ``NAME.jsonl`` of a run; or has one such folder a seed, ``seed-N``, whose curves are drawn
            over one another.
        out: the file.

    Raises:
        TrainError: there is no log, or one is none.
    """
    logs = [*folder.glob("*.jsonl")] or [*folder.glob("seed-*/*.jsonl")]
    if not logs:
        raise TrainError(f"{folder}: no logs (*.jsonl) in it, nor in any seed-N of it")
    trainings: dict[str, list[Path]] = {}
    for log in sorted(logs, key=lambda log: (log.stem, log.parent.name)):
        trainings.setdefault(log.stem, []).append(log)
    panels = [part for number, each in enumerate(trainings.values()) for part in _panel(each, number * HEIGHT)]
    height = HEIGHT * len(trainings)
    drawing = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, WIDTH, height),
        style=f"font: {FONT}px sans-serif",
        elements=[svg.Rect(width=WIDTH, height=height, fill="white"), *panels],
    )
    write_files({out: drawing.as_str()})


def _panel(logs: Sequence[Path], top: int) -> list[svg.Element]:
    """One training, of one run or of several seeds."""
    runs = [_read(log) for log in logs]
    score = next((name for name in SCORES if all(name in record for run in runs for record in run)), SCORES[0])
    curves = {name: [_values(log, run, name) for log, run in zip(logs, runs, strict=True)] for name in (LOSS, score)}
    most = max(len(run) for run in runs)
    said = f"{len(runs)} seeds, {most} epochs at most" if len(runs) > 1 else f"{most} epoch{'s' if most > 1 else ''}"
    parts: list[svg.Element] = [
        svg.Text(x=LEFT, y=top + TOP - 16, text=logs[0].stem, font_weight="bold"),
        svg.Text(x=RIGHT, y=top + BOTTOM + 18, text=said, text_anchor="end"),
        svg.Rect(x=LEFT, y=top + TOP, width=RIGHT - LEFT, height=BOTTOM - TOP, fill="none", stroke="#cccccc"),
    ]
    for (name, each), colour, on_left in zip(curves.items(), COLOURS, (True, False), strict=True):
        low, high = min(map(min, each)), max(map(max, each))
        labels = {
            f"{high:.3f}": TOP + FONT,
            name.removeprefix("weighted_"): (TOP + BOTTOM) // 2,
            f"{low:.3f}": BOTTOM,
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
        parts += [
            svg.Path(d=_curve(values, (low, high), most, top), fill="none", stroke=colour, stroke_width=2)
            for values in each
        ]
    return parts


def _read(log: Path) -> list[dict[str, Any]]:
    try:
        records = [json.loads(line) for line in log.read_text().splitlines()]
    except ValueError as error:
        raise TrainError(f"{log}: not the log of a training: {error}") from error
    if not records or not all(isinstance(record, dict) for record in records):
        raise TrainError(f"{log}: not the log of a training")
    return records


def _values(log: Path, records: Sequence[dict[str, Any]], name: str) -> list[float]:
    try:
        return [float(record[name]) for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise TrainError(f"{log}: not the log of a training: {error}") from error


def _curve(values: Sequence[float], scale: tuple[float, float], epochs: int, top: int) -> list[svg.PathData]:
    """From the lowest value of all at the bottom of the panel to the highest at its top."""
    low, span = scale[0], scale[1] - scale[0] or 1.0
    step = (RIGHT - LEFT) / max(1, epochs - 1)
    points = [
        (round(LEFT + epoch * step, 1), round(top + BOTTOM - (value - low) / span * (BOTTOM - TOP), 1))
        for epoch, value in enumerate(values)
    ]
    return [svg.M(*points[0]), *(svg.L(*point) for point in points)]
