from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from emotrack.train.errors import CollapsedError, TrainError
from emotrack.train.evaluation.metrics import Scores, score
from emotrack.train.learning import loop
from emotrack.train.learning.collapse import collapse_accepted
from emotrack.train.learning.loop import LoopOptions, fit, pad, shuffled_batches

POINTS = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
SIDES = (POINTS[:, 0] > 0).long()
OPTIONS = LoopOptions(epochs=4, learning_rate=0.1, batch=16)


class Sides:
    """Which side of a plane a point is on, with dropout, so that randomness has a part in it."""

    metric = "accuracy"

    def __init__(self, model: nn.Module, stop_in_epoch: int | None = None, batch: int = OPTIONS.batch) -> None:
        self.model = model
        self.batch = batch
        self.calls = 0
        self.stop_at = None if stop_in_epoch is None else 4 * stop_in_epoch + 2

    def batches(self, generator: torch.Generator) -> list[list[int]]:
        return shuffled_batches([1] * len(POINTS), self.batch, generator)

    def loss(self, batch: list[int]) -> Tensor:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(self.model(POINTS[batch]).float(), SIDES[batch])

    def evaluate(self) -> Scores:
        return score(self.model(POINTS).float().softmax(dim=1).numpy(), SIDES.numpy(), ("left", "right"))


def new_model(dropout: float = 0.2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(dropout), nn.Linear(8, 2))


