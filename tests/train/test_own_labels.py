"""Labels of one's own: read, refused, and kept with what is trained on them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from emotrack.command_line import main
from emotrack.models.bundle import load_bundle
from emotrack.models.config import NetworkConfig
from emotrack.train.corpora import read_text_corpus
from emotrack.train.corpora.iemocap import read_iemocap_6
from emotrack.train.corpora.own_labels import check_every_label_occurs, relabelled
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.evaluate import counterpart, standing_for
from emotrack.train.recipes.recipe import load_recipe
from tests.train.test_given_features import RECIPE

LABELS: dict[str, tuple[str, ...]] = {"good": ("joy", "excitement"), "bad": ("anger", "frustration")}


def test_turns_with_no_such_label_are_context(whole_iemocap: Path) -> None:
    corpus = read_iemocap_6(whole_iemocap, "dev")
    found = relabelled(corpus, LABELS)
    assert found.labels == ("good", "bad")
    assert [turn.emotion for turn in found.turns] == [None, "good", "bad", None, "good", "bad"]
    assert [replace(turn, labels=()) for turn in found.turns] == [replace(turn, labels=()) for turn in corpus.turns]
    assert relabelled(corpus, {}) is corpus
    text = read_text_corpus("iemocap-6", whole_iemocap, "dev", LABELS)
    assert text.labels == ("good", "bad")
    assert [each.labels for each in text.labelled] == [("good",), ("bad",), ("good",), ("bad",)]


def test_labels_that_are_not_there_are_refused(whole_iemocap: Path) -> None:
    corpus = read_iemocap_6(whole_iemocap, "train")
    with pytest.raises(TrainError, match=r"labels\.good: iemocap-6 has no label 'happy': there are neutral, joy, exc"):
        relabelled(corpus, {"good": ("happy",)})
    with pytest.raises(TrainError, match=r"labels\.sad: no turn of iemocap-6, train, is labelled sadness"):
        check_every_label_occurs(relabelled(corpus, LABELS | {"sad": ("sadness",)}), {"sad": ("sadness",)}, "train")


def test_labels_of_a_bundle_may_stand_for_others_of_a_corpus(whole_iemocap: Path) -> None:
    """Those that are not named stand for what they stood for; the map is of the evaluation alone."""
    corpus, config = read_iemocap_6(whole_iemocap, "dev"), NetworkConfig(name="mini")
    found = standing_for(config, corpus, {"anger": ("frustration",), "surprise": ("excitement",)})
    wanted = {"neutral": "neutral", "joy": "joy", "excitement": "surprise", "frustration": "anger", "anger": "anger"}
    assert {label: counterpart(label, found) for label in wanted} == wanted
    assert counterpart("excitement", config) == "joy"
    own = replace(config, labels=("good", "bad"), stands_for=LABELS)
    assert standing_for(own, corpus, {"good": ("neutral",)}).stands_for["good"] == ("neutral", "joy", "excitement")


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ({"rage": ("anger",)}, "--labels: the bundle has no label 'rage': there are neutral, joy"),
        ({"anger": ("fury",)}, "--labels: iemocap-6 has no label 'fury': there are neutral, joy"),
        ({"anger": ("frustration",), "joy": ("frustration",)}, "--labels: a label of the corpus is named twice"),
    ],
)
def test_labels_that_cannot_stand_for_others_are_refused(
    labels: dict[str, tuple[str, ...]], complaint: str, whole_iemocap: Path
) -> None:
    with pytest.raises(TrainError, match=complaint):
        standing_for(NetworkConfig(name="mini"), read_iemocap_6(whole_iemocap, "dev"), labels)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ('a = ["joy"]\nb = ["joy", "anger"]', "labels: 'joy' is named twice"),
        ('a = ["joy"]\nb = []', "labels.b: names no label of the corpus"),
        ('a = ["joy"]', "labels: with one label there is nothing to tell apart"),
        ('a = "joy"', "labels.a: "),
    ],
)
def test_a_map_that_cannot_be_is_refused(tmp_path: Path, labels: str, complaint: str) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text(f"{RECIPE}\n[labels]\n{labels}\n")
    with pytest.raises(TrainError, match=complaint):
        load_recipe(str(recipe))


def test_acted_voices_have_labels_of_their_own() -> None:
    with pytest.raises(TrainError, match="labels: acted voices show emotions of their own"):
        load_recipe("toy", [("labels.good", '["joy"]'), ("labels.bad", '["anger"]')])


def test_a_bundle_keeps_them_and_is_scored_by_them(
    whole_iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = tmp_path / "features"
    features.mkdir()
    for split in ("train", "dev", "test"):
        corpus = read_iemocap_6(whole_iemocap, split)
        told = {
            f"{modality}/{dialogue.name}/{turn.name}": torch.tensor([float(turn.emotion in LABELS["good"]), 0.5])
            for modality in ("text", "speech")
            for dialogue in corpus.dialogues
            for turn in dialogue.turns
        }
        save_file(told, features / f"{split}.safetensors")
    recipe = tmp_path / "own.toml"
    recipe.write_text(RECIPE.replace("iemocap", "iemocap-6") + '\n[labels]\ngood = ["joy", "excitement"]\n')
    data = ["--data", f"iemocap={whole_iemocap}", "--data", f"features={features}"]
    words = ["train", "table", "--recipe", str(recipe), "--set", 'labels.bad=["anger", "frustration"]', *data]
    assert main([*words, "--split", "test", "--out", str(tmp_path / "out")]) == 0
    bundle = tmp_path / "out/given/staged/seed-0/bundle"
    network = load_bundle(bundle)
    assert network.labels == ("good", "bad")
    assert network.config.stands_for == LABELS
    assert network.metrics["dev"]["text, online"]["accuracy"] == 1.0
    capsys.readouterr()
    scored = ["--corpus", "iemocap-6", "--data", str(whole_iemocap), "--features", str(features), "--split", "test"]
    predictions = tmp_path / "said.csv"
    assert main(["evaluate", "--bundle", str(bundle), *scored, "--predictions", str(predictions), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["count"], document["accuracy"], document["left_out"]) == (4, 1.0, {"neutral": 1})
    assert "p_good,p_bad" in predictions.read_text()
    assert main(["evaluate", "--bundle", str(bundle), *scored, "--labels", "bad=neutral", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["counted"], document["count"], document["left_out"]) == ("neutral as bad", 5, {})
    other = ["train", "stage2", "--recipe", str(recipe), "--set", 'labels.bad=["anger", "neutral"]', *data]
    run = tmp_path / "out/given/staged/seed-0"
    assert main([*other, "--from", str(run / "stage1"), "--out", str(tmp_path / "other")]) == 1
    assert "was trained on other [labels] than the recipe's" in capsys.readouterr().err
