"""What a stage was made of and by what, noted in its metrics, so that no run goes on with other data unnoticed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from emotrack.train.errors import TrainError
from emotrack.train.running.ranks import ranks

RECORDINGS = (".wav", ".flac", ".ogg", ".mp3", ".mp4", ".avi")  # many and large: told apart by name and size


def addresses(data: Mapping[str, Path]) -> dict[str, str]:
    """Content addresses of files and folders, wherever they lie; of those that are there.

    Raises:
        TrainError: a file cannot be read.
    """
    return {name: _address(path) for name, path in data.items() if path.exists()}


def check_data(measured: Mapping[str, Any], data: Mapping[str, Path], trained: Path) -> None:
    """Compare the data that a stage was trained on with those of the run now, as far as both are known.

    Args:
        measured: the stage's metrics, with what ``addresses`` found then as ``data``.
        data: given now.
        trained: the stage's folder.

    Raises:
        TrainError: something differs.
    """
    kept = measured.get("data", {})
    differ = [name for name, found in addresses(data).items() if kept.get(name, found) != found]
    if differ:
        raise TrainError(f"{trained}: was trained on another {' and another '.join(differ)}: choose another --out")


def made_by(recipe: object) -> dict[str, Any]:
    """The program, torch, the device and the recipe that a stage is made with, as JSON takes it.

    Of folders that a recipe names, the name alone is kept.
    """
    cuda = torch.cuda.is_available()
    return {
        "emotrack": version("emotrack"),
        "commit": _commit(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "processes": ranks(),
        "recipe": _without_places(TypeAdapter(type(recipe)).dump_python(recipe, mode="json", exclude_none=True)),
    }


@cache
def _commit() -> str | None:
    """The commit of the checkout that this is, with "-dirty" where it has been changed; None where it is none."""
    root = Path(__file__).resolve().parents[2]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    words = [git, "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or None


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_places(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_places(each) for each in value]
    return Path(value).name if isinstance(value, str) and "/" in value and Path(value).expanduser().exists() else value


@cache  # a corpus may be large, and every stage of a run asks
def _address(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        for name, file in _files(path):
            digest.update(f"{name}\0{file.stat().st_size}\0".encode())
            if file.suffix.lower() not in RECORDINGS:
                with file.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError as error:
        raise TrainError(f"{error.filename}: {error.strerror}") from error
    return digest.hexdigest()[:32]


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """All files under a path but hidden ones, with their names below it, in one order on every machine."""
    if path.is_file():
        yield "", path
        return
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), file
