"""Every epoch of a training as TensorBoard shows it: one run for each training, ``FOLDER/RUN/TRAINING``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emotrack.errors import UsageError
from emotrack.models.extras import missing_extra
from emotrack.train.learning.listening import listening, numbers_in


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
