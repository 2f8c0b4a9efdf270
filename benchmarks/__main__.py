"""Measure, and keep the figures as JSON, as tables and as a drawing.

    python -m benchmarks [NAME ...] [--quick] [--out FOLDER] [--recordings FOLDER] [--clips FOLDER] [--hours HOURS]

Figures of benchmarks that are not named stay as they were. A quick look leaves out the long part of each, and goes to
build/benchmarks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from benchmarks import anatomy, busy, footprint, gpu, growth, recognisers, rooms, runtimes, speakers, turn_latency
from benchmarks.drawing import draw
from benchmarks.figures import Benchmark, Figure, Note, Progress, Settings, UnavailableError, gathered
from benchmarks.record import Record, read_records, surroundings, write_records
from benchmarks.tables import markdown

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        turn_latency.BENCHMARK,
        busy.BENCHMARK,
        growth.BENCHMARK,
        rooms.BENCHMARK,
        footprint.BENCHMARK,
        speakers.BENCHMARK,
        recognisers.BENCHMARK,
        anatomy.BENCHMARK,
        runtimes.BENCHMARK,
        gpu.BENCHMARK,
    )
}
ROOT = Path(__file__).parents[1]
WORKSPACE = ROOT / "build" / "benchmarks"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of some twenty")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: benchmarks/results")
    parser.add_argument(
        "--recordings", type=Path, metavar="FOLDER", help="speakers: recordings, each beside its RTTM file"
    )
    parser.add_argument(
        "--clips", type=Path, metavar="FOLDER", help="speakers: acted speech to put together: ravdess, emodb, nemo"
    )
    parser.add_argument("--hours", type=float, help="speakers: of the long talk (default: 3; with --quick 0.1)")
    arguments = parser.parse_args()
    names = list(dict.fromkeys(arguments.names or BENCHMARKS))
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")

    out = arguments.out or (WORKSPACE if arguments.quick else ROOT / "benchmarks" / "results")
    for folder in (WORKSPACE, out):
        folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        quick=arguments.quick,
        workspace=WORKSPACE,
        recordings=arguments.recordings,
        clips=arguments.clips,
        hours=arguments.hours or (0.1 if arguments.quick else 3.0),
    )
    with ProgressBar(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[latest]}"),
        console=Console(stderr=True),
    ) as progress:
        bar = progress.add_task("", total=len(names), latest="")
        for name in names:
            progress.update(bar, description=name)
            keep(run(BENCHMARKS[name], settings, lambda line: progress.update(bar, latest=line)), out)
            progress.advance(bar)
    print((out / "latest.md").read_text())
    return 0


def run(benchmark: Benchmark, settings: Settings, tell: Callable[[str], None]) -> Record:
    """Measure one thing; ``tell`` hears of every figure, and how far it is. What is missing leaves a note."""
    around = surroundings(quick=settings.quick)
    began = time.monotonic()
    figures: list[Figure] = []
    notes: list[str] = []
    try:
        for found in benchmark.measure(settings):
            if isinstance(found, Note):
                notes.append(found.text)
                continue
            if isinstance(found, Progress):
                tell(f"{found.what}: {found.share:.0%}")
                continue
            figures.append(found)
            tell(f"{found.row}, {found.column}: {found.median:.3g} {found.unit}")
    except UnavailableError as error:
        notes.append(f"Not measured: {error}.")
    seconds = round(time.monotonic() - began, 1)
    return Record(benchmark.name, benchmark.title, around, seconds, tuple(gathered(figures)), tuple(notes))


def keep(record: Record, out: Path) -> None:
    """Put a record in the place of the one before; tables and drawing follow."""
    known = {each.name: each for each in read_records(out / "latest.json")} | {record.name: record}
    records = [known[name] for name in BENCHMARKS if name in known]
    write_records(records, out / "latest.json")
    (out / "latest.md").write_text(markdown(records))
    (out / "latest.svg").write_text(draw(records))


if __name__ == "__main__":
    sys.exit(main())
