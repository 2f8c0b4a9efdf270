"""What an evaluation found, as pictures: which emotions are taken for which, and how often what is sure is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import svg

from emotrack.models.files import write_files
from emotrack.train.evaluation.metrics import ECE_BINS, Scores, confidence_bins
from emotrack.train.evaluation.predictions import Predictions

CELL, MARGIN, TOP = 58, 120, 90  # of a confusion matrix
SIDE, LEFT = 300, 60  # of a reliability diagram
FONT = 12
DARK = "#1f5f8b"
LIGHT, BRIGHT = "#ffffff", 0.55  # of letters, on shares from this on


def draw_confusions(title: str, scores: Scores, out: Path) -> None:
    """Draw a confusion matrix, rows truth, columns prediction, shaded by the share of its row, into an SVG file."""
    labels, side = scores.labels, CELL * len(scores.labels)
    parts: list[svg.Element] = [svg.Text(x=MARGIN, y=24, text=title, font_weight="bold")]
    parts.append(svg.Text(x=MARGIN, y=44, text="rows: truth; columns: prediction; turns", fill="#555555"))
    for place, label in enumerate(labels):
        middle = CELL * place + CELL / 2
        parts += [
            svg.Text(x=MARGIN - 8, y=TOP + middle + 4, text=label, text_anchor="end"),
            svg.Text(x=MARGIN + middle, y=TOP - 8, text=label[:9], text_anchor="middle", font_size=FONT - 2),
        ]
    for row, counts in enumerate(scores.confusion):
        for column, count in enumerate(counts):
            share = count / max(1, sum(counts))
            x, y = MARGIN + CELL * column, TOP + CELL * row
            parts += [
                svg.Rect(x=x, y=y, width=CELL, height=CELL, fill=DARK, fill_opacity=round(share, 3), stroke="#e4e4e4"),
                svg.Text(
                    x=x + CELL / 2,
                    y=y + CELL / 2 + 4,
                    text=f"{count}",
                    text_anchor="middle",
                    fill=LIGHT if share > BRIGHT else "black",
                ),
            ]
    _write(parts, MARGIN + side + 20, TOP + side + 20, out)


def draw_reliability(title: str, found: Predictions, ece: float, out: Path) -> None:
    """Draw how often predictions of a confidence are right, in equally wide bins of it, into an SVG file.

    The width of a bar tells how many turns are in its bin, of those in the fullest one.
    """
    confidence = found.probabilities.max(axis=1)  # (N,)
    right = found.predicted == found.truth  # (N,)
    bins = confidence_bins(confidence)  # (N,)
    counts = np.bincount(bins, minlength=ECE_BINS)  # (bins,)
    parts: list[svg.Element] = [
        svg.Text(x=LEFT, y=24, text=title, font_weight="bold"),
        svg.Text(x=LEFT, y=44, text=f"expected calibration error {ece:.3f}; {len(right)} turns", fill="#555555"),
        svg.Rect(x=LEFT, y=TOP, width=SIDE, height=SIDE, fill="none", stroke="#888888"),
        svg.Line(x1=LEFT, x2=LEFT + SIDE, y1=TOP + SIDE, y2=TOP, stroke="#888888", stroke_dasharray=[4, 4]),
        svg.Text(x=LEFT + SIDE / 2, y=TOP + SIDE + 34, text="confidence", text_anchor="middle"),
        svg.Text(x=LEFT, y=TOP - 8, text="share that is right", fill="#555555"),
    ]
    for tick in (0.0, 0.5, 1.0):
        parts += [
            svg.Text(x=LEFT + tick * SIDE, y=TOP + SIDE + 18, text=f"{tick:g}", text_anchor="middle"),
            svg.Text(x=LEFT - 8, y=TOP + SIDE - tick * SIDE + 4, text=f"{tick:g}", text_anchor="end"),
        ]
    step = SIDE / ECE_BINS
    for place in counts.nonzero()[0].tolist():
        share = float(right[bins == place].mean())
        width = max(2.0, step * counts[place] / counts.max())
        parts.append(
            svg.Rect(
                x=round(LEFT + step * place + (step - width) / 2, 1),
                y=round(TOP + SIDE - share * SIDE, 1),
                width=round(width, 1),
                height=round(share * SIDE, 1),
                fill=DARK,
            )
        )
    _write(parts, LEFT + SIDE + 30, TOP + SIDE + 50, out)


def _write(parts: list[svg.Element], width: int, height: int, out: Path) -> None:
    drawing = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, width, height),
        style=f"font: {FONT}px sans-serif",
        elements=[svg.Rect(width=width, height=height, fill="white"), *parts],
    )
    write_files({out: drawing.as_str()})
