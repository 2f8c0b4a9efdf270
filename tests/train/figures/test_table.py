"""The paper's tables, from runs that are there."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from emotrack.command_line import main
from emotrack.errors import EmotrackError
from emotrack.train.corpora import READERS
from emotrack.train.errors import DivergedError, TrainError
from emotrack.train.figures import runs, table
from emotrack.train.figures.table_text import TableCell, TableOptions, latex, markdown
from emotrack.train.recipes.recipe import load_recipe
from tests.train.test_given_features import RECIPE


@pytest.fixture(scope="module")
def out(toy: Path, toy_data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two seeds, which are both trained already."""
    out = tmp_path_factory.mktemp("table")
    for seed in (0, 1):
        folder = out / f"toy/staged/seed-{seed}"
        shutil.copytree(toy, folder)
        note = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(note | {"seed": seed}))
    assert main(command(out, toy_data)) == 0
    return out


def command(out: Path, data: list[str]) -> list[str]:
    return ["train", "table", "--recipe", "toy", "--seed", "0", "1", *data, "--out", str(out)]


def test_every_stage_mode_and_split_is_scored_as_evaluate_scores_it(
    out: Path, meld: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (out / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2 * 3  # seeds, splits, modes, stages; this copy of MELD has words alone
    assert {row["heard"] for row in rows} == {"words"}
    words = ["--corpus", "meld", "--data", str(meld), "--mode", "offline", "--split", "test", "--json"]
    assert main(["evaluate", "--bundle", str(out / "toy/staged/seed-1/stage2"), *words]) == 0
    scores = json.loads(capsys.readouterr().out)
    (own,) = (
        row for row in rows if (row["seed"], row["split"], row["mode"], row["stage"]) == ("1", "test", "offline", "II")
    )
    assert float(own["weighted_f1"]) == pytest.approx(scores["weighted_f1"], abs=1e-4)
    assert int(own["count"]) == scores["count"] == 14
    said = (out / "table.md").read_text().splitlines()
    assert said[2] == "| | toy, online | toy, offline |"
    assert [line.split(" | ")[0] for line in said[4:7]] == [f"| words, stage {stage}" for stage in ("I", "II", "III")]
    assert (out / "table.tex").read_text().count(r"\begin{tabular}{lcc}") == 2


def test_what_is_there_is_not_made_again(out: Path, toy_data: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def encoded(*arguments: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(table, "encode_corpus", encoded)
    before = [(out / f"table.{kind}").read_bytes() for kind in ("csv", "md", "tex")]
    assert main(command(out, toy_data)) == 0
    assert before == [(out / f"table.{kind}").read_bytes() for kind in ("csv", "md", "tex")]


def test_predictions_of_every_stage_can_be_compared(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = out / "toy/staged/seed-0/predictions"
    assert len(list(folder.iterdir())) == 2 * 2 * 3
    pair = [str(folder / f"test-online-stage-{stage}.csv") for stage in ("I", "III")]
    assert main(["train", "significance", *pair]) == 0
    assert "14 turns in 2 dialogues" in capsys.readouterr().out


def test_a_seed_that_diverges_is_counted_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def finished(*arguments: Any) -> dict[str, Any]:
        raise DivergedError("stage3: the loss is no longer finite in epoch 2")

    monkeypatch.setattr(table, "finished", finished)
    options = TableOptions(("dev",), (0,))
    assert list(table.cells([load_recipe("toy")], {}, tmp_path, options)) == []
    assert "toy/staged/seed-0: stage3: the loss is no longer finite" in capsys.readouterr().err


def test_seeds_trained_side_by_side_lack_where_they_failed(
    out: Path, toy_data: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    failures: dict[tuple[str, int], EmotrackError] = {("toy", 0): DivergedError("the loss is no longer finite")}
    monkeypatch.setattr(runs, "side_by_side", lambda trainings, jobs, named: ({}, failures))
    shutil.copytree(out, tmp_path / "out")
    assert main([*command(tmp_path / "out", toy_data), "--jobs", "2"]) == 0
    assert "(1 of 2)" in (tmp_path / "out/table.md").read_text()
    failures["toy", 0] = TrainError("there is not enough memory")
    assert main([*command(tmp_path / "out", toy_data), "--jobs", "2"]) == 1
    assert "toy, seed 0: there is not enough memory; the table lacks it" in capsys.readouterr().err


@pytest.mark.long
def test_seeds_side_by_side_become_what_they_become_one_after_the_other(
    toy_data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = [sys.executable, "-m", "emotrack", *command(tmp_path / "one", toy_data)]
    subprocess.run(words, check=True)
    subprocess.run([*words, "--out", str(tmp_path / "many"), "--jobs", "2"], check=True)
    kept = [(tmp_path / out / "table.csv").read_bytes() for out in ("one", "many")]
    assert kept[0] == kept[1]
    for seed in (0, 1):
        name = f"toy/staged/seed-{seed}/bundle/model.safetensors"
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_folds_have_their_mean_and_spread() -> None:
    scores = {1: (0.5, 0.75), 2: (0.25, 0.25), 3: (0.5,)}
    found = [
        replace(cell(seed, f1, recipe=f"r-iemocap-fold-{fold}"), corpus=f"iemocap-fold-{fold}")
        for fold, each in scores.items()
        for seed, f1 in enumerate(each)
    ]
    heading, _, row = markdown(found, TableOptions(("dev",), (0, 1))).splitlines()[2:5]
    assert heading.endswith("| r-iemocap-fold-3, online | r-iemocap, folds, online |")
    folds = [62.5, 25.0, 50.0]
    assert row.endswith(f"| 50.00 (1 of 2) | {mean(folds):.2f} ± {stdev(folds):.2f} (3 folds) |")
    assert "folds" not in markdown(found[:2], TableOptions(("dev",), (0, 1)))


def test_sentiments_have_a_table_of_their_own(mosi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features = tmp_path / "features"
    features.mkdir()
    for split in ("train", "dev", "test"):
        (dialogue,) = READERS["mosi-7"](mosi, split).dialogues
        given = {f"text/{dialogue.name}/{turn.name}": torch.tensor([turn.sentiment or 0.0]) for turn in dialogue.turns}
        save_file(given | {f"speech/{dialogue.name}/1": torch.zeros(1)}, features / f"{split}.safetensors")
    recipe = tmp_path / "given.toml"
    recipe.write_text(RECIPE.replace("iemocap", "mosi-7").replace("epochs = 20", "epochs = 1"))
    words = ["--recipe", str(recipe), "--data", f"mosi={mosi}", "--data", f"features={features}"]
    assert main(["train", "table", *words, "--split", "dev", "--out", str(tmp_path)]) == 0
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    capsys.readouterr()
    bundle = tmp_path / "given/staged/seed-0/bundle"
    data = ["--corpus", "mosi-7", "--data", str(mosi), "--features", str(features), "--json"]
    assert main(["evaluate", "--bundle", str(bundle), *data]) == 0
    whole = json.loads(capsys.readouterr().out)["sentiment"]["both"]
    (own,) = (row for row in rows if row["stage"] == "III" and row["mode"] == "online")
    for name, value in whole.items():
        assert float(own[name]) == pytest.approx(value, abs=1e-4)
    said = (tmp_path / "table.md").read_text()
    assert "| | MAE | Corr | Acc-7 | Acc-2 with 0 |" in said
    row = next(line for line in said.splitlines() if line.startswith("| given, online, voice and words, stage III | "))
    assert row.split(" | ")[1] == f"{whole['mae']:.2f}"
    assert row.split(" | ")[3] == f"{100 * whole['acc_7']:.2f}"


def test_recognised_words_have_rows_of_their_own() -> None:
    found = [cell(0, 0.5, heard="words"), replace(cell(0, 0.25, heard="words"), words="moonshine")]
    rows = markdown([*found, cell(0, 0.75, "II", "words")], TableOptions(("dev",), (0,))).splitlines()[4:7]
    assert rows == [
        "| words, stage I | 50.00 |",
        "| words (moonshine), stage I | 25.00 |",
        "| words, stage II | 75.00 |",
    ]


def cell(
    seed: int, f1: float, stage: str = "I", heard: str = "voice", recipe: str = "a_b", collapsed: str = ""
) -> TableCell:
    return TableCell(recipe, "meld", "dev", "online", stage, heard, seed, 10, f1, f1, f1, f1, 0.1, "", collapsed)


def test_means_spreads_and_how_many() -> None:
    found = [
        cell(0, 0.5),
        cell(1, 0.625),
        cell(0, 0.75, "III", "voice and words"),
        cell(0, 0.25, heard="words", recipe="c"),
    ]
    found += [cell(1, 0.875, heard="words", recipe="c", collapsed="stage1: text: every dev item is called joy")]
    options = TableOptions(("dev",), (0, 1))
    assert markdown(found, options).splitlines() == [
        "Weighted F1 on dev, %: mean ± sample standard deviation over seeds 0, 1; of fewer, a cell says so.",
        "",
        "| | a_b, online | c, online |",
        "|---|---|---|",
        f"| words, stage I |  | {mean([25, 87.5]):.2f} ± {stdev([25, 87.5]):.2f} |",
        "| voice, stage I | 56.25 ± 8.84 |  |",
        "| voice and words, stage III | 75.00 (1 of 2) |  |",
        "",
        "Collapsed, and counted: c, seed 1, stage1: text: every dev item is called joy.",
    ]
    assert r" & a\_b, online & c, online \\" in latex(found, options)
    assert r"voice, stage I & 56.25 $\pm$ 8.84 &  \\" in latex(found, options)
