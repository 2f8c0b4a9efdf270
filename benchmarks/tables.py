"""Figures as Markdown tables: what was measured in rows, whose it is in columns."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.figures import Figure
from benchmarks.record import Record, Surroundings


def markdown(records: Iterable[Record]) -> str:
    """A section for each record: its table, its notes and what it was measured on."""
    return "\n".join(_section(record) for record in records)


def _section(record: Record) -> str:
    lines = [f"## {record.title}", ""]
    if record.figures:
        columns = list(dict.fromkeys(figure.column for figure in record.figures))
        rows = dict.fromkeys((figure.row, figure.unit) for figure in record.figures)
        found = {(figure.row, figure.unit, figure.column): figure for figure in record.figures}
        lines += ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
        for row, unit in rows:
            first = next(found[row, unit, column] for column in columns if (row, unit, column) in found)
            cells = (_cell(found.get((row, unit, column)), first) for column in columns)
            lines.append(f"| {row}, {unit} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [*record.notes, ""] if record.notes else []
    return "\n".join([*lines, f"{_around(record.surroundings)}, {record.seconds:.0f} s.", ""])


def _cell(figure: Figure | None, first: Figure) -> str:
    """Median, 95th percentile where there are several values, and how many times the first column's median."""
    if figure is None:
        return ""
    cell = _number(figure.median)
    if len(figure.values) > 1:
        cell += f" (p95 {_number(figure.p95)})"
    if figure is not first and first.median >= 0.01:
        cell += f", {figure.median / first.median:.1f}x"
    return cell


def _number(value: float) -> str:
    """Three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _around(around: Surroundings) -> str:
    quick = "a quick look, " if around.quick else ""
    versions = ", ".join(f"{name} {version}" for name, version in around.versions.items())
    return (
        f"{quick}{around.date} UTC, commit {around.commit}, {around.processor}, {around.cores} cores, load "
        f"{around.load:.1f}; {versions}"
    )
