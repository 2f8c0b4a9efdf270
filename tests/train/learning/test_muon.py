"""Steps of hidden matrices: orthogonal, of one size, kept over a kill, and taken by hidden matrices alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from emotrack.train.learning.loop import LoopOptions, fit
from emotrack.train.learning.muon import STEP, Muon, orthogonal
from emotrack.train.recipes.recipe import ActedSpeechRecipe, load_recipe
from emotrack.train.stages.speech_stage import SpeechClassifier
from tests.train.learning.test_loop import Sides, new_model


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (24, 24)])
def test_singular_values_come_near_to_one_and_vectors_stay(shape: tuple[int, int]) -> None:
    matrix = noise(*shape)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ orthogonal(matrix) @ right.T  # diagonal, as the vectors stay
    assert values.max() / values.min() > 1.5
    torch.testing.assert_close(turned, torch.diag(turned.diagonal()), atol=1e-4, rtol=0)
    assert 0.5 < turned.diagonal().min() <= turned.diagonal().max() < 1.3


def test_a_matrix_is_turned_and_all_else_is_adams() -> None:
    def trained(*, matrix: bool) -> tuple[Tensor, Tensor]:
        weight, bias = nn.Parameter(noise(16, 32)), nn.Parameter(noise(16))
        optimizer = Muon([weight, bias], {weight: 1} if matrix else {}, lr=0.01, weight_decay=0.0)
        for number in range(3):
            weight.grad, bias.grad = noise(16, 32) * 10.0**number, noise(16)
            optimizer.step()
        return weight.detach() - noise(16, 32), bias.detach()

    (turned, bias), (adams, same) = trained(matrix=True), trained(matrix=False)
    assert torch.equal(bias, same)
    assert turned.square().mean().sqrt() == pytest.approx(3 * 0.01 * STEP, rel=0.2)
    assert not torch.allclose(turned, adams, atol=1e-3)


def test_stacked_matrices_are_turned_one_by_one() -> None:
    """However steep one of them is, the others do not stand still for it."""
    stacked = nn.Parameter(torch.zeros(24, 8))
    stacked.grad = noise(24, 8) * torch.tensor([1.0, 1e-3, 1e3]).repeat_interleave(8).unsqueeze(1)
    Muon([stacked], {stacked: 3}, lr=1.0, weight_decay=0.0).step()
    sizes = [float(part.square().mean().sqrt()) for part in stacked.detach().chunk(3)]
    assert sizes == pytest.approx([STEP] * 3, rel=0.2)


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    options = LoopOptions(epochs=4, learning_rate=0.1, batch=16)

    def run(folder: str, stop_in_epoch: int | None = None) -> Tensor:
        model = new_model()
        first = next(model.parameters())
        assert isinstance(first, nn.Parameter)
        scores = fit("sides", model, Sides(model, stop_in_epoch), options, tmp_path / folder, 0, {first: 1})
        assert scores.accuracy > 0.9
        return first.detach()

    with pytest.raises(KeyboardInterrupt):
        run("killed", stop_in_epoch=2)
    assert torch.equal(run("killed"), run("whole"))


def test_the_voices_hidden_matrices_are_those_that_nothing_is_read_from() -> None:
    recipe = load_recipe("mini-care").speech
    assert isinstance(recipe, ActedSpeechRecipe)
    model = SpeechClassifier(recipe, 12, 96)
    found = model.hidden_matrices()
    others = [name for name, parameter in model.named_parameters() if parameter.ndim == 2 and parameter not in found]
    assert sorted(name.partition(".stem.")[0] for name in others if ".stem." not in name) == [
        "acoustic_target.weight",
        "encoder.attention.2.weight",
        "head.classify.weight",
        "semantic_target.weight",
        "summary_target.weight",
    ]
    assert len(found) == 1 + 4 * 4 + 3  # columns; four layers; attention over time and the head's two
    assert list(found.values()).count(3) == 4
