"""Training on several GPUs, or in several processes, started by ``torchrun``: each of them is a rank.

Every rank holds the whole model, takes its share of each batch, and the gradients are added up, weighted by how many
items each had: a step is that of one process with the whole batch where the loss is a mean over items, and nearly so
where it is one over turns or frames, of which one rank may have more. Rank 0 alone writes files and looks at dev.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed, nn

from emotrack.errors import EmotrackError, UsageError
from emotrack.tracker.options import Bounds, environment_number
from emotrack.train.errors import TrainError

PATIENCE = timedelta(hours=2)  # that the others wait for rank 0 to read data or evaluate


@contextmanager
def joined(*, jobs: int = 1) -> Iterator[None]:
    """Join the other ranks for a while, if ``torchrun`` started this process; else do nothing.

    Raises ``UsageError`` or ``TrainError`` where the environment is not torchrun's, or several ``jobs`` are wanted, of
    which each would need ranks of its own.
    """
    if environment_number("WORLD_SIZE", Bounds(1, 100_000), 1) == 1:
        yield
        return
    if jobs > 1:
        raise UsageError("--jobs trains seeds side by side, torchrun one seed on several GPUs: use one of them")
    if torch.cuda.is_available():
        torch.cuda.set_device(environment_number("LOCAL_RANK", Bounds(0, torch.cuda.device_count() - 1), 0))
    try:
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    except ValueError as error:
        raise TrainError(f"torchrun's environment cannot be used: {' '.join(str(error).split())}") from error
    try:
        yield
    except EmotrackError as error:
        _tell_torchrun(error)
        raise
    finally:
        distributed.destroy_process_group()


def _tell_torchrun(error: EmotrackError) -> None:
    """Note why this rank ends where torchrun looks: it closes with that, below a traceback of its own."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        facts = {"message": {"message": str(error), "extraInfo": {"timestamp": str(int(time.time()))}}}
        with suppress(OSError):
            Path(path).write_text(json.dumps(facts), encoding="utf-8")


def rank() -> int:
    """Which of the ranks this process is."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def ranks() -> int:
    """How many there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def training_device() -> torch.device:
    """This rank's GPU, or the processor where there is none."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are: batches go there too."""
    return next(model.parameters()).device


def wait() -> None:
    """Until every rank is here."""
    if distributed.is_initialized():
        distributed.barrier()


@contextmanager
def rank_0_first() -> Iterator[None]:
    """Rank 0 has left this block when the others enter it: it may write a file that they read."""
    if rank() > 0:
        wait()
    yield
    if rank() == 0:
        wait()


def add_up(values: Sequence[Tensor]) -> None:
    """Replace tensors of one type by their sums over all ranks."""
    if distributed.is_initialized():
        flat = torch.cat([value.flatten() for value in values])
        distributed.all_reduce(flat)
        totals = torch.split(flat, [value.numel() for value in values])
        for value, total in zip(values, totals, strict=True):
            value.copy_(total.view_as(value))


def add_up_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """The gradients of this rank's share of a batch become those of the whole batch."""
    if distributed.is_initialized():
        for parameter in parameters:
            if parameter.grad is None:  # this rank's share did not need it, or was empty
                parameter.grad = torch.zeros_like(parameter)
        add_up([parameter.grad for parameter in parameters if parameter.grad is not None])


def from_rank_0(value: float, device: torch.device) -> float:
    """The number that rank 0 has."""
    if not distributed.is_initialized():
        return value
    shared = torch.tensor(value, dtype=torch.float64, device=device)  # ()
    distributed.broadcast(shared, src=0)
    return float(shared)
