"""Files of a run that are whole or not there: a kill leaves the old one or the new one."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from emotrack.models.files import whole_file, write_files
from emotrack.train.errors import TrainError


def write_whole(tensors: dict[str, Tensor], path: Path, facts: dict[str, str]) -> None:
    """Write tensors with some facts; a reader who finds the file finds all of it. Raises ``TrainError``."""
    try:
        with whole_file(path) as unfinished:
            save_file(tensors, unfinished, metadata=facts)
    except (SafetensorError, OSError) as error:
        raise TrainError(f"{path}: cannot be written: {error}") from error


def read_whole(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and facts that ``write_whole`` wrote. Raises ``TrainError`` where something else has damaged it."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise TrainError(_damaged(path, error)) from error


def read_facts(path: Path) -> dict[str, str]:
    """The facts alone that ``write_whole`` wrote. Raises ``TrainError`` where something else has damaged the file."""
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise TrainError(_damaged(path, error)) from error


def write_json(value: object, path: Path) -> None:
    """Write one JSON value; a reader who finds the file finds all of it."""
    write_files({path: json.dumps(value, indent=1) + "\n"})


def _damaged(path: Path, error: SafetensorError) -> str:
    return f"{path}: is damaged; without it, what it held is made anew: {error}"
