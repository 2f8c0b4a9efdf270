"""Files of a run that are whole or not there: a kill leaves the old one or the new one."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from emotrack.train.errors import TrainError


def write_whole(tensors: dict[str, Tensor], path: Path, facts: dict[str, str]) -> None:
    """Write tensors with some facts; whoever finds the file finds all of it. Raises ``TrainError``."""
    partial = path.with_suffix(".partial")
    try:
        save_file(tensors, partial, metadata=facts)
    except SafetensorError as error:
        raise TrainError(f"{path}: cannot be written: {error}") from error
    partial.replace(path)


def read_whole(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What ``write_whole`` wrote: tensors and facts. Raises ``TrainError`` where something else has damaged it."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise TrainError(f"{path}: is damaged; without it, what it held is made anew: {error}") from error


def write_json(value: object, path: Path) -> None:
    """Write one JSON value; whoever finds the file finds all of it."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n")
    partial.replace(path)
