"""Stages I to III on embeddings that another program computed, and nothing else."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from emotrack.command_line import main
from emotrack.errors import EmotrackError
from emotrack.models.bundle import load_bundle
from emotrack.models.given import GivenSpeechConfig, GivenTextConfig
from emotrack.tracker.understanding.loading import _load_network
from emotrack.train.corpora.iemocap import read_iemocap
from emotrack.train.data.given import with_given
from emotrack.train.errors import TrainError
from emotrack.train.evaluation import missing
from emotrack.train.figures import table

RECIPE = """
name = "given"
corpus = "iemocap"
right_when_certain = 0.75

[text]
features = true
[[text.phases]]
corpus = "iemocap"
loop = { epochs = 20, learning_rate = 5e-2, batch = 4, bf16 = false }

[speech]
features = true
head = { hidden = 8, embedding = 8 }
loop = { epochs = 20, learning_rate = 5e-2, batch = 4, bf16 = false }

[network]
hidden = 8
heads = 1
head_width = 8
residual = false
input_dropout = 0.0

[conversations]
cut = 0.0
window = 8
withhold_speech = 0.0
withhold_text = 0.0
withhold_turn = 0.0

[stage2.text]
loop = { epochs = 15, learning_rate = 2e-2, batch = 4, bf16 = false }
[stage2.speech]
loop = { epochs = 15, learning_rate = 2e-2, batch = 4, bf16 = false }
[stage3]
loop = { epochs = 15, learning_rate = 2e-2, batch = 4, bf16 = false }
[joint]
loop = { epochs = 1, learning_rate = 1e-2, batch = 4 }
"""


@pytest.fixture(scope="module")
def features(whole_iemocap: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words tell every emotion, a voice whether it is a neutral one; the last turn of a dialogue has no voice."""
    folder = tmp_path_factory.mktemp("features")
    noise = torch.Generator().manual_seed(0)
    for split in ("train", "dev", "test"):
        corpus = read_iemocap(whole_iemocap, split)
        tensors: dict[str, Tensor] = {}
        for dialogue in corpus.dialogues:
            for turn in dialogue.turns:
                told = torch.zeros(6)
                told[corpus.labels.index(turn.emotion) if turn.emotion else 5] = 1.0
                tensors[f"text/{dialogue.name}/{turn.name}"] = told + 0.05 * torch.randn(6, generator=noise)
                if turn is not dialogue.turns[-1]:
                    voice = torch.tensor([float(turn.emotion == "neutral"), 0.0, 0.5])
                    tensors[f"speech/{dialogue.name}/{turn.name}"] = voice + 0.05 * torch.randn(3, generator=noise)
        save_file(tensors, folder / f"{split}.safetensors")
    return folder


