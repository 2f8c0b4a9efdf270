"""Files of a run are whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from emotrack.train.errors import TrainError
from emotrack.train.running.files import read_whole, write_json, write_whole
from tests.models.test_files import full_disk


def test_tensors_that_cannot_be_written_or_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"x\.safetensors: cannot be written"):
        write_whole({"a": torch.zeros(2)}, tmp_path / "no such folder/x.safetensors", {})
    write_whole({"a": torch.zeros(2)}, tmp_path / "x.safetensors", {"b": "c"})
    tensors, facts = read_whole(tmp_path / "x.safetensors")
    assert (tensors["a"].tolist(), facts) == ([0, 0], {"b": "c"})
    whole = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(whole[:-4])
    with pytest.raises(TrainError, match=r"x\.safetensors: is damaged"):
        read_whole(tmp_path / "x.safetensors")


def test_a_full_disk_leaves_the_tensors_that_were_there(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_whole({"a": torch.zeros(2)}, path, {})
    good = path.read_bytes()
    with full_disk(1000), pytest.raises(TrainError, match=r"x\.safetensors: cannot be written"):
        write_whole({"a": torch.zeros(2000)}, path, {})
    assert path.read_bytes() == good
    assert list(tmp_path.iterdir()) == [path]


def test_json_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json({"seed": 1}, path)
    with pytest.raises(TypeError):
        write_json({"seed": object()}, path)
    assert json.loads(path.read_text()) == {"seed": 1}
    assert list(tmp_path.iterdir()) == [path]
