"""Figures, tables, drawings and what is kept of them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import __main__ as command
from benchmarks.drawing import draw
from benchmarks.figures import (
    Benchmark,
    Figure,
    Found,
    Note,
    Progress,
    Settings,
    UnavailableError,
    gathered,
    percentile,
)
from benchmarks.record import Record, read_records, surroundings, write_records
from benchmarks.tables import markdown


def record(*figures: Figure, name: str = "latency", notes: tuple[str, ...] = ()) -> Record:
    return Record(name, name.title(), surroundings(quick=True), 1.5, figures, notes)


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3.0], 95) == 3.0
    assert percentile(range(1, 101), 95) == 95
    assert percentile([5.0, 1.0, 2.0], 50) == 2.0
    assert percentile([1.0, 2.0], 95) == 2.0


def test_repeats_of_a_quantity_are_gathered_in_order() -> None:
    repeats = [Figure("a", "ours", "ms", (1.0,)), Figure("a", "rival", "ms", (9.0,)), Figure("a", "ours", "ms", (3.0,))]
    assert gathered(repeats) == [Figure("a", "ours", "ms", (1.0, 3.0)), Figure("a", "rival", "ms", (9.0,))]
    assert gathered([*repeats, Figure("a", "ours", "s", (1.0,))])[2].unit == "s"


def test_a_table_has_rivals_side_by_side() -> None:
    table = markdown(
        [
            record(
                Figure("turn 10", "ours", "ms", (20.0, 22.0, 40.0)),
                Figure("turn 10", "rival", "ms", (220.0,)),
                Figure("turn 10,000", "ours", "ms", (21.0,)),
                notes=("A note.",),
            )
        ]
    )
    assert "| | ours | rival |" in table
    assert "| turn 10, ms | 22.0 (p95 40.0) | 220, 10.0x |" in table
    assert "| turn 10,000, ms | 21.0 |  |" in table
    assert "A note." in table
    assert "a quick look" in table


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    kept = [record(Figure("a", "ours", "ms", (1.0, 2.5)), notes=("why",)), record(name="rooms")]
    write_records(kept, tmp_path / "latest.json")
    assert read_records(tmp_path / "latest.json") == kept
    assert read_records(tmp_path / "nothing.json") == []


def test_a_drawing_has_a_dot_for_each_figure() -> None:
    figures = [Figure(row, who, "ms", (value,)) for row, value in (("a", 3.0), ("b", 0.0)) for who in ("ours", "rival")]
    drawing = ET.fromstring(draw([record(*figures), record(Figure("c", "ours", "%", (5.0, 50.0)))]))
    circles = [element for element in drawing.iter() if element.tag.endswith("circle")]
    legend = 2 + 1
    assert len(circles) == 4 + 1 + legend
    texts = {element.text for element in drawing.iter() if element.tag.endswith("text")}
    assert {"a", "b", "c", "ours", "rival", "Latency, ms", "Latency, %", "10"} <= texts
    assert all(0 <= float(circle.get("cx", "-1")) <= 820 for circle in circles)


def test_an_empty_drawing_is_one() -> None:
    ET.fromstring(draw([record()]))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(quick=True, workspace=tmp_path)


def test_a_run_gathers_and_tells(settings: Settings) -> None:
    def measure(_: Settings) -> Found:
        yield Figure("a", "ours", "ms", (1.0,))
        yield Note("so it is")
        yield Progress("another", 0.5)
        yield Figure("a", "ours", "ms", (2.0,))

    said: list[str] = []
    found = command.run(Benchmark("x", "X", measure), settings, said.append)
    assert found.figures == (Figure("a", "ours", "ms", (1.0, 2.0)),)
    assert found.notes == ("so it is",)
    assert said == ["a, ours: 1 ms", "another: 50%", "a, ours: 2 ms"]
    assert found.surroundings.quick
    assert found.surroundings.cores >= 1


def test_what_cannot_be_had_is_one_line(settings: Settings) -> None:
    def measure(_: Settings) -> Found:
        yield Figure("a", "ours", "ms", (1.0,))
        raise UnavailableError("no CUDA device")

    found = command.run(Benchmark("x", "X", measure), settings, lambda _: None)
    assert found.notes == ("Not measured: no CUDA device.",)


def test_a_run_replaces_its_own_figures_alone(tmp_path: Path) -> None:
    command.keep(record(Figure("a", "ours", "ms", (1.0,))), tmp_path)
    command.keep(record(Figure("b", "ours", "ms", (1.0,)), name="rooms"), tmp_path)
    command.keep(record(Figure("a", "ours", "ms", (7.0,))), tmp_path)
    latency, rooms = read_records(tmp_path / "latest.json")
    assert latency.figures[0].values == (7.0,)
    assert rooms.figures[0].row == "b"
    assert "7.00" in (tmp_path / "latest.md").read_text()
    assert (tmp_path / "latest.svg").read_text().startswith("<svg")
