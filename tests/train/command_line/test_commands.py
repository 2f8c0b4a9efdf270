"""The commands' own part: which steps a stage is made of, several seeds, the table and the drawing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from emotrack.command_line import main
from emotrack.train.command_line import commands as cli
from emotrack.train.evaluation.metrics import score
from emotrack.train.learning.collapse import check_collapse
from emotrack.train.recipes.recipe import PACKAGED, Recipe, load_recipe

Runs = list[tuple[str, Path, int]]


def train(*words: str) -> int:
    return main(["train", *words])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Every step only notes that it ran, and writes metrics that depend on the seed."""
    found: Runs = []

    def step_of(name: str) -> Callable[[Recipe, dict[str, Path], Path, int], Path]:
        def step(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
            found.append((name, out, seed))
            (out / name).mkdir(parents=True)
            scores: dict[str, object] = dict.fromkeys(("weighted_f1", "macro_f1", "uar", "accuracy", "ece"), seed / 10)
            (out / name / "metrics.json").write_text(json.dumps({"dev": {"online": scores}}))
            return out / name

        return step

    monkeypatch.setattr(cli, "resolve_name", step_of)
    monkeypatch.setattr(cli, "RUNNERS", {name: name for name in cli.RUNNERS})
    return found


def arguments(tmp_path: Path) -> list[str]:
    needs = [word for name in load_recipe("toy").needs for word in ("--data", f"{name}={tmp_path}")]
    return ["--recipe", "toy", "--out", str(tmp_path / "out"), *needs]


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["stage1"], ["stage1"]),
        (["stage2"], ["stage2"]),
        (["stage3"], ["stage3", "finish"]),
        (["all"], ["stage1", "stage2", "stage3", "finish"]),
        (["all", "--joint"], ["stage1", "joint", "finish"]),
    ],
)
def test_what_a_stage_is_made_of(runs: Runs, tmp_path: Path, words: list[str], steps: list[str]) -> None:
    assert train(*words, *arguments(tmp_path)) == 0
    assert runs == [(step, tmp_path / "out", 0) for step in steps]
    assert not (tmp_path / "out/results.md").exists()


