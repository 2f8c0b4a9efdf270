"""Every epoch of a training as TensorBoard shows it: one run for each training, ``FOLDER/RUN/TRAINING``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotrack.errors import UsageError
from emotrack.models.extras import missing_extra
from emotrack.train.learning.listening import listening


@contextmanager
def shown_in_tensorboard(folder: Path | None) -> Iterator[None]:
    """For a while, write loss and scores of every epoch for TensorBoard; without a folder, nothing.

    Raises:
        UsageError: the package is missing, or ``folder`` is a file.
    """
    if folder is None:
        yield
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--tensorboard {folder}: is no folder")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(missing_extra(error) or f"tensorboard cannot be imported: {error}") from error

    def write(training: str, run: Path, record: Mapping[str, Any]) -> None:
        with SummaryWriter(str(folder / run.name / training)) as writer:
            for name, value in numbers_in(record).items():
                writer.add_scalar(name, value, record["epoch"])

    with listening(write):
        yield


def numbers_in(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a log's line but that of the epoch, those of labels as ``f1/joy``."""
    found = {name: float(value) for name, value in record.items() if _is_number(value) and name != "epoch"}
    for name, values in record.items():
        if isinstance(values, Mapping):
            found |= {f"{name}/{label}": float(value) for label, value in values.items() if _is_number(value)}
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
