"""The stages whose speed is measured compute what they are named for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from benchmarks.encoders import context, fusion, speech_head

CPU = torch.device("cpu")


@pytest.mark.parametrize("make", [speech_head, context, fusion])
def test_a_stage_that_trains_has_a_loss_that_reaches_its_weights(
    make: Callable[[torch.device, int], tuple[nn.Module, Callable[[], Tensor]]],
) -> None:
    model, loss = make(CPU, 1)
    found = loss()
    assert found.shape == ()
    assert bool(found.isfinite())
    found.backward()
    assert any(parameter.grad is not None for parameter in model.parameters())
