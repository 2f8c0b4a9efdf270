"""The one training loop that every stage runs in.

Deterministic by seed (an epoch draws from a generator seeded by seed and epoch, so a resumed run takes the same
batches), resumable after a kill (state is written after every epoch, safetensors and JSON only), watched for collapse,
and it keeps the epoch that was best on dev. It trains on the GPU where there is one, and on several when ``torchrun``
starts it (see ``ranks``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, cast

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from emotrack.models.bfloat16 import has_bfloat16
from emotrack.models.sizes import Count, Dropout, Positive, Weight
from emotrack.train.errors import DivergedError
from emotrack.train.learning.collapse import Measured, check_collapse
from emotrack.train.learning.listening import tell
from emotrack.train.learning.muon import Muon
from emotrack.train.running.files import read_whole, write_whole
from emotrack.train.running.progress import epochs_bar
from emotrack.train.running.ranks import add_up, add_up_gradients, from_rank_0, rank, ranks, training_device, wait

Batch = TypeVar("Batch", bound=Sequence[Any])
Found_co = TypeVar("Found_co", bound=Measured, covariant=True)


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """How a stage is optimised.

    Raises:
        ValueError: a number is out of its bounds.
    """

    epochs: Count
    learning_rate: Positive
    batch: Count
    warmup: Dropout = 0.1  # share of all steps in which the learning rate rises
    schedule: Literal["cosine", "constant"] = "cosine"  # then it falls to zero in a cosine, or stays
    betas: tuple[Dropout, Dropout] = (0.9, 0.999)  # of Adam
    weight_decay: Weight = 0.01
    clip: Positive = 1.0  # largest norm of a gradient
    bf16: bool = True  # half-width arithmetic in the forward pass, where the machine has it
    patience: Count | None = None  # epochs without a better one after which it stops early


class Task(Protocol, Generic[Batch, Found_co]):
    """A stage's own part in the loop. A batch is a sequence of items, since ranks share it."""

    metric: str  # what of that the best epoch is chosen by; more is better

    def batches(self, generator: torch.Generator) -> list[Batch]: ...

    def loss(self, batch: Batch) -> Tensor: ...

    def evaluate(self) -> Found_co: ...


def fit(
    name: str,
    model: nn.Module,
    task: Task[Batch, Found_co],
    options: LoopOptions,
    folder: Path,
    seed: int,
    matrices: Mapping[Tensor, int] | None = None,
) -> Found_co:
    """Train ``model``, leave the weights of its best epoch in it, and return that epoch's dev scores.

    Args:
        name: what the progress bar and the log call this training.
        model: everything in it that requires a gradient is trained.
        task: batches, loss and dev evaluation.
        options: how to optimise.
        folder: gets ``NAME.jsonl`` (a line per epoch), ``NAME-best.safetensors`` and, while unfinished, the state; of
            weights, those that are trained.
        seed: of batches, dropout and augmentation.
        matrices: those of the model that Muon trains, all else is AdamW's.

    Raises:
        DivergedError: the loss is no longer finite.
        CollapsedError: the best epoch does not tell items apart, and that is not accepted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    device = training_device()
    model.to(device)
    state = _State(folder, name)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = Muon(
        parameters,
        matrices or {},
        lr=options.learning_rate,
        betas=options.betas,
        weight_decay=options.weight_decay,
        fused=True,
    )
    done, best, best_epoch = state.resume(model, optimizer, options.epochs)
    steps = len(task.batches(_generator(seed, 0)))
    with epochs_bar(hidden=rank() > 0) as progress:
        bar = progress.add_task(name, total=options.epochs * steps, completed=done * steps, note="")
        for epoch in range(done, options.epochs):
            if options.patience is not None and epoch - best_epoch >= options.patience:
                break
            generator = _generator(seed, epoch)
            torch.manual_seed(seed * 1000 + epoch + rank() * 1_000_003)  # dropout, another on every rank
            total = torch.zeros((), device=device)  # ()
            model.train()
            batches = task.batches(generator)
            for step, batch in enumerate(batches):
                rate = _rate((epoch + step / len(batches)) / options.epochs, options)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.zero_grad(set_to_none=True)
                share = cast("Batch", batch[rank() :: ranks()])
                if len(share) > 0:
                    with arithmetic(device, half=options.bf16):
                        loss = task.loss(share) * (len(share) / len(batch))
                    if not math.isfinite(loss.item()):
                        raise DivergedError(f"{name}: the loss is no longer finite in epoch {epoch + 1}")
                    loss.backward()  # type: ignore[no-untyped-call]
                    total += loss.detach()
                add_up_gradients(parameters)
                nn.utils.clip_grad_norm_(parameters, options.clip)
                optimizer.step()
                # As a share of the epoch, which may have a few batches more or fewer than the first.
                progress.update(bar, completed=(epoch + (step + 1) / len(batches)) * steps)
            add_up([total])
            scores = dev_scores(model, task) if rank() == 0 else None
            value = from_rank_0(0.0 if scores is None else float(getattr(scores, task.metric)), device)
            if is_best := value > best:
                best, best_epoch = value, epoch + 1
            if scores is not None:
                record = {"epoch": epoch + 1, "loss": round(float(total) / len(batches), 4), **scores.to_dict()}
                state.write(model, optimizer, record, (best, best_epoch), is_best=is_best)
                tell(name, folder, record)
            progress.update(bar, note=f"{task.metric} {value:.3f}, best {best:.3f}")
    return state.finish(model, task)


@contextmanager
def arithmetic(device: torch.device, *, half: bool) -> Iterator[None]:
    """Half width if that is wanted and the machine has it.

    On a processor, for short sequences, plain attention beats the fused kernel.
    """
    attention = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    with attention, torch.autocast(device.type, torch.bfloat16, enabled=half and _has_bf16(device)):
        yield


def _has_bf16(device: torch.device) -> bool:
    """Whether it multiplies in half width."""
    return device.type != "cpu" or has_bfloat16()


def dev_scores(model: nn.Module, task: Task[Batch, Found_co]) -> Found_co:
    """The task's dev scores, with dropout off."""
    model.eval()
    with torch.inference_mode():
        return task.evaluate()


