"""Nothing leaves the machine, and nothing stays on it, but what was asked for: train and evaluate under strace."""

from __future__ import annotations

from pathlib import Path

from tests.strace import Tracer


def test_training_tells_nobody_and_leaves_its_run(tracer: Tracer, toy_data: list[str]) -> None:
    seen = tracer.run("train", "all", "--recipe", "toy", "--out", "run", *toy_data)
    assert seen.code == 0, seen.err
    assert seen.hosts == set()
    assert {path for path in seen.left if not path.is_relative_to(tracer.work / "run")} == set()
    assert (tracer.work / "run" / "bundle").is_dir()


def test_evaluating_tells_nobody_and_leaves_nothing(tracer: Tracer, conversations: Path) -> None:
    seen = tracer.run("evaluate", "--bundle", "mini", "--corpus", "acted", "--data", conversations)
    assert seen.code == 0, seen.err
    assert (seen.hosts, seen.left) == (set(), [])
