from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emotrack.train.errors import TrainError
from emotrack.train.loop import LoopOptions, fit, pad, shuffled_batches
from emotrack.train.metrics import Scores, score

POINTS = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
SIDES = (POINTS[:, 0] > 0).long()
OPTIONS = LoopOptions(epochs=4, learning_rate=0.1, batch=16)


class Sides:
    """Which side of a plane a point is on, with dropout, so that randomness has a part in it."""

    metric = "accuracy"

    def __init__(self, model: nn.Module, stop_in_epoch: int | None = None) -> None:
        self.model = model
        self.calls = 0
        self.stop_at = None if stop_in_epoch is None else 4 * stop_in_epoch + 2

    def batches(self, generator: torch.Generator) -> list[list[int]]:
        return shuffled_batches([1] * len(POINTS), OPTIONS.batch, generator)

    def loss(self, batch: list[int]) -> Tensor:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return nn.functional.cross_entropy(self.model(POINTS[batch]).float(), SIDES[batch])

    def evaluate(self) -> Scores:
        return score(self.model(POINTS).float().softmax(dim=1).numpy(), SIDES.numpy(), ("left", "right"))


def new_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 2))


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


def test_collapse_is_an_error(tmp_path: Path) -> None:
    model = new_model()
    with torch.no_grad():
        model[-1].bias += torch.tensor([100.0, 0.0])  # type: ignore[index, union-attr, operator]
    with pytest.raises(TrainError, match="collapsed, every dev item is called left"):
        fit("sides", model, Sides(model), LoopOptions(1, 1e-9, 16), tmp_path, seed=0)


def test_a_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    model = new_model()
    with torch.no_grad():
        model[0].weight.fill_(torch.inf)  # type: ignore[index, union-attr, operator]
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