def test_several_seeds_and_their_table(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("stage2", *arguments(tmp_path), "--seed", "1", "3") == 0
    assert runs == [("stage2", tmp_path / f"out/seed-{seed}", seed) for seed in (1, 3)]
    assert f"results: {tmp_path}/out/results.md" in capsys.readouterr().out
    assert "| dev: online | 0.200 ± 0.141 |" in (tmp_path / "out/results.md").read_text()
    assert json.loads((tmp_path / "out/results.json").read_text())["seeds"] == [1, 3]


def test_seeds_may_be_named_one_by_one(runs: Runs, tmp_path: Path) -> None:
    assert train("stage2", *arguments(tmp_path), "--seed", "1", "--seed", "3", "1") == 0
    assert runs == [("stage2", tmp_path / f"out/seed-{seed}", seed) for seed in (1, 3)]


@pytest.mark.parametrize("seed", ["-1", "x", "1.5", "10000000000"])
def test_a_seed_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        train("stage2", *arguments(tmp_path), f"--seed={seed}")
    assert "is no whole number between 0 and 999999999" in capsys.readouterr().err


def test_data_that_nothing_is_made_of_is_refused(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("stage2", *arguments(tmp_path), "--data", f"mled={tmp_path}") == 2
    assert "emotrack train: no data 'mled': there are encoder, care" in capsys.readouterr().err
    assert runs == []
    assert train("stage2", *arguments(tmp_path), "--data", f"care={tmp_path}", "--data", f"emodb={tmp_path}") == 0


def test_folds_are_read_from_the_corpus_s_folder(runs: Runs, tmp_path: Path) -> None:
    words = ["--recipe", "merits-l", "--set", "corpus=iemocap-fold-2", "--set", "text.phases.0.corpus=iemocap-fold-2"]
    assert train("stage2", *words, "--data", f"iemocap={tmp_path}", "--out", str(tmp_path / "out")) == 0
    assert train("stage2", *words, "--data", f"mosi={tmp_path}", "--out", str(tmp_path / "none")) == 2


def test_a_seed_that_collapses_leaves_the_others(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step_of: Callable[[str], Callable[..., Path]] = cli.resolve_name  # type: ignore[attr-defined]

    def collapsing(name: str) -> Callable[..., Path]:
        def step(*arguments: Any) -> Path:
            if arguments[3] == 2:
                check_collapse("speech", score(np.eye(2)[[0, 0]], np.array([0, 1]), ("joy", "fear")))
            return step_of(name)(*arguments)

        return step

    monkeypatch.setattr(cli, "resolve_name", collapsing)
    assert train("stage2", *arguments(tmp_path), "--seed", "1", "2", "3") == 1
    assert "seed 2: speech: collapsed, every dev item is called joy" in capsys.readouterr().err
    assert [seed for _, _, seed in runs] == [1, 3]
    summary = json.loads((tmp_path / "out/results.json").read_text())
    assert summary["seeds"] == [1, 3]
    assert summary["ended"]["2"]["scores"]["accuracy"] == 0.5
    assert "over 2 (1, 3) of 3 seeds" in (tmp_path / "out/results.md").read_text()
    assert train("stage3", *arguments(tmp_path), "--seed", "2", "--accept-collapse") == 0  # and it goes on
    assert "speech: collapsed" in capsys.readouterr().err
    assert [name for name, _, seed in runs if seed == 2] == ["stage3", "finish"]


def test_training_together_needs_its_own_section(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (PACKAGED / "toy.toml").read_text()
    (tmp_path / "toy.toml").write_text(text[: text.index("[joint]")])
    words = ["--recipe", str(tmp_path / "toy.toml"), *arguments(tmp_path)[2:]]
    assert train("all", *words) == 0
    runs.clear()
    assert train("all", *words, "--joint") == 2
    assert "recipe toy has no [joint]" in capsys.readouterr().err
    assert runs == []


def test_joint_is_for_all_stages(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        train("stage2", "--joint", *arguments(tmp_path))


def test_logs_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, values in (("text", (0.2, 0.5, 0.4)), ("speech", (0.3,))):
        lines = [json.dumps({"epoch": epoch, "loss": 1 - f1, "weighted_f1": f1}) for epoch, f1 in enumerate(values)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    assert train("plot", str(tmp_path)) == 0
    assert capsys.readouterr().out == f"{tmp_path}/plot.svg\n"
    drawing = ET.parse(tmp_path / "plot.svg").getroot()
    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"speech", "text", "3 epochs", "0.500", "0.200"} <= set(texts)
    curves = [element.get("d") for element in drawing.iter("{http://www.w3.org/2000/svg}path")]
    # The dev score of the second panel: lowest, highest, between.
    assert curves[3] == "M 60.0 370.0 L 60.0 370.0 L 320.0 240.0 L 580.0 283.3"


def test_logs_of_seeds_are_drawn_over_one_another(tmp_path: Path) -> None:
    for seed, values in ((0, (0.2, 0.5, 0.4)), (2, (0.3, 0.6))):
        (tmp_path / f"seed-{seed}").mkdir()
        lines = [json.dumps({"epoch": epoch, "loss": 1 - f1, "weighted_f1": f1}) for epoch, f1 in enumerate(values)]
        (tmp_path / f"seed-{seed}/text.jsonl").write_text("\n".join(lines) + "\n")
    assert train("plot", str(tmp_path)) == 0
    drawing = ET.parse(tmp_path / "plot.svg").getroot()
    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"text", "2 seeds, 3 epochs at most", "0.600", "0.200"} <= set(texts)
    curves = [element.get("d") for element in drawing.iter("{http://www.w3.org/2000/svg}path")]
    assert curves[2:] == [
        "M 60.0 170.0 L 60.0 170.0 L 320.0 72.5 L 580.0 105.0",
        "M 60.0 137.5 L 60.0 137.5 L 320.0 40.0",
    ]


def test_a_folder_without_logs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("plot", str(tmp_path)) == 1
    assert "no logs" in capsys.readouterr().err
    (tmp_path / "text.jsonl").write_text('{"epoch": 1}\n')
    assert train("plot", str(tmp_path)) == 1
    assert "text.jsonl: not the log of a training" in capsys.readouterr().err
