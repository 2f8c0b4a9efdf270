"""Several trainings at a time, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from emotrack.train.errors import CollapsedError, DivergedError
from emotrack.train.learning.listening import listening
from emotrack.train.learning.seeds import train_with
from emotrack.train.learning.side_by_side import side_by_side
from tests.train.learning.trainings import fails, meets, scored, trained

ENDLESS = """
import signal
import sys
from functools import partial
from pathlib import Path
from emotrack.train.learning.side_by_side import side_by_side
from tests.train.learning.trainings import waits

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell began the tests in the background
    try:
        side_by_side({seed: partial(waits, Path(sys.argv[1])) for seed in range(2)}, 2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_every_training_has_a_gpu_and_its_lines_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    told: list[tuple[str, Path, float]] = []
    trainings = {seed: partial(trained, tmp_path, seed) for seed in (5, 6)}
    with listening(lambda training, folder, record: told.append((training, folder, record["loss"]))):
        results, failures = side_by_side(trainings, 2, "seed {}".format)
    assert failures == {}
    assert {seed: path.read_text() for seed, path in results.items()} == {5: "4 3", 6: "7 3"}
    assert told == [("words", tmp_path, 0.5)] * 2
    said = capfd.readouterr()
    assert sorted(said.out.splitlines()) == ["seed 5: as it should be", "seed 6: as it should be"]
    assert {"seed 5: words, epoch 1: loss 0.5, weighted_f1 0.25", "seed 6: not quite"} <= set(said.err.splitlines())


def test_as_many_at_a_time_as_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    results, _ = side_by_side({seed: partial(meets, tmp_path, seed, 2) for seed in range(3)}, 2)
    assert results == {0: 0, 1: 1, 2: 2}


def test_one_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    trainings = {how: partial(fails, how) for how in ("killed", "collapsed", "diverged", "memory", "mistake")}
    results, failures = side_by_side({**trainings, "whole": partial(trained, tmp_path, 0)}, 3)
    assert list(results) == ["whole"]
    assert str(failures["killed"]) == "its process ended with exit code -9"
    assert isinstance(failures["diverged"], DivergedError)
    collapsed = failures["collapsed"]
    assert isinstance(collapsed, CollapsedError)
    assert collapsed.scores == {"weighted_f1": 0.125}
    assert str(failures["memory"]) == "there is not enough memory"
    assert str(failures["mistake"]) == "its process ended with exit code 1"
    said = capfd.readouterr().err
    assert "diverged: speech: the loss is no longer finite in epoch 1\n" in said
    assert "mistake: AssertionError: mistake\n" in said


def test_the_table_of_the_seeds_names_the_one_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not train_with((0, 1, 2), tmp_path, scored, "emotrack train", jobs=3)
    said = (tmp_path / "results.md").read_text()
    assert "over 2 (0, 2) of 3 seeds" in said
    assert "Seed 1 has no part in the means: speech: the loss is no longer finite in epoch 1." in said
    assert "| dev: online | 0.100 ± 0.141 |" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_training_outlives_its_program(tmp_path: Path, number: signal.Signals) -> None:
    """Whether Ctrl-C ends it, which its processes get as well, or it is killed."""
    (tmp_path / "program.py").write_text(ENDLESS)
    (found := tmp_path / "found").mkdir()
    program = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(found)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "CUDA_VISIBLE_DEVICES": ""},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(lambda: len(list(found.iterdir())) == 2)
    if number == signal.SIGINT:
        os.killpg(program.pid, number)
    else:
        program.kill()
    _, said = program.communicate(timeout=60)
    assert program.returncode == (130 if number == signal.SIGINT else -9)
    assert said == ""
    _until(lambda: not any(Path(f"/proc/{each.name}/cmdline").exists() for each in found.iterdir()))


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(6000):
        if holds():
            return
        time.sleep(0.01)
    raise TimeoutError
