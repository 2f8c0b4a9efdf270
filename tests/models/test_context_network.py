"""Stage II by its parts: what a turn says by itself, and what its neighbours add to it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear

from emotrack.models.context_network import ContextConfig, ContextNetwork
from emotrack.models.conversation import relate

EMBEDDING = 6


@pytest.fixture
def network() -> ContextNetwork:
    torch.manual_seed(0)
    network = ContextNetwork(EMBEDDING, 3, ContextConfig(hidden=4, heads=2, head_width=3))
    assert network.speaker_bias is not None
    torch.nn.init.normal_(network.speaker_bias)
    return network.requires_grad_(False).eval()


def related(network: ContextNetwork, turns: Tensor) -> Tensor:
    """(K, E) turns of two people who take turns -> (K, D)."""
    count = len(turns)
    relation = relate(["Ana", "Ben"] * count)[:count, :count].unsqueeze(0)
    missing = torch.zeros(1, count, dtype=torch.bool)
    found: Tensor = network(turns.unsqueeze(0), missing, torch.tensor([count]), relation)
    return found.squeeze(0)


def test_what_a_turn_says_by_itself_is_added_to_what_it_says_among_others(network: ContextNetwork) -> None:
    turns = torch.randn(5, EMBEDDING)
    whole = related(network, turns)
    alone = linear(layer_norm(turns, (EMBEDDING,)), network.skip.weight, network.skip.bias)  # the norm has just begun
    network.skip.weight.zero_()
    network.skip.bias.zero_()
    torch.testing.assert_close(whole, related(network, turns) + alone)
    assert alone.abs().min() > 0


def test_who_speaks_matters_by_a_learned_bias(network: ContextNetwork) -> None:
    """The same bias for everybody is none, since attention is of shares."""
    turns = torch.randn(5, EMBEDDING)
    told = related(network, turns)
    network.speaker_bias[:] = 7.0  # type: ignore[index]
    alike = related(network, turns)
    assert (told - alike).abs().max() > 0.01
    network.speaker_bias = None
    torch.testing.assert_close(related(network, turns), alike)


def test_a_missing_turn_begins_as_a_vector_of_about_unit_length() -> None:
    torch.manual_seed(0)
    assert float(ContextNetwork(400, 3, ContextConfig()).absent.detach().norm()) == pytest.approx(1.0, abs=0.2)


def test_a_turn_hears_those_before_and_after_it(network: ContextNetwork) -> None:
    turns = torch.randn(5, EMBEDDING)
    before, after = turns.clone(), turns.clone()
    before[0], after[4] = torch.randn(EMBEDDING), torch.randn(EMBEDDING)
    for changed in (before, after):
        assert (related(network, turns)[2] - related(network, changed)[2]).abs().max() > 0.001
