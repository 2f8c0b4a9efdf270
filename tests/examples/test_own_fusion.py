"""The example that puts another fusion into stage III."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from emotrack.models import network
from emotrack.models.co_attention import CoAttention
from tests.models.conftest import tiny_network

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_fusion.py"


def test_a_network_has_the_fusion_of_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "CoAttention", CoAttention)  # as it is, and as it is afterwards
    found = runpy.run_path(str(EXAMPLE))
    fusion = tiny_network(3).co_attention
    assert isinstance(fusion, found["GatedFusion"])
    text, speech = torch.randn(2, 1, 3, fusion.reduce.out_features, generator=torch.Generator().manual_seed(0))
    missing = torch.tensor([[False, True, False]])  # (1, 3)
    states = fusion(text, speech, missing, ~missing)  # (1, 3, D): nothing but what is there counts
    others = fusion(
        text.masked_fill(missing.unsqueeze(-1), 5.0), speech.masked_fill(~missing.unsqueeze(-1), 5.0), missing, ~missing
    )
    assert torch.equal(states, others)
    assert not torch.equal(states, fusion(text + 1.0, speech, missing, ~missing))
