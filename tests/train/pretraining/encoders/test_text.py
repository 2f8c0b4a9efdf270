"""Pre-training of text encoders on silver labels, and Stage I from there."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from emotrack.models.bundle import load_bundle
from emotrack.models.hub import HubError
from emotrack.models.hub_encoders import HubTextEncoder
from emotrack.train.command_line.commands import add_train_arguments, run_train
from emotrack.train.errors import CollapsedError, TrainError
from emotrack.train.pretraining.encoders.text import labels_address, read_labels
from emotrack.train.recipes.recipe import PACKAGED, load_recipe
from emotrack.train.running.checkpoint import load_text_encoder, save_text_encoder
from emotrack.train.stages.card import model_card
from emotrack.train.stages.first_weights import pretrained_words
from emotrack.train.stages.stage_one import run_stage_one, train_words
from tests.train.conftest import SENTIMENTS, save_hub_encoder, write_labels


def train(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    return run_train(parser.parse_args(words))


@pytest.fixture(scope="session")
def hub_encoder(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    """A RoBERTa with random weights, and the small BERT's vocabulary."""
    folder = tmp_path_factory.mktemp("roberta")
    config = transformers.RobertaConfig(
        vocab_size=Tokenizer.from_file(str(encoder / "tokenizer.json")).get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        pad_token_id=0,
    )
    save_hub_encoder(config, folder, seed=0, vocabulary=encoder)
    return folder


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory, silver: Path, encoder: Path) -> Path:
    out = tmp_path_factory.mktemp("pretrained")
    words = ("--corpus", str(silver), "--recipe", "toy", "--data", f"encoder={encoder}", "--out", str(out))
    assert train("pretrain", *words) == 0
    return out


class TestReading:
    def test_a_sentence_is_on_one_side_only_and_once(self, silver: Path) -> None:
        found = read_labels(silver, 0)
        train, dev = ([utterance.text for utterance in side.utterances] for side in (found.train, found.dev))
        assert (found.annotator, found.aside) == ("somebody", 1)
        assert len(train) + len(dev) == len({*train, *dev}) == 12 * len(SENTIMENTS)
        assert 0.1 < len(dev) / (len(train) + len(dev)) < 0.3
        assert {utterance.dialogue for utterance in found.train.utterances}.isdisjoint(
            utterance.dialogue for utterance in found.dev.utterances
        )

    def test_spelling_does_not_make_another_sentence(self, tmp_path: Path) -> None:
        sentences = [f"line {number}" for number in range(40)]
        twice = [*sentences, *(f" {text.upper()} " for text in sentences)]
        write_labels(tmp_path, [(text, "positive" if text in sentences else "negative") for text in twice])
        found = read_labels(tmp_path, 0)
        utterances = (*found.train.utterances, *found.dev.utterances)
        assert sorted(utterance.text for utterance in utterances) == sorted(sentences)
        assert {utterance.labels for utterance in utterances} == {("positive",)}  # the first

    def test_the_side_hangs_on_the_seed_and_not_on_the_rest_of_the_table(self, tmp_path: Path) -> None:
        lines = [(f"line {number}", "neutral") for number in range(400)]
        few, many = (write_labels(tmp_path / str(count), lines[:count]) for count in (200, 400))
        dev = {seed: {each.text for each in read_labels(many, seed).dev.utterances} for seed in (0, 1)}
        assert {each.text for each in read_labels(few, 0).dev.utterances} == dev[0] & {text for text, _ in lines[:200]}
        assert 50 < len(dev[0]) < 110
        assert dev[0] != dev[1]

    def test_what_cannot_be_learned_from_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TrainError, match=r"no labels in it$"):
            labels_address(tmp_path)
        several = write_labels(tmp_path / "both/one", [("a", "positive")])
        with pytest.raises(TrainError, match=rf"no labels in it; name one annotator's, such as {several}$"):
            labels_address(tmp_path / "both")
        with pytest.raises(TrainError, match="1 labelled sentences are too few"):
            read_labels(several, 0)
        another = write_labels(tmp_path / "another", [("b", "negative")], "another")
        for shard in another.glob("*.parquet"):
            (several / shard.name).write_bytes(shard.read_bytes())
        with pytest.raises(TrainError, match="labels of several annotators, another, somebody"):
            read_labels(several, 0)


