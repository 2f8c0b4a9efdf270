"""A benchmark's figures with what they depend on, kept as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure

VERSIONS_OF = ("torch", "onnxruntime", "ctranslate2", "faster-whisper", "moonshine-voice", "pocketsphinx")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """When, where and of what the figures are."""

    date: str
    commit: str
    processor: str
    cores: int
    load: float
    """Processes that wanted to run in the minute before, this one's included."""
    quick: bool
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """What one benchmark found."""

    name: str
    title: str
    surroundings: Surroundings
    seconds: float
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


def surroundings(*, quick: bool) -> Surroundings:
    """Of this machine, now."""
    return Surroundings(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        commit=_commit(),
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        load=round(os.getloadavg()[0], 2),
        quick=quick,
        versions={"python": platform.python_version()} | {package: version(package) for package in VERSIONS_OF},
    )


def write_records(records: list[Record], path: Path) -> None:
    """Keep them, medians and 95th percentiles beside the values."""
    kept = []
    for each in records:
        fields = asdict(each)
        for kept_figure, figure in zip(fields["figures"], each.figures, strict=True):
            kept_figure["values"] = [round(value, 4) for value in figure.values]
            kept_figure |= {"median": round(figure.median, 4), "p95": round(figure.p95, 4)}
        kept.append(fields)
    path.write_text(json.dumps(kept, indent=1) + "\n")


def read_records(path: Path) -> list[Record]:
    """What ``write_records`` kept; nothing where there is no file."""
    return [_read(fields) for fields in json.loads(path.read_text())] if path.is_file() else []


def _read(fields: dict[str, Any]) -> Record:
    figures = [Figure(f["row"], f["column"], f["unit"], tuple(f["values"])) for f in fields.pop("figures")]
    around, notes = Surroundings(**fields.pop("surroundings")), tuple(fields.pop("notes"))
    return Record(**fields, surroundings=around, figures=tuple(figures), notes=notes)


def _commit() -> str:
    """The short hash of what is checked out, with a + where files differ from it."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--abbrev=7", "--dirty=+", "--match", "nothing"]
    found = subprocess.run(command, cwd=here, check=False, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
