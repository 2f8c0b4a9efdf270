"""The paper's tables, from runs that are there."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from emotrack.command_line import main
from emotrack.train.errors import DivergedError
from emotrack.train.figures import table
from emotrack.train.figures.table import TableCell, TableOptions, latex, markdown
from emotrack.train.recipes.recipe import load_recipe


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


def cell(
    seed: int, f1: float, stage: str = "I", heard: str = "voice", recipe: str = "a_b", collapsed: str = ""
) -> TableCell:
    return TableCell(recipe, "meld", "dev", "online", stage, heard, seed, 10, f1, f1, f1, f1, 0.1, collapsed)


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