def test_stage_one_begins_with_what_was_pre_trained(pretrained: Path, encoder: Path, meld: Path) -> None:
    """With the tokens that it would have had anyway, and weights that are no longer those before."""
    recipe = load_recipe("toy")
    before, _, tokens = pretrained_words(recipe, {"encoder": encoder, "meld": meld})
    after, _, same_tokens = pretrained_words(recipe, {"encoder": pretrained / "encoder", "meld": meld})
    assert tokens.to_str() == same_tokens.to_str()
    trained = load_file(pretrained / "pretraining-best.safetensors")
    whole, _ = load_text_encoder(pretrained / "encoder", None, recipe.text.max_tokens)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(weight, trained[f"encoder.{name}"], msg=name)
    for name, weight in after.state_dict().items():
        assert not torch.equal(weight, before.state_dict()[name]), name


def test_the_bundle_says_what_its_encoder_learned_from(
    pretrained: Path, teacher: Path, meld: Path, goemotions: Path, ravdess: Path, tmp_path: Path
) -> None:
    data = {"teacher": teacher, "meld": meld, "goemotions": goemotions, "ravdess": ravdess}
    bundle = run_stage_one(load_recipe("toy"), data | {"encoder": pretrained / "encoder"}, tmp_path, seed=0)
    metrics = json.loads((bundle / "metrics.json").read_text())
    assert metrics["pretraining"] == json.loads((pretrained / "encoder/metrics.json").read_text())["pretraining"]
    metrics["dev"] = {"text, online": metrics["stage1"]["text"]}
    card = model_card(load_bundle(bundle), load_recipe("toy"), metrics)
    assert f"pre-trained on {metrics['pretraining']['train']} sentences that somebody labelled; fine-tuned on" in card


def test_the_folder_says_what_it_is(pretrained: Path) -> None:
    metrics = json.loads((pretrained / "encoder/metrics.json").read_text())
    assert metrics["seed"] == 0
    assert metrics["pretraining"]["annotator"] == "somebody"
    assert metrics["pretraining"]["text"]["weighted_f1"] > 0.6
    assert sum(metrics["pretraining"]["labels"].values()) == 72
    card = (pretrained / "encoder/README.md").read_text()
    assert "as somebody called them" in card
    assert "seed 0" in card
    assert len((pretrained / "pretraining.jsonl").read_text().splitlines()) == 4


def test_a_bert_goes_back_as_it_came(encoder: Path, tmp_path: Path) -> None:
    """All of it, what the encoder does not read included; also under the names that a whole BERT has."""
    for prefix in ("", "bert."):
        origin, folder = tmp_path / f"origin{prefix}", tmp_path / f"copy{prefix}"
        origin.mkdir()
        folder.mkdir()
        weights = {prefix + name: weight for name, weight in load_file(encoder / "model.safetensors").items()}
        save_file(weights | {"cls.bias": torch.ones(3)}, origin / "model.safetensors")
        for name in ("config.json", "tokenizer.json"):
            (origin / name).write_bytes((encoder / name).read_bytes())
        found, _ = load_text_encoder(origin, None, max_tokens=16)
        save_text_encoder(found, origin, folder)
        again = load_file(folder / "model.safetensors")
        assert again.keys() == weights.keys() | {"cls.bias"}
        for name, weight in weights.items():
            torch.testing.assert_close(again[name], weight, msg=name)


