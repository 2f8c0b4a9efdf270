"""Weights that the hub has as a pickle alone, made into safetensors: the one place where a pickle is opened.

A pickle may run any program when it is read. torch's ``weights_only`` builds nothing but tensors and plain containers
of them, and refuses all else. Even so it is done by a command of its own, for a file that its user names by its hash.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import torch
from torch import Tensor

from emotrack.errors import UsageError
from emotrack.models.hub import DESCRIPTION, download
from emotrack.train.errors import TrainError
from emotrack.train.running.files import write_whole

PICKLE = "pytorch_model.bin"


def convert(name: str, out: Path, sha256: str | None) -> Path:
    """Write an encoder's pickled weights, its configuration and its vocabulary to ``out``, in safetensors -> ``out``.

    Args:
        name: a folder or hub id, as a recipe names it.
        out: a folder that a recipe may name in its place; made when missing.
        sha256: of the pickle that is meant.

    Raises:
        UsageError: that is not its hash, or none was given; the message says what it is.
        TrainError: there is no such file, or it holds other things than weights.
        HubError: not to be had from the hub.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        repository, _, revision = name.partition("@")
        folder = download(repository, (*DESCRIPTION, PICKLE), revision or None)
    pickle = folder / PICKLE
    if not pickle.is_file():
        raise TrainError(f"{name}: has no {PICKLE}")
    with pickle.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 is None:
        raise UsageError(f"{pickle}: is a pickle of the SHA-256 {found}: if you trust it, say --sha256 {found}")
    if sha256.lower() != found:
        raise UsageError(f"{pickle}: is another file than the one that is meant: its SHA-256 is {found}")
    weights = _weights(pickle)
    out.mkdir(parents=True, exist_ok=True)
    for each in (file for pattern in DESCRIPTION for file in folder.glob(pattern)):
        if not each.name.endswith(".index.json"):
            shutil.copyfile(each, out / each.name)
    write_whole(weights, out / "model.safetensors", {"format": "pt"})
    return out


def _weights(pickle: Path) -> dict[str, Tensor]:
    """The tensors in a pickle, each with memory of its own."""
    try:
        found = torch.load(pickle, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged one raises is anything
        raise TrainError(f"{pickle}: holds other things than weights, or is damaged: {type(error).__name__}") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise TrainError(f"{pickle}: is no table of weights")
    return {str(key): value.clone().contiguous() for key, value in found.items()}