@pytest.fixture(scope="module")
def words(features: Path, whole_iemocap: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    recipe = tmp_path_factory.mktemp("recipe") / "given.toml"
    recipe.write_text(RECIPE)
    return ["--recipe", str(recipe), "--data", f"iemocap={whole_iemocap}", "--data", f"features={features}"]


@pytest.fixture(scope="module")
def run(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("given")
    assert main(["train", "table", *words, "--split", "test", "--out", str(out)]) == 0
    return out / "given/staged/seed-0"


def test_a_bundle_comes_of_embeddings_alone(run: Path, features: Path) -> None:
    network = load_bundle(run / "bundle")
    assert network.config.text == GivenTextConfig(6, features.name)
    assert network.config.speech == GivenSpeechConfig(3, features.name)
    assert "embeddings that another program computed" in (run / "bundle/README.md").read_text()
    first, last = (load_file(run / name / "model.safetensors") for name in ("stage1", "bundle"))
    assert all(torch.equal(value, last[name]) for name, value in first.items())


def test_it_is_scored_on_embeddings(
    run: Path, features: Path, whole_iemocap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--bundle", str(run / "bundle"), "--corpus", "iemocap", "--data", str(whole_iemocap), "--split", "test"]
    assert main(["evaluate", *words, "--features", str(features), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["by_modalities"]
    assert {name: each["count"] for name, each in scores.items()} == {"both": 4, "speech": 3, "text": 4}
    assert scores["text"]["accuracy"] == 1.0
    assert (run.parents[2] / "table.md").read_text().count("| words, stage") == 2


def test_the_table_sweeps_over_missing_words_and_voices(
    run: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "SHARES", (0.0, 0.5, 1.0))
    for seed in (0, 1):
        shutil.copytree(run, tmp_path / f"given/staged/seed-{seed}")
        note = tmp_path / f"given/staged/seed-{seed}/run.json"
        note.write_text(json.dumps(json.loads(note.read_text()) | {"seed": seed}))
    command = ["train", "table", *words, "--split", "test", "--seed", "0", "1", "--out", str(tmp_path)]
    assert main([*command, "--missing"]) == 0
    with (tmp_path / "missing/given-test-online.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["seed"], row["mode"]) for row in rows} == {("0", "online"), ("1", "online")}
    assert len(rows) == 2 * 2 * (1 + 5 + 1)
    with (tmp_path / "table.csv").open(newline="") as file:
        whole = next(row for row in csv.DictReader(file) if (row["stage"], row["mode"]) == ("III", "online"))
    assert {row["weighted_f1"] for row in rows if row["share"] == "0.0"} == {whole["weighted_f1"]}
    assert "of 5 draws with each of 2 seeds" in (tmp_path / "missing/given-test-offline.md").read_text()
    monkeypatch.setattr(table, "encode_corpus", None)
    assert main([*command, "--missing"]) == 0, "what is scored is not scored again"
    assert main(command) == 0


def test_it_cannot_listen_or_read_by_itself(
    run: Path, words: list[str], whole_iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EmotrackError, match="it cannot listen by itself"):
        _load_network(str(run / "bundle"), "cpu")
    data = ["--corpus", "iemocap", "--data", str(whole_iemocap)]
    assert main(["evaluate", "--bundle", str(run / "bundle"), *data]) == 1
    assert "nothing of this copy of iemocap can be given to the bundle" in capsys.readouterr().err
    assert main(["train", "all", "--joint", *words, "--out", str(tmp_path)]) == 1
    assert "there is no text encoder to train" in capsys.readouterr().err


def test_embeddings_of_other_turns_are_refused(features: Path, whole_iemocap: Path, tmp_path: Path) -> None:
    corpus, good = read_iemocap(whole_iemocap, "dev"), load_file(features / "dev.safetensors")
    name = next(iter(good))
    for tensors, complaint in (
        (good | {"text/Ses09/none": torch.zeros(6)}, "1 names are of no turn of iemocap, text/Ses09/none among them"),
        (good | {name: torch.zeros(5)}, "numbers, others of"),
        (good | {name: torch.full((6,), torch.nan)}, "infinite or none"),
        (good | {"face/a/b": torch.zeros(6)}, "face/a/b is no embedding of a text/DIALOGUE/TURN"),
    ):
        save_file(tensors, tmp_path / "dev.safetensors")
        with pytest.raises(TrainError, match=complaint):
            with_given(corpus, tmp_path, "dev")
    for folder, split in ((tmp_path, "train"), (tmp_path / "dev.safetensors", "dev")):
        with pytest.raises(TrainError, match=rf"has neither {split}\.safetensors nor {split}\.parquet"):
            with_given(corpus, folder, split)


def test_embeddings_may_be_a_table(features: Path, whole_iemocap: Path, tmp_path: Path) -> None:
    corpus = read_iemocap(whole_iemocap, "dev")
    wanted = with_given(corpus, features, "dev")
    rows: list[dict[str, Any]] = [
        {"dialogue": dialogue.name, "turn": turn.name}
        | {name: turn.given[name].tolist() if name in turn.given else None for name in ("text", "speech")}
        for dialogue in wanted.dialogues
        for turn in dialogue.turns
    ]
    for kind in (pa.list_(pa.float64()), pa.large_list(pa.float32())):
        schema = pa.schema([("dialogue", pa.string()), ("turn", pa.string()), ("text", kind), ("speech", kind)])
        pa.parquet.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "dev.parquet")
        found = with_given(corpus, tmp_path, "dev")
        for turn, same in zip(found.turns, wanted.turns, strict=True):
            assert turn.given.keys() == same.given.keys()
            assert all(torch.equal(turn.given[name], same.given[name]) for name in turn.given)
    first = rows[0]
    for wrong, complaint in (
        ([*rows, first], "a turn has two rows"),
        ([{"turn": "a", "text": [1.0]}], "no column 'dialogue'"),
        ([{"dialogue": "a", "turn": "a"}], "neither a column 'text' nor 'speech'"),
        ([first | {"text": 1.0, "speech": None}], "is no list of numbers"),
        ([first | {"text": ["a"], "speech": None}], "is no list of numbers"),
        ([first | {"text": [1.0, None], "speech": None}], "infinite or none"),
        ([first | {"dialogue": "z", "text": [1.0], "speech": None}], "names are of no turn of iemocap, text/z/"),
    ):
        pa.parquet.write_table(pa.Table.from_pylist(wrong), tmp_path / "dev.parquet")
        with pytest.raises(TrainError, match=complaint):
            with_given(corpus, tmp_path, "dev")
    shutil.copy(features / "dev.safetensors", tmp_path)
    with pytest.raises(TrainError, match=r"has both dev\.safetensors and dev\.parquet"):
        with_given(corpus, tmp_path, "dev")


def test_other_embeddings_are_other_data(
    run: Path, words: list[str], features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "dev", "test"):
        tensors = load_file(features / f"{split}.safetensors")
        save_file({name: value + 0.01 for name, value in tensors.items()}, tmp_path / f"{split}.safetensors")
    assert main(["train", "all", *words, "--data", f"features={tmp_path}", "--out", str(run)]) == 1
    assert "stage1: was trained on another features" in capsys.readouterr().err
