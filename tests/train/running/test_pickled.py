"""Weights from a pickle: only on the user's word, and nothing but weights."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from emotrack.command_line import main
from emotrack.models.hub_encoders import HubSpeechEncoder
from tests.train.conftest import save_hub_encoder


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """A folder as the hub has one of WavLM: its weights are a pickle."""
    folder = tmp_path / "wavlm"
    shape: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    convolutions: dict[str, Any] = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8}
    config = transformers.WavLMConfig(**shape, **convolutions, intermediate_size=32, num_conv_pos_embedding_groups=2)
    save_hub_encoder(config, folder, 0)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_pickle_becomes_safetensors_once_its_hash_is_named(
    pickled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    sha256 = hashlib.sha256((pickled / "pytorch_model.bin").read_bytes()).hexdigest()
    another = f"is another file than the one that is meant: its SHA-256 is {sha256}"
    for words, says in ((), f"is a pickle of the SHA-256 {sha256}"), (("--sha256", "0" * 64), another):
        assert main(["train", "convert", str(pickled), "--out", str(out), *words]) == 2
        assert f"pytorch_model.bin: {says}" in capsys.readouterr().err
        assert not out.exists()
    assert main(["train", "convert", str(pickled), "--out", str(out), "--sha256", sha256.upper()]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    weights = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    kept = load_file(out / "model.safetensors")
    assert kept.keys() == weights.keys()
    assert all(torch.equal(kept[name], value) for name, value in weights.items())
    assert HubSpeechEncoder.from_hub(str(out)).layers == 3


def test_a_pickle_that_would_run_something_is_refused(
    pickled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Program:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    for harmful in (Program(), {"weight": Program()}, {"weight": "text"}):
        with (pickled / "pytorch_model.bin").open("wb") as file:
            pickle.dump(harmful, file, protocol=2)  # as torch writes them
        sha256 = hashlib.sha256((pickled / "pytorch_model.bin").read_bytes()).hexdigest()
        assert main(["train", "convert", str(pickled), "--out", str(tmp_path / "out"), "--sha256", sha256]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"emotrack train convert: {pickled}/pytorch_model.bin: ")
        assert not (tmp_path / "ran").exists()
        assert not (tmp_path / "out").exists()
