"""Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685): a frozen encoder learns a small correction of each layer.

A linear layer's weight W stays as it is, and W + (alpha / rank) B A takes its place, where A makes ``rank`` numbers of
the layer's input and B, which begins at zero, its output of these. Only A and B are trained. Afterwards they are merged
into W: what is kept is an encoder as any other, as large and as quick as without.

Notation: I inputs of a layer, O outputs, R rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from emotrack.models.sizes import Dropout, Name, Positive
from emotrack.train.errors import TrainError
from emotrack.train.running.ranks import training_device

Rank = Annotated[int, Field(strict=True, ge=1, le=1_024)]


@dataclass(frozen=True)
class LoraOptions:
    """Which layers are adapted, and how.

    Raises:
        ValueError: a number is out of its bounds.
    """

    rank: Rank = 16
    alpha: Positive = 32.0  # the correction is multiplied by alpha / rank
    dropout: Dropout = 0.05  # of what the adapters read
    targets: tuple[Name, ...] = ()  # layers by the last part of their names ("q_proj"); without, every linear one:
    # those of attention alone fall short of training all weights (Dettmers et al. 2023, arXiv 2305.14314, section 4)


@contextmanager
def adapted(encoder: nn.Module, options: LoraOptions | None, seed: int) -> Iterator[None]:
    """Have adapters trained in the place of an encoder's weights, and merge them at the end; without options, nothing.

    On a GPU the frozen weights are bfloat16 until then, and what is no weight stays as it is: frequencies of rotary
    positions would suffer.

    Args:
        encoder: of the hub.
        options: of the adapters.
        seed: of their first weights.

    Raises:
        TrainError: the encoder has no layer of a name.
    """
    if options is None:
        yield
        return
    layers = adapted_layers(encoder, options)
    encoder.requires_grad_(False)
    if training_device().type == "cuda":
        for weight in encoder.parameters():
            weight.data = weight.data.bfloat16()
    generator = torch.Generator().manual_seed(seed)
    for name, layer in layers.items():
        encoder.set_submodule(name, LowRank(layer, options, generator))
    yield
    for name in layers:
        encoder.set_submodule(name, encoder.get_submodule(name).merged())  # type: ignore[operator]
    for weight in encoder.parameters():
        weight.data = weight.data.float()


def adapted_layers(encoder: nn.Module, options: LoraOptions) -> dict[str, nn.Module]:
    """The layers that get adapters, by name. Raises ``TrainError`` where one that is asked for is not there."""
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    linear = {name: each for name, each in encoder.named_modules() if isinstance(each, nn.Linear | Conv1D)}
    known = {name.rpartition(".")[2] for name in linear}
    if unknown := sorted(set(options.targets) - known):
        names = ", ".join(sorted(known))
        raise TrainError(f"text.lora.targets: the encoder has no linear layer {unknown[0]!r}, but {names}")
    wanted = set(options.targets) or known
    return {name: each for name, each in linear.items() if name.rpartition(".")[2] in wanted}


class LowRank(nn.Module):
    """A frozen linear layer with its adapter."""

    def __init__(self, base: Any, options: LoraOptions, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.is_transposed = not isinstance(base, nn.Linear)  # GPT-2's weight is (I, O)
        outputs, inputs = base.weight.T.shape if self.is_transposed else base.weight.shape
        self.dropout = nn.Dropout(options.dropout)
        self.down = nn.Parameter(torch.empty(options.rank, inputs))  # (R, I)
        self.up = nn.Parameter(torch.zeros(outputs, options.rank))  # (O, R)
        self.scale = options.alpha / options.rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5), generator=generator)  # as a linear layer begins

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        read = self.dropout(inputs.to(self.down.dtype))  # (..., I)
        correction = nn.functional.linear(nn.functional.linear(read, self.down), self.up)  # (..., O)
        found: Tensor = self.base(inputs) + (self.scale * correction).to(inputs.dtype)  # (..., O)
        return found

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """The layer with its correction in its weight, and without an adapter."""
        correction = self.scale * self.up @ self.down  # (O, I)
        weight = self.base.weight.float() + (correction.T if self.is_transposed else correction)
        self.base.weight = nn.Parameter(weight.contiguous())
        base: nn.Module = self.base
        return base
