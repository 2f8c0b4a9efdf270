"""All stages of the toy recipe, on data made here, and what can be done with the bundles."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from emotrack.models.bundle import load_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.labels import EMOTIONS
from emotrack.models.scorer import ConversationScorer
from emotrack.train.command_line.commands import add_train_arguments, run_train
from emotrack.train.command_line.evaluating import add_evaluate_arguments, run_evaluate
from emotrack.train.corpora import Corpus, CorpusTurn, Dialogue
from emotrack.train.data import augment
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.calibration import fit_temperature
from emotrack.train.evaluation.evaluate import judge
from emotrack.train.recipes.recipe import ActedSpeechRecipe, load_recipe
from emotrack.train.running.cache import cached
from emotrack.train.stages import readings, stage_one
from emotrack.train.stages.stages import dev_sets
from tests.models.conftest import tiny_network


def train(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_train_arguments(parser)
    return run_train(parser.parse_args(words))


def evaluate(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_evaluate_arguments(parser)
    return run_evaluate(parser.parse_args(words))


def stored(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def test_every_stage_runs_and_the_bundle_is_whole(toy: Path) -> None:
    network = load_bundle(toy / "bundle")
    assert (network.name, network.config.stage, network.default_context) == ("toy", 3, 4)
    metrics = json.loads((toy / "bundle" / "metrics.json").read_text())
    assert metrics["seed"] == 0
    assert set(metrics["stage1"]) == {"text", "speech"}
    assert set(metrics["stage2"]) == {"text", "speech"}
    assert metrics["stage3"]["count"] > 28
    assert metrics["dev"]["text, online"]["count"] == 28
    made = metrics["made"]
    assert (made["emotrack"], made["torch"]) == (version("emotrack"), torch.__version__)
    assert made["recipe"]["network"]["hidden"] == 8
    assert made["commit"] is None or len(made["commit"].removesuffix("-dirty")) == 40
    assert {name.partition(",")[0] for name in metrics["dev"]} == {"text", "speech", "both"}
    temperatures = network.config.calibration
    assert len({temperatures.text, temperatures.speech, temperatures.both, 1.0}) > 1
    card = (toy / "bundle" / "README.md").read_text()
    assert "non-commercial" in card
    assert "sitcom" in card
    assert "MELD" in card
    assert "TESS" not in card


def test_stage_one_is_as_sure_as_it_is_right(toy: Path, meld: Path, ravdess: Path, tmp_path: Path) -> None:
    network = load_bundle(toy / "stage1")
    dev = readings.dev_conversations(network, load_recipe("toy"), {"meld": meld, "ravdess": ravdess}, tmp_path)
    voices = dev_sets(dev, network.labels)["speech"]
    assert fit_temperature(*judge(network, voices)) == pytest.approx(1.0, abs=0.02)
    words = dev_sets(dev, network.labels)["text"]  # which are never mistaken here, so that no sureness is enough
    assert fit_temperature(*judge(network, words)) < 1.0


def test_frozen_stages_stay_frozen(toy: Path) -> None:
    """Bit for bit, as bundles store them; and what a stage adds has been trained."""
    first, second, third, last = (stored(toy / name) for name in ("stage1", "stage2", "stage3", "bundle"))
    for before, after in ((first, second), (second, third), (third, last)):
        assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    assert {name.partition(".")[0] for name in second.keys() - first.keys()} == {"text_context", "speech_context"}
    assert {name.partition(".")[0] for name in third.keys() - second.keys()} == {"co_attention"}
    for stage, module in ((second, "text_context"), (second, "speech_context"), (third, "co_attention")):
        assert stage[f"{module}.classify.weight"].any()  # it began at zero


@pytest.mark.parametrize("name", ["stage1", "stage2", "stage3", "bundle"])
def test_every_stage_is_a_bundle_that_can_be_evaluated(
    toy: Path, conversations: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    words = ("--bundle", f"{toy}/{name}", "--corpus", "acted", "--data", str(conversations), "--json")
    assert evaluate(*words) == 0
    scores = json.loads(capsys.readouterr().out)
    assert set(scores["by_modalities"]) == {"both", "speech", "text"}


def test_stage_one_does_not_look_at_other_turns(toy: Path) -> None:
    network = load_bundle(toy / "stage1")
    turn = TurnEmbedding(None, network.embed_text("i am so happy"), "Ana")
    scorer = ConversationScorer(network)
    alone = scorer.estimate(scorer.new_context(), turn)
    context = scorer.new_context()
    scorer.estimate(context, TurnEmbedding(None, network.embed_text("i hate you"), "Ben"))
    assert scorer.estimate(context, turn).probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_a_finished_run_is_not_trained_again(
    toy: Path, toy_data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are clips heard, and lines encoded, again: the second command only reads what the first one left."""
    out = tmp_path / "run"
    shutil.copytree(toy, out)

    def encoded(*arguments: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(readings, "_voices", encoded)
    monkeypatch.setattr(readings, "encode_dialogue", encoded)
    monkeypatch.setattr(stage_one, "hear", encoded)
    assert train("all", "--recipe", "toy", "--out", str(out), *toy_data) == 0
    assert_same_files(out, toy)


def test_a_stage_one_that_a_kill_left_half_written_is_written_again(
    toy: Path, toy_data: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(toy, out)
    (out / "stage1/README.md").unlink()
    assert train("stage1", "--recipe", "toy", "--out", str(out), *toy_data) == 0
    assert_same_files(out, toy)


def assert_same_files(out: Path, toy: Path) -> None:
    for path in sorted(toy.rglob("*")):
        if path.is_file():
            assert (out / path.relative_to(toy)).read_bytes() == path.read_bytes(), path


def test_a_stretch_of_a_clip_is_heard() -> None:
    frames = torch.arange(100.0).unsqueeze(1)
    starts = set()
    for seed in range(200):
        torch.manual_seed(seed)
        heard = augment.stretch(frames, 0.4)
        assert torch.equal(heard, frames[int(heard[0]) :][:60])
        starts.add(int(heard[0]))
    assert min(starts) <= 2
    assert max(starts) >= 38
    assert torch.equal(augment.stretch(frames, 0.0), frames)
    assert len(augment.stretch(frames, 0.99)) == 20  # a voice needs some
    assert torch.equal(augment.stretch(frames[:7], 0.4), frames[:7])


def test_dev_clips_are_heard_in_several_orders(ravdess: Path) -> None:
    recipe = load_recipe("toy").speech
    assert isinstance(recipe, ActedSpeechRecipe)
    found = readings._acted_dev(recipe, {"ravdess": ravdess}).dialogues
    assert found == readings._acted_dev(recipe, {"ravdess": ravdess}).dialogues  # the same for every run
    said = Counter(turn.audio for dialogue in found for turn in dialogue.turns)
    assert set(said.values()) == {readings.DEV_ORDERS}
    assert len({tuple(turn.name for turn in dialogue.turns) for dialogue in found}) == len(found)


def test_conversations_need_two_dev_speakers_of_one_corpus(ravdess: Path, tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("file,speaker,emotion\na.wav,emodb-10,joy\n")
    data, toy = {"emodb": tmp_path, "ravdess": ravdess}, load_recipe("toy").speech
    assert isinstance(toy, ActedSpeechRecipe)
    corpus, clips = readings.conversing(replace(toy, draws={"emodb": 1.0, "ravdess": 1.0}), data)
    assert corpus == "ravdess"
    assert len({clip.speaker for clip in clips}) > 1
    with pytest.raises(TrainError, match="no two dev speakers in any of emodb"):
        readings.conversing(replace(toy, draws={"emodb": 1.0}), data)


def test_the_note_of_a_run_is_written_by_one_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, note = load_recipe("toy"), tmp_path / "run.json"
    monkeypatch.setattr(stage_one, "rank", lambda: 1)
    stage_one.claim(tmp_path, recipe, 0)
    assert not note.exists()
    monkeypatch.setattr(stage_one, "rank", lambda: 0)
    stage_one.claim(tmp_path, recipe, 0)
    written = note.stat().st_ino
    monkeypatch.setattr(stage_one, "rank", lambda: 1)
    stage_one.claim(tmp_path, recipe, 0)
    with pytest.raises(TrainError, match="holds a run with another"):
        stage_one.claim(tmp_path, recipe, 1)
    assert note.stat().st_ino == written


def test_a_folder_is_trained_in_stages_or_jointly(
    toy: Path, toy_data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(toy, tmp_path / "run")
    words = ["all", "--recipe", "toy", *toy_data, "--out", str(tmp_path / "run")]
    assert train(*words, "--joint") == 1
    assert "holds a run with another" in capsys.readouterr().err
    kept = [(folder / "bundle/model.safetensors").read_bytes() for folder in (toy, tmp_path / "run")]
    assert kept[0] == kept[1]
    (tmp_path / "run/run.json").write_text("{")
    assert train(*words) == 1
    assert "run.json: is damaged" in capsys.readouterr().err


def test_readings_of_another_stage_one_are_not_taken(tmp_path: Path) -> None:
    path, calls = tmp_path / "readings.safetensors", []

    def compute() -> dict[str, Tensor]:
        calls.append(1)
        return {"lines": torch.full((2,), float(len(calls)))}

    found = [float(cached(path, name, compute)["lines"][0]) for name in ("a", "a", "b", "b", "a")]
    assert found == [1, 1, 2, 2, 3]
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"origin": "a"}
    save_file({"lines": torch.zeros(2)}, path)  # by nobody known
    assert cached(path, "a", compute)["lines"].tolist() == [4, 4]


def test_what_another_seed_has_computed_is_taken(tmp_path: Path) -> None:
    calls: list[int] = []

    def compute() -> dict[str, Tensor]:
        calls.append(1)
        time.sleep(0.1)
        return {"lines": torch.full((2,), float(len(calls)))}

    def read(seed: int, origin: str = "a") -> float:
        (folder := tmp_path / f"seed-{seed}").mkdir(exist_ok=True)
        return float(cached(folder / "readings.safetensors", origin, compute)["lines"][0])

    with ThreadPoolExecutor() as runs:  # which all begin at once
        assert list(runs.map(read, range(4))) == [1, 1, 1, 1]
    assert read(5, "b") == 2
    assert len(list(tmp_path.glob("seed-*/readings.safetensors"))) == 2
    assert not list(tmp_path.glob(".*"))


def test_readings_of_another_corpus_are_not_taken(tmp_path: Path) -> None:
    network, path = tiny_network(1), tmp_path / "readings.safetensors"

    def read(*dialogues: list[str]) -> Tensor:
        turns = [tuple(CorpusTurn(str(n), text, ("joy",)) for n, text in enumerate(texts)) for texts in dialogues]
        corpus = Corpus("home", EMOTIONS, tuple(Dialogue(str(n), each) for n, each in enumerate(turns)))
        found = readings._recorded(network, corpus, path)
        return torch.stack([turn.text for each in found for turn in each.turns if turn.text is not None])  # (N, E)

    first = read(["so happy", "so sad"])
    assert torch.equal(read(["so happy", "so sad"]), first)
    assert not torch.equal(read(["so happy", "not sad"])[1], first[1])
    assert not torch.equal(read(["so happy"], ["so sad"])[1], first[1])  # nothing was said before it


@pytest.mark.parametrize(("stage", "missing"), [("stage2", "stage1"), ("stage3", "stage2")])
def test_a_stage_before_its_time_is_explained(
    toy_data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str, missing: str
) -> None:
    assert train(stage, "--recipe", "toy", "--out", str(tmp_path), *toy_data) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / missing) in line


def test_acted_voices_need_a_corpus_with_the_same_labels(
    toy_data: list[str], iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from emotrack.train.recipes.recipe import PACKAGED

    recipe = tmp_path / "recipe.toml"
    recipe.write_text((PACKAGED / "toy.toml").read_text().replace('"meld"', '"iemocap"'))
    words = ["--recipe", str(recipe), "--out", str(tmp_path / "out"), *toy_data, "--data", f"iemocap={iemocap}"]
    assert train("stage1", *words) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "emotrack train: acted voices show neutral, joy, surprise, anger, sadness, disgust, fear: "
        "iemocap has other labels"
    )


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
    assert "no recipe 'none': give a TOML file, or one of merits-l, mini, mini-care" in capsys.readouterr().err
    assert evaluate("--bundle", "none", "--corpus", "meld", "--data", str(meld)) == 1
    assert "no bundle 'none'" in capsys.readouterr().err
    assert evaluate("--bundle", f"{toy}/bundle", "--corpus", "meld", "--data", str(tmp_path)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "dev_sent_emo.csv: No such file" in lines[0]


def test_a_folder_with_another_run_is_left_alone(
    toy: Path, toy_data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("stage1", "--recipe", "toy", "--out", str(toy), "--seed", "7", *toy_data) == 1
    assert "holds a run with another recipe or seed" in capsys.readouterr().err


def test_trained_stages_are_not_gone_on_with_on_other_data(
    toy: Path, toy_data: list[str], meld: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(toy, tmp_path / "run")
    for folder in ("moved", "other"):
        shutil.copytree(meld, tmp_path / folder)
    (tmp_path / "moved/.DS_Store").write_text("a file browser was here")
    lines = tmp_path / "other/train_sent_emo.csv"
    lines.write_text(lines.read_text().replace("sadness", "neutral"))  # as long
    words = ["--recipe", "toy", "--out", str(tmp_path / "run"), *toy_data, "--data"]
    assert train("all", *words, f"meld={tmp_path / 'moved'}") == 0
    for stage, trained in (("all", "stage1"), ("stage1", "stage1"), ("stage2", "stage1"), ("stage3", "stage2")):
        capsys.readouterr()
        assert train(stage, *words, f"meld={tmp_path / 'other'}") == 1
        assert f"run/{trained}: was trained on another meld: choose another --out" in capsys.readouterr().err


def test_a_run_begins_with_a_stage_of_another(
    toy: Path, toy_data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--recipe", "toy", "--set", "network.hidden=4", "--set", "name=narrow", *toy_data, "--out", str(tmp_path)]
    assert train("stage2", *words, "--from", str(toy / "stage1")) == 0
    assert (tmp_path / "stage1/model.safetensors").read_bytes() == (toy / "stage1/model.safetensors").read_bytes()
    network = load_bundle(tmp_path / "stage2")
    assert (network.name, network.config.conversation.hidden, network.config.stage) == ("narrow", 4, 2)
    assert train("stage3", *words, "--from", str(toy / "stage2")) == 1
    assert f"{tmp_path}/stage2: is not {toy}/stage2: choose another --out" in capsys.readouterr().err


def test_what_another_run_has_trained_is_not_trained_again(
    toy: Path, toy_data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--recipe", "toy", "--seed", "5", *toy_data, "--out", str(tmp_path), "--from", str(toy / "stage2")]
    assert train("all", *words, "--joint") == 2
    assert train("stage2", *words) == 2
    assert "is of stage 2, after which stage2 cannot go on" in capsys.readouterr().err
    assert train("all", *words, "--accept-collapse") == 0
    assert not (tmp_path / "stage1").exists()
    assert load_bundle(tmp_path / "stage2").fingerprint == load_bundle(toy / "stage2").fingerprint
    assert load_bundle(tmp_path / "bundle").config.stage == 3


def test_the_commands_help_is_quick_and_imports_no_torch() -> None:
    modules = "'torch' in sys.modules, 'pydantic' in sys.modules"
    program = f"import sys, emotrack.train.command_line.commands; print({modules})"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == ["False", "False"]