def test_an_encoder_of_the_hub(
    silver: Path, hub_encoder: Path, meld: Path, goemotions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is pre-trained, opens as one of the hub, takes the place of the recipe's, and Stage I learns from there."""
    recipe = tmp_path / "recipe.toml"
    text = (PACKAGED / "toy.toml").read_text()
    begin, end = text.index("[text.opinion]"), text.index("[text.pretraining]")  # by the tokens of a small BERT alone
    text = text[:begin] + text[end:]
    recipe.write_text(text.replace('vocabulary = ["meld"]', f'encoder = "{hub_encoder}"'))
    out = tmp_path / "out"
    assert train("pretrain", "--corpus", str(silver), "--recipe", str(recipe), "--out", str(out)) == 0
    data = {"encoder": out / "encoder", "meld": meld, "goemotions": goemotions}
    begun, config, tokenizer = pretrained_words(load_recipe(str(recipe)), data)
    assert isinstance(begun, HubTextEncoder)
    assert config.vocabulary == tokenizer.get_vocab_size()
    trained = load_file(out / "pretraining-best.safetensors")
    assert all(torch.equal(weight, trained[f"encoder.{name}"]) for name, weight in begun.state_dict().items())
    _, _, _, scores = train_words(load_recipe(str(recipe)), data, tmp_path / "words", seed=0)
    assert scores["count"] == 28
    assert f"First weights: {hub_encoder.name}." in (out / "encoder/README.md").read_text()
    missing = data | {"encoder": tmp_path / "nowhere"}
    with pytest.raises(HubError, match="nowhere: no such folder"):
        pretrained_words(load_recipe(str(recipe)), missing)


def test_a_killed_run_goes_on_and_another_is_refused(
    pretrained: Path, silver: Path, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed once its first epochs are written, it makes bit by bit what an undisturbed run makes."""
    words = ["--corpus", str(silver), "--recipe", "toy", "--data", f"encoder={encoder}", "--out", str(tmp_path)]
    program = "import sys; from emotrack.command_line import main; sys.exit(main())"
    run = subprocess.Popen([sys.executable, "-c", program, "train", "pretrain", *words], stdout=subprocess.DEVNULL)
    log = tmp_path / "pretraining.jsonl"
    while not (log.is_file() and log.read_text().count("\n") > 0):
        assert run.poll() is None
        time.sleep(0.01)
    run.kill()
    run.wait()
    assert not (tmp_path / "encoder").exists()
    assert train("pretrain", *words) == 0
    for path in (pretrained / "encoder").iterdir():
        assert (tmp_path / "encoder" / path.name).read_bytes() == path.read_bytes(), path.name
    capsys.readouterr()
    other = write_labels(tmp_path / "other", [(f"line {number}", "neutral") for number in range(40)])
    assert train("pretrain", *words, "--corpus", str(other)) == 1
    assert "holds a run with another recipe, seed or labels" in capsys.readouterr().err


def test_a_seed_that_collapses_leaves_the_others(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_pretraining(*arguments: object) -> Path:
        if arguments[-1] == 1:
            raise CollapsedError("pretraining: collapsed")
        return pretrained / "encoder"

    monkeypatch.setattr("emotrack.train.pretraining.encoders.text.run_pretraining", run_pretraining)
    words = ("--corpus", "labels", "--recipe", "toy", "--data", f"encoder={tmp_path}", "--out", str(tmp_path))
    assert train("pretrain", *words, "--seed", "1", "2", "3") == 1
    assert capsys.readouterr().err == "emotrack train pretrain: seed 1: pretraining: collapsed\n"
    assert json.loads((tmp_path / "results.json").read_text())["seeds"] == [2, 3]
    assert "over 2 (2, 3) of 3 seeds" in (tmp_path / "results.md").read_text()


def test_failures_are_one_line(silver: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--corpus", str(silver), "--out", str(tmp_path / "out"))
    assert train("pretrain", *words, "--recipe", "toy") == 2
    assert capsys.readouterr().err == "emotrack train pretrain: recipe toy also needs --data encoder=PATH\n"
    assert train("pretrain", *words, "--recipe", "toy", "--data", f"encodr={tmp_path}") == 2
    assert capsys.readouterr().err.startswith("emotrack train pretrain: no data 'encodr': there are encoder, care")
    recipe = tmp_path / "recipe.toml"
    text = (PACKAGED / "toy.toml").read_text()
    recipe.write_text(text[: text.index("[text.pretraining]")] + text[text.index("[speech]") :])
    assert train("pretrain", *words, "--recipe", str(recipe), "--data", f"encoder={tmp_path}") == 1
    assert capsys.readouterr().err == "emotrack train pretrain: recipe toy has no [text.pretraining]\n"