@pytest.mark.parametrize(
    ("able", "wanted", "expected"),
    [
        ({"avx512_bf16": True}, True, torch.bfloat16),
        ({"amx_bf16": True}, True, torch.bfloat16),
        ({"amx_bf16": True}, False, torch.float32),
        ({"avx512_bf16": False, "avx2": True}, True, torch.float32),
        ({}, True, torch.float32),
    ],
)
def test_half_width_is_for_processors_that_have_it(
    able: dict[str, bool], wanted: bool, expected: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    found = set()

    class Watched(Sides):
        def loss(self, batch: list[int]) -> Tensor:
            found.add(self.model(POINTS[batch]).dtype)
            return super().loss(batch)

    model = new_model()
    fit("sides", model, Watched(model), replace(OPTIONS, epochs=1, bf16=wanted), tmp_path, seed=0)
    assert found == {expected}


def test_it_learns_and_writes_a_line_an_epoch(tmp_path: Path) -> None:
    model = new_model()
    scores = fit("sides", model, Sides(model), OPTIONS, tmp_path, seed=0)
    assert scores.accuracy > 0.9
    records = [json.loads(line) for line in (tmp_path / "sides.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert max(record["accuracy"] for record in records) == pytest.approx(scores.accuracy, abs=1e-3)
    assert {path.name for path in tmp_path.iterdir()} == {"sides.jsonl", "sides-best.safetensors"}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    weights = []
    for run, seed in enumerate((0, 0, 1)):
        model = new_model()
        fit("sides", model, Sides(model), OPTIONS, tmp_path / str(run), seed)
        weights.append(next(model.parameters()).clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = new_model()
    fit("sides", whole, Sides(whole), OPTIONS, tmp_path / "whole", seed=0)
    killed = new_model()
    with pytest.raises(KeyboardInterrupt):
        fit("sides", killed, Sides(killed, stop_in_epoch=2), OPTIONS, tmp_path / "killed", seed=0)
    resumed = new_model()
    fit("sides", resumed, Sides(resumed), OPTIONS, tmp_path / "killed", seed=0)
    assert torch.equal(next(whole.parameters()), next(resumed.parameters()))
    assert (tmp_path / "whole/sides.jsonl").read_text() == (tmp_path / "killed/sides.jsonl").read_text()


def test_a_kill_between_two_files_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = new_model()
    fit("sides", whole, Sides(whole), OPTIONS, tmp_path / "whole", seed=0)
    write_state, write_log = loop.write_whole, Path.write_text  # type: ignore[attr-defined]
    epochs = iter(range(1, 99))

    def no_state(tensors: dict[str, Tensor], path: Path, facts: dict[str, str]) -> None:
        if path.stem == "sides-last":
            raise KeyboardInterrupt
        write_state(tensors, path, facts)

    def no_log(path: Path, text: str) -> int:
        if next(epochs) == 3:
            raise KeyboardInterrupt
        return write_log(path, text)

    # Killed between state and log in epoch 3, then between the best weights and the state in epoch 4.
    for where, name, kill in ((Path, "write_text", no_log), (loop, "write_whole", no_state)):
        model = new_model()
        with monkeypatch.context() as patch:
            patch.setattr(where, name, kill)
            with pytest.raises(KeyboardInterrupt):
                fit("sides", model, Sides(model), OPTIONS, tmp_path / "killed", seed=0)
    resumed = new_model()
    fit("sides", resumed, Sides(resumed), OPTIONS, tmp_path / "killed", seed=0)
    assert torch.equal(next(whole.parameters()), next(resumed.parameters()))
    assert (tmp_path / "whole/sides.jsonl").read_text() == (tmp_path / "killed/sides.jsonl").read_text()


def test_the_rate_stays_where_the_schedule_is_constant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: dict[str, list[float]] = {"cosine": [], "constant": []}
    step = torch.optim.AdamW.step
    for schedule, found in rates.items():

        def noted(optimizer: torch.optim.AdamW, closure: None, into: list[float] = found) -> None:
            into.append(optimizer.param_groups[0]["lr"])
            assert optimizer.param_groups[0]["betas"] == (0.9, 0.99)
            step(optimizer)

        model = new_model()
        options = replace(OPTIONS, schedule=schedule, warmup=0.25, betas=(0.9, 0.99))  # type: ignore[arg-type]
        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", noted)
            fit("sides", model, Sides(model), options, tmp_path / schedule, seed=0)
    assert rates["constant"][:5] == pytest.approx([0.0, 0.025, 0.05, 0.075, 0.1]) == rates["cosine"][:5]
    assert set(rates["constant"][4:]) == {0.1}
    assert rates["cosine"][-1] < 0.01


def test_it_stops_when_dev_gets_no_better(tmp_path: Path) -> None:
    options = replace(OPTIONS, epochs=30, patience=3)
    model = new_model()
    scores = fit("sides", model, Sides(model), options, tmp_path, seed=0)
    values = [json.loads(line)["accuracy"] for line in (tmp_path / "sides.jsonl").read_text().splitlines()]
    assert len(values) < 30
    assert values.index(max(values)) == len(values) - 1 - 3
    weights = next(model.parameters()).clone()
    again = new_model()  # a run that stopped early is finished
    task = Sides(again)
    assert fit("sides", again, task, options, tmp_path, seed=0) == scores
    assert task.calls == 0
    assert torch.equal(next(again.parameters()), weights)


RANK = """
import sys
from pathlib import Path

from emotrack.train.running.ranks import joined, rank, rank_0_first
from tests.train.learning.test_loop import train_evenly

with joined():
    train_evenly(Path(sys.argv[1]))
    with rank_0_first():
        ready = Path(sys.argv[1], "ready")
        assert ready.exists() == (rank() > 0)
        ready.touch()
"""


def train_evenly(folder: Path) -> nn.Module:
    """Without dropout, which every rank draws for itself, in batches that two ranks cannot halve."""
    model = new_model(dropout=0.0)
    options = replace(OPTIONS, batch=13, bf16=False, patience=3)
    fit("sides", model, Sides(model, batch=13), options, folder, seed=0)
    return model


@pytest.mark.parametrize("change", [{"epochs": 0}, {"batch": 0}, {"patience": 0}])
def test_options_without_sense_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        replace(OPTIONS, **change)  # type: ignore[arg-type]


def test_two_ranks_train_what_one_process_does(tmp_path: Path) -> None:
    alone = train_evenly(tmp_path / "alone")
    (tmp_path / "rank.py").write_text(RANK)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = subprocess.run(
        [*torchrun, str(tmp_path / "rank.py"), str(tmp_path / "shared")],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    shared = load_file(tmp_path / "shared/sides-best.safetensors")
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(shared[name], value, atol=1e-5, rtol=1e-4)
    logs = [
        [json.loads(line) for line in (tmp_path / run / "sides.jsonl").read_text().splitlines()]
        for run in ("alone", "shared")
    ]
    assert [record["confusion"] for record in logs[0]] == [record["confusion"] for record in logs[1]]
    assert [record["loss"] for record in logs[0]] == pytest.approx([record["loss"] for record in logs[1]], abs=2e-4)


def test_collapse_is_an_error(tmp_path: Path) -> None:
    model = new_model()
    with torch.no_grad():
        model[-1].bias += torch.tensor([100.0, 0.0])  # type: ignore[index]
    with pytest.raises(CollapsedError, match="collapsed, every dev item is called left") as caught:
        fit("sides", model, Sides(model), LoopOptions(1, 1e-9, 16), tmp_path, seed=0)
    assert 0.3 < caught.value.scores["accuracy"] < 0.7
    with collapse_accepted():  # of the folder as it is
        found = fit("sides", model, Sides(model), LoopOptions(1, 1e-9, 16), tmp_path, seed=0)
    assert found.to_dict() == caught.value.scores


def test_a_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    model = new_model()
    with torch.no_grad():
        model[0].weight.fill_(torch.inf)  # type: ignore[index]
    with pytest.raises(TrainError, match="no longer finite in epoch 1"):
        fit("sides", model, Sides(model), OPTIONS, tmp_path, seed=0)


def test_batches_hold_every_item_once_and_like_lengths_together() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 300).tolist()
    batches = shuffled_batches(lengths, 10, torch.Generator().manual_seed(0))
    assert sorted(index for batch in batches for index in batch) == list(range(300))
    assert max(max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in batches) < 10


def test_padding_to_a_multiple() -> None:
    padded, lengths = pad([torch.ones(3, 2), torch.ones(5, 2)], multiple=4)
    assert padded.shape == (2, 8, 2)
    assert lengths.tolist() == [3, 5]
    assert padded.sum() == 16
