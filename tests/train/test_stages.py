from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from emotrack.models.bundle import load_bundle
from emotrack.models.context import TurnEmbedding
from emotrack.train.augment import active_span, frame_positions, new_recording, resample, spec_augment
from emotrack.train.checkpoint import load_text_encoder
from emotrack.train.cli import add_evaluate_arguments, add_train_arguments, run_evaluate, run_train
from emotrack.train.errors import TrainError
from emotrack.train.recipe import load_recipe
from emotrack.train.teacher import WhisperEncoder
from tests.train.conftest import RATE


def train(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    return run_train(parser.parse_args(words))


def evaluate(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_evaluate_arguments(parser)
    return run_evaluate(parser.parse_args(words))


@pytest.fixture(scope="session")
def data(encoder: Path, teacher: Path, meld: Path, goemotions: Path, ravdess: Path) -> list[str]:
    paths = {"encoder": encoder, "teacher": teacher, "meld": meld, "goemotions": goemotions, "ravdess": ravdess}
    return [word for name, path in paths.items() for word in ("--data", f"{name}={path}")]


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory, data: list[str]) -> Path:
    out = tmp_path_factory.mktemp("toy")
    assert train("all", "--recipe", "toy", "--out", str(out), *data) == 0
    return out


def test_every_stage_runs_and_the_bundle_is_whole(toy: Path) -> None:
    network = load_bundle(toy / "bundle")
    assert network.name == "toy"
    assert network.default_context == 4
    assert any(weight.abs().sum() > 0 for weight in network.fusion.same_speaker.parameters())
    metrics = json.loads((toy / "bundle" / "metrics.json").read_text())
    assert metrics["seed"] == 0
    assert set(metrics["stage1"]) == {"text", "speech"}
    assert metrics["dev"]["MELD, words, online"]["count"] == 28
    assert "non-commercial" in (toy / "bundle" / "README.md").read_text()


def test_a_finished_run_is_not_trained_again(toy: Path, data: list[str]) -> None:
    log = (toy / "text-meld.jsonl").read_text()
    before = load_bundle(toy / "stage1").fingerprint
    assert train("stage1", "--recipe", "toy", "--out", str(toy), *data) == 0
    assert (toy / "text-meld.jsonl").read_text() == log
    assert load_bundle(toy / "stage1").fingerprint == before


@pytest.mark.parametrize("modalities", ["both", "speech", "text"])
def test_evaluating_conversations(
    toy: Path, conversations: Path, capsys: pytest.CaptureFixture[str], modalities: str
) -> None:
    words = ("--bundle", f"{toy}/bundle", "--corpus", "acted", "--data", str(conversations), "--json")
    assert evaluate(*words, "--modalities", modalities) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["count"] == 2
    assert scores["modalities"] == modalities
    assert len(scores["confusion"]) == 7


@pytest.mark.parametrize(
    ("corpus", "split", "count"), [("meld", "test", 14), ("emorynlp", "dev", 6), ("goemotions", "dev", 14)]
)
def test_evaluating_words(
    toy: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], corpus: str, split: str, count: int
) -> None:
    folder = request.getfixturevalue(corpus)
    words = ("--bundle", f"{toy}/bundle", "--corpus", corpus, "--data", str(folder), "--split", split)
    assert evaluate(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["count"] == count  # labels without a counterpart are left out
    assert evaluate(*words) == 0
    assert "weighted F1" in capsys.readouterr().out


def test_evaluating_clips_by_split(toy: Path, ravdess: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, count in (("train", 16), ("dev", 16), ("test", 8)):
        words = ("--bundle", f"{toy}/bundle", "--corpus", "acted", "--data", str(ravdess), "--split", split, "--json")
        assert evaluate(*words) == 0
        assert json.loads(capsys.readouterr().out)["count"] == count


def test_failures_are_one_line(toy: Path, meld: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert train("all", "--recipe", "toy", "--out", out) == 2
    assert "recipe toy also needs --data encoder=PATH" in capsys.readouterr().err
    assert train("all", "--recipe", "none", "--out", out) == 1
    assert "no recipe 'none': give a TOML file, or one of mini, toy" in capsys.readouterr().err
    assert evaluate("--bundle", "none", "--corpus", "meld", "--data", str(meld)) == 1
    assert "no bundle 'none'" in capsys.readouterr().err
    assert evaluate("--bundle", f"{toy}/bundle", "--corpus", "meld", "--data", str(tmp_path)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "dev_sent_emo.csv: No such file" in lines[0]


def test_a_folder_with_another_run_is_left_alone(
    toy: Path, data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("stage1", "--recipe", "toy", "--out", str(toy), "--seed", "7", *data) == 1
    assert "holds a run with another recipe or seed" in capsys.readouterr().err


def test_fusion_before_stage_one_is_explained(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("fusion", "--recipe", "toy", "--out", str(tmp_path), *data) == 1
    assert "stage1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("name =", "not TOML"),
        ("name = 'x'", "text: Field required"),
        ("TOY\nextra = 1", "extra"),
    ],
)
def test_a_recipe_that_says_something_else_is_refused(tmp_path: Path, recipe: str, message: str) -> None:
    toy_recipe = Path(sys.modules[load_recipe.__module__].__file__ or "").parent / "recipes" / "toy.toml"
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.replace("TOY", toy_recipe.read_text()))
    with pytest.raises(TrainError, match=message):
        load_recipe(str(path))


def test_both_packaged_recipes_load() -> None:
    assert [load_recipe(name).name for name in ("mini", "toy")] == ["mini", "toy"]


def test_an_encoder_keeps_its_answers_when_its_vocabulary_is_pruned(encoder: Path) -> None:
    whole, whole_tokens = load_text_encoder(encoder, ["i am so happy never used"], 32)
    pruned, tokens = load_text_encoder(encoder, ["i am so happy"], 32)
    assert tokens.get_vocab_size() < whole_tokens.get_vocab_size()
    ids = [torch.tensor([tokenizer.encode("I\u2019m so happy").ids]) for tokenizer in (whole_tokens, tokens)]
    assert ids[0].shape == ids[1].shape
    nothing = torch.zeros_like(ids[0], dtype=torch.bool)
    torch.testing.assert_close(whole.eval()(ids[0], nothing), pruned.eval()(ids[1], nothing))
    assert tokens.encode("never used").tokens[1:3] == ["n", "##e"]  # spelt, not unknown


def test_the_encoder_is_the_bert_it_was_read_from(encoder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    ours, tokenizer = load_text_encoder(encoder, ["i am so happy never used"], 32)
    weights = load_file(encoder / "model.safetensors")
    config = transformers.BertConfig(
        vocab_size=len(weights["embeddings.word_embeddings.weight"]),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    theirs = transformers.BertModel(config, add_pooling_layer=False).eval()
    theirs.load_state_dict(weights, strict=False)
    from tokenizers import Tokenizer

    full = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    text = "i am so happy"
    with torch.inference_mode():
        expected = theirs(torch.tensor([full.encode(text).ids])).last_hidden_state.mean(dim=1)
        ids = torch.tensor([tokenizer.encode(text).ids])
        answer = ours.eval()(ids, torch.zeros_like(ids, dtype=torch.bool))
    torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-4)


def test_a_folder_that_is_no_bert_is_refused(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"config\.json: missing"):
        load_text_encoder(tmp_path, ["hello"], 32)
    for name in ("tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes((encoder / name).read_bytes())
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TrainError, match="not a BERT"):
        load_text_encoder(tmp_path, ["hello"], 32)


def test_the_teacher_has_25_frames_a_second(teacher: Path, tmp_path: Path) -> None:
    assert WhisperEncoder(teacher)(torch.randn(RATE)).shape == (25, 12)
    (tmp_path / "x.safetensors").write_text("not weights")
    with pytest.raises(TrainError, match="not the weights of a Whisper encoder"):
        WhisperEncoder(tmp_path / "x.safetensors")


def test_augmented_frames_are_finite_and_keep_their_shape() -> None:
    torch.manual_seed(0)
    log_mel = torch.full((200, 80), -20.0)
    log_mel[50:150] = torch.randn(100, 80)
    assert active_span(log_mel) == (50, 150)
    for _ in range(50):
        positions = frame_positions(log_mel)
        assert 0 <= positions.min() <= positions.max() <= 199
        augmented = spec_augment(new_recording(resample(log_mel, positions)))
        assert augmented.shape == (len(positions), 80)
        assert augmented.isfinite().all()


def test_the_commands_help_is_quick_and_imports_no_torch() -> None:
    program = "import sys, emotrack.train.cli; print('torch' in sys.modules, 'pydantic' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == ["False", "False"]


def test_a_toy_turn_can_be_scored(toy: Path) -> None:
    network = load_bundle(toy / "bundle")
    turn = TurnEmbedding(None, network.embed_text("I am so happy!"), None)
    assert network.estimate(network.new_context(), turn).emotion in network.labels
