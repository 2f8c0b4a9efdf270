"""A training in TensorBoard, and whoever else listens."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from emotrack.errors import UsageError
from emotrack.train.learning.listening import listening
from emotrack.train.learning.loop import fit
from emotrack.train.learning.tensorboard import shown_in_tensorboard
from tests.train.learning.test_loop import OPTIONS, Sides, new_model

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_every_epoch_is_written_as_the_log_has_it(tmp_path: Path) -> None:
    model = new_model()
    with shown_in_tensorboard(tmp_path / "board"):
        fit("sides", model, Sides(model), OPTIONS, tmp_path / "seed-3", seed=0)
    records = [json.loads(line) for line in (tmp_path / "seed-3/sides.jsonl").read_text().splitlines()]
    events = EventAccumulator(str(tmp_path / "board/seed-3/sides"))
    events.Reload()
    for name in ("loss", "accuracy"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(record["epoch"], pytest.approx(record[name], abs=1e-6)) for record in records]
    assert [event.value for event in events.Scalars("f1/left")] == pytest.approx(
        [record["f1"]["left"] for record in records]
    )
    assert "epoch" not in events.Tags()["scalars"]


def test_whoever_listens_is_told_and_nobody_else(tmp_path: Path) -> None:
    heard: list[tuple[str, str, int]] = []

    def listen(training: str, folder: Path, record: Mapping[str, Any]) -> None:
        heard.append((training, folder.name, record["epoch"]))

    with listening(listen), shown_in_tensorboard(None):
        model = new_model()
        fit("sides", model, Sides(model), OPTIONS, tmp_path / "first", seed=0)
    fit("sides", new_model(), Sides(model), OPTIONS, tmp_path / "second", seed=0)
    assert heard == [("sides", "first", epoch) for epoch in (1, 2, 3, 4)]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_examples_tell_other_programs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the program, and a small training for the command."""
    told: list[dict[str, float]] = []

    def train(words: list[str]) -> int:
        assert words == ["train", "all", "--recipe", "mini"]
        model = new_model()
        fit("sides", model, Sides(model), OPTIONS, tmp_path / "seed-3", seed=0)
        return 3

    def log(numbers: dict[str, float], step: int | None = None) -> None:
        told.append(numbers if step is None else {**numbers, "seed-3/sides/epoch": step})

    program = SimpleNamespace(log=log, log_metrics=log, init=lambda project: nullcontext(), start_run=nullcontext)
    monkeypatch.setitem(sys.modules, name, cast("ModuleType", program))
    monkeypatch.setattr("emotrack.command_line.main", train)
    monkeypatch.setattr(sys, "argv", ["program", "all", "--recipe", "mini"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / f"train_with_{name}.py"), run_name="__main__")
    assert ended.value.code == 3
    assert [each["seed-3/sides/epoch"] for each in told] == [1, 2, 3, 4]
    assert {"seed-3/sides/loss", "seed-3/sides/accuracy", "seed-3/sides/f1/left"} <= told[0].keys()


def test_a_file_is_no_place_for_it(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("")
    with pytest.raises(UsageError, match="board: is no folder"), shown_in_tensorboard(tmp_path / "board"):
        pass