def pad(sequences: list[Tensor], multiple: int) -> tuple[Tensor, Tensor]:
    """Sequences of different lengths as one batch.

    Args:
        sequences: each (T, ...).
        multiple: the padded length is one of this, since every new shape costs the processor's kernels a compilation.

    Returns:
        (B, T, ...) padded with zeros, and (B,) lengths.
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences])  # (B,)
    padded = nn.utils.rnn.pad_sequence(sequences, batch_first=True)  # (B, T, ...)
    missing = -padded.shape[1] % multiple
    return torch.cat([padded, padded.new_zeros(len(padded), missing, *padded.shape[2:])], dim=1), lengths


def shuffled_batches(lengths: Iterable[int], size: int, generator: torch.Generator) -> list[list[int]]:
    """Split items into batches of similar length, so that little is padded, in random order.

    Items are shuffled, cut into pools of 50 batches, and sorted by length inside a pool only.
    """
    known = list(lengths)
    order = torch.randperm(len(known), generator=generator).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(order), 50 * size):
        pool = sorted(order[start : start + 50 * size], key=known.__getitem__)
        batches.extend(pool[first : first + size] for first in range(0, len(pool), size))
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]


class _State:
    """The files of one training run."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = folder / f"{name}.jsonl"
        self.best = folder / f"{name}-best.safetensors"
        self.last = folder / f"{name}-last.safetensors"

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer, epochs: int) -> tuple[int, float, int]:
        """Load the state that an earlier run left: (epochs done, best dev value, its epoch)."""
        found = (epochs if self.log.is_file() else 0), -math.inf, 0
        if self.last.is_file():
            found = self._load(model, optimizer)
        wait()  # before rank 0 changes the files
        return found

    def _load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float, int]:
        tensors, facts = read_whole(self.last)
        _put(model, {name[6:]: value for name, value in tensors.items() if name.startswith("model.")})
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                moments.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
        if rank() == 0:
            self.log.write_text(facts["log"])
        return int(facts["epochs"]), float(facts["best"]), int(facts["best_epoch"])

    def write(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        record: dict[str, Any],
        best: tuple[float, int],
        *,
        is_best: bool,
    ) -> None:
        """Keep an epoch: its weights if they are the best, all that is needed to go on from it, and its log line.

        In this order, so that a kill in between costs nothing, and a run with a log and no state is a finished one.
        """
        frozen = {name for name, each in model.named_parameters() if not each.requires_grad}
        weights = {name: value.contiguous() for name, value in model.state_dict().items() if name not in frozen}
        moments = {
            f"optimizer.{index}.{key}": value
            for index, values in optimizer.state_dict()["state"].items()
            for key, value in values.items()
        }
        log = (self.log.read_text() if record["epoch"] > 1 else "") + json.dumps(record) + "\n"
        facts = {"epochs": str(record["epoch"]), "best": str(best[0]), "best_epoch": str(best[1]), "log": log}
        if is_best:
            write_whole(weights, self.best, {})
        write_whole({f"model.{name}": value for name, value in weights.items()} | moments, self.last, facts)
        self.log.write_text(log)

    def finish(self, model: nn.Module, task: Task[Batch, Found_co]) -> Found_co:
        wait()  # for rank 0 to have written the best
        _put(model, read_whole(self.best)[0])
        scores = dev_scores(model, task)
        wait()
        if rank() == 0:
            self.last.unlink(missing_ok=True)
        check_collapse(self.name, scores)
        return scores


def _put(model: nn.Module, trained: dict[str, Tensor]) -> None:
    """Load the weights that were trained; the others are as they were when training began."""
    model.load_state_dict(model.state_dict() | trained)


def _rate(progress: float, options: LoopOptions) -> float:
    if progress < options.warmup:
        return options.learning_rate * progress / options.warmup
    if options.schedule == "constant":
        return options.learning_rate
    return (
        options.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (progress - options.warmup) / (1.0 - options.warmup)))
    )


def _generator(seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed * 1000 + epoch)
