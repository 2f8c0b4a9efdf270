"""Muon: hidden matrices take steps in which every direction counts alike (Jordan et al. 2024, kellerjordan.github.io).

Adam's step of a matrix is mostly a few directions, those that all examples agree on. Muon takes the momentum and makes
all its singular values about 1, by an iteration that needs matrix products alone, so that what few examples ask for is
learned as quickly. Everything that is no hidden matrix is left to Adam: convolutions, norms, biases, output layers.

The step is scaled as that of Adam usually is (Liu et al., arXiv 2502.16982), so both share a learning rate. torch has a
Muon of its own, which works in bfloat16; without hardware for that it takes more than three times as long.

Notation: R rows, S columns of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the polynomial that brings singular values near to 1 most quickly
STEP = 0.25  # root mean square of a step, in learning rates


class Muon(torch.optim.AdamW):
    """AdamW, save that some parameters are hidden matrices."""

    def __init__(self, parameters: Iterable[nn.Parameter], matrices: Mapping[Tensor, int], **options: Any) -> None:
        """Optimise ``parameters``.

        Args:
            parameters: all of them, the matrices among them.
            matrices: hidden matrices, each with how many are stacked in it, one above the other.
            options: of AdamW; learning rate and weight decay are those of the matrices too.
        """
        super().__init__(parameters, **options)
        self.matrices = matrices

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step; the matrices' gradients are used up by it."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter in self.matrices and parameter.grad is not None:
                    self._turn(parameter, parameter.grad, group["lr"], group["weight_decay"])
                    parameter.grad = None
        loss: float | None = super().step(closure)
        return loss

    def _turn(self, matrix: Tensor, gradient: Tensor, rate: float, decay: float) -> None:
        state = self.state[matrix]
        if not state:
            state["step"] = torch.zeros(())  # () as Adam wants one of everything that it keeps something of
            state["momentum"] = torch.zeros_like(matrix)  # (R, S)
        momentum = state["momentum"]  # (R, S)
        momentum.lerp_(gradient, 1.0 - MOMENTUM)
        ahead = torch.lerp(gradient, momentum, MOMENTUM)  # (R, S) where the momentum will be (Nesterov)
        turns = [
            orthogonal(part) * max(part.shape) ** 0.5 for part in ahead.chunk(self.matrices[matrix])
        ]  # root mean square 1
        matrix.mul_(1.0 - rate * decay).add_(torch.cat(turns), alpha=-rate * STEP)


def orthogonal(matrix: Tensor) -> Tensor:
    """(R, S) -> (R, S) with the same singular vectors, and singular values of about 1 (Newton-Schulz)."""
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.T).T
    a, b, c = COEFFICIENTS
    matrix = matrix / (matrix.norm() + 1e-7)  # (R, S)
    for _ in range(ITERATIONS):
        square = matrix @ matrix.T  # (R, R)
        matrix = a * matrix + (b * square + c * square @ square) @ matrix  # (R, S)
    return matrix
