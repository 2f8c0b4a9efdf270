"""Figures 3 and 4 from toy grids, and what is drawn."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emotrack.command_line import main
from emotrack.train.evaluation.metrics import score
from emotrack.train.figures import figures
from emotrack.train.figures.bar_chart import draw_bars
from emotrack.train.figures.figures import Run, annotators, write_figure
from emotrack.train.learning.collapse import check_collapse
from emotrack.train.recipes.recipe import DATA, load_recipe

SVG = "{http://www.w3.org/2000/svg}"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def texts(path: Path) -> list[str | None]:
    return [element.text for element in ET.parse(path).getroot().iter(f"{SVG}text")]


def test_figure_3(
    silver: Path, encoder: Path, meld: Path, goemotions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"encoder": encoder, "meld": meld, "goemotions": goemotions}
    words = [word for name, path in data.items() for word in ("--data", f"{name}={path}")]
    command = ["train", "figure3", "--recipe", "toy", "--labels", f"somebody={silver}", *words, "--out", str(tmp_path)]
    assert main([*command, "--seed", "1"]) == 0
    assert main([*command, "--seed", "0", "1"]) == 0
    found = rows(tmp_path / "figure3.csv")
    assert [(row["group"], row["arm"], row["seed"]) for row in found] == [
        ("meld", arm, seed) for seed in "01" for arm in ("no pre-training", "somebody")
    ]
    for row in found:
        run = tmp_path / "toy" / row["arm"].replace(" ", "-") / f"seed-{row['seed']}"
        assert json.loads((run / "metrics.json").read_text())["stage1"]["text"]["weighted_f1"] == float(
            row["weighted_f1"]
        )
        assert (run / "pretraining/encoder").is_dir() == (row["arm"] == "somebody")
    table = (tmp_path / "figure3.md").read_text().splitlines()
    assert table[2] == "| | no pre-training | somebody |"
    assert table[4].startswith("| meld | ")
    assert table[4].count("±") == 2
    assert {"meld", "somebody", "no pre-training", "weighted F1 on dev, %"} <= set(texts(tmp_path / "figure3.svg"))

    def trained(*arguments: Any, **named: Any) -> None:
        raise AssertionError

    made = [(tmp_path / f"figure3.{kind}").read_bytes() for kind in ("csv", "md", "svg")]
    monkeypatch.setattr(figures, "train_words", trained)
    monkeypatch.setattr(figures, "run_pretraining", trained)
    assert main([*command, "--seed", "0", "1"]) == 0  # from what is there
    assert made == [(tmp_path / f"figure3.{kind}").read_bytes() for kind in ("csv", "md", "svg")]


def test_figure_4(toy: Path, toy_data: list[str], tmp_path: Path) -> None:
    """The staged run is there already."""
    shutil.copytree(toy, tmp_path / "toy/staged/seed-0")
    command = ["train", "figure4", "--recipe", "toy", *toy_data, "--out", str(tmp_path)]
    assert main(command) == 0
    stage1 = [(tmp_path / "toy" / arm / "seed-0/stage1/model.safetensors").read_bytes() for arm in ("staged", "joint")]
    assert stage1[0] == stage1[1]
    before, after = (load_file(tmp_path / f"toy/joint/seed-0/stage{stage}/model.safetensors") for stage in (1, 3))
    learned = {name for name, weights in before.items() if not torch.equal(weights, after[name])}
    assert {name.partition(".")[0] for name in learned} == {"text_encoder", "text_head"}  # not the voice
    found = rows(tmp_path / "figure4.csv")
    assert {row["group"] for row in found} == {
        f"meld, {heard}, {mode}" for heard in ("words", "voice", "voice and words") for mode in ("online", "offline")
    }
    assert len(found) == 12
    for row in found:
        bundle = tmp_path / "toy" / row["arm"] / "seed-0/bundle"
        dev = json.loads((bundle / "metrics.json").read_text())["dev"]
        what = row["group"].removeprefix("meld, ").replace("voice and words", "both")
        what = what.replace("words", "text").replace("voice", "speech")
        assert dev[what]["weighted_f1"] == float(row["weighted_f1"])
    assert len((tmp_path / "toy/joint/seed-0/joint.jsonl").read_text().splitlines()) == 3  # as [joint] says
    said = (tmp_path / "figure4.md").read_text()
    assert "toy, epochs at most: staged 1 + 3 (words, stage I), then 2 (words) and 2 (voice) (stage II)" in said
    assert "joint 3." in said
    assert "More than staged, seed by seed." in said
    cards = [(tmp_path / f"toy/{arm}/seed-0/bundle/README.md").read_text() for arm in ("staged", "joint")]
    assert ["**Jointly**" in card for card in cards] == [False, True]
    assert ["fine-tuned on" in card for card in cards] == [True, False]
    assert {"staged", "joint"} <= set(texts(tmp_path / "figure4.svg"))

    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "toy").rglob("*.safetensors")}
    assert main(command) == 0
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "toy").rglob("*.safetensors")}


def test_a_collapsed_run_counts_and_arms_are_compared_seed_by_seed(tmp_path: Path) -> None:
    group = "meld, words, online"
    runs = [
        Run(group, "staged", 0, 0.5),
        Run(group, "joint", 0, 0.25, "joint: every dev item is called joy"),
        Run(group, "staged", 1, 0.75),
        Run(group, "joint", 1, 0.625),
        Run(group, "staged", 2, 0.125),
    ]
    table, drawing = write_figure("Figure", runs, tmp_path, "figure", ["Equal budgets."])[1:]
    assert table.read_text().splitlines()[2:] == [
        "| | staged | joint |",
        "|---|---|---|",
        f"| {group} | 0.458 ± 0.315 (0: 0.500, 1: 0.750, 2: 0.125) | 0.438 ± 0.265 (0: 0.250, 1: 0.625) |",
        "",
        "More than staged, seed by seed.",
        "",
        "| | joint |",
        "|---|---|",
        f"| {group} | -0.188 ± 0.088 (0: -0.250, 1: -0.125) |",
        "",
        "Collapsed, and counted: joint, seed 0, joint: every dev item is called joy.",
        "",
        "Equal budgets.",
    ]
    assert [row["collapsed"] for row in rows(tmp_path / "figure.csv")] == ["", runs[1].collapsed, "", "", ""]
    assert "43.8" in texts(drawing)


def test_a_grid_goes_on_after_a_collapse(silver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fallen = score(np.eye(2)[[0, 0]], np.array([0, 1]), ("joy", "fear"))

    def words(*arguments: Any) -> tuple[dict[str, Any]]:
        check_collapse("text-meld", fallen)
        return (fallen.to_dict(),)

    monkeypatch.setattr(figures, "train_words", words)
    (run,) = annotators([load_recipe("toy")], {}, {}, tmp_path, [0])
    assert run == Run("meld", "no pre-training", 0, 0.3333, "stage1: text: every dev item is called joy")
    assert list(annotators([load_recipe("toy")], {}, {}, tmp_path, [0])) == [run]  # from what is there


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--recipe", "toy", "toy", "--labels", "a=x"], "two recipes are called toy"),
        (["--recipe", "toy", "--labels", "a=x", "--labels", "a=y"], "two annotators are called a"),
        (["--recipe", "toy", "--labels", "../a=x"], "'../a' is no name for a folder"),
        (["--recipe", "toy", "--labels", "a=x"], "recipe toy also needs --data encoder=PATH"),
        (["--recipe", "toy", "--labels", "a=x", "--data", "mled=x"], f"no data 'mled': there are {', '.join(DATA)}"),
    ],
)
def test_a_grid_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str
) -> None:
    assert main(["train", "figure3", *words, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"emotrack train figure3: {complaint}\n"
    assert not (tmp_path / "out").exists()


def test_bars(tmp_path: Path) -> None:
    """The mean is as high as the axis says, the whisker one standard deviation around it."""
    draw_bars("T", "%", {"a, b": {"one": [10.0, 30.0], "two": [40.0]}, "c": {"two": [5.0]}}, tmp_path / "t.svg")
    drawing = ET.parse(tmp_path / "t.svg").getroot()
    lines = [
        {name: float(line.get(name, "nan")) for name in ("x1", "x2", "y1", "y2")} for line in drawing.iter(f"{SVG}line")
    ]
    axis = [line["y1"] for line in lines if line["x2"] - line["x1"] > 100]
    unit = (axis[0] - axis[-1]) / 40.0
    bars = [bar for bar in drawing.iter(f"{SVG}rect") if bar.get("height", "") not in {"12", "12.0"}][1:]
    heights = [float(bar.get("height", "nan")) / unit for bar in bars]
    assert heights == pytest.approx([20.0, 40.0, 5.0], abs=0.1)
    whisker = next(line for line in lines if line["x1"] == line["x2"])
    spread = (whisker["y1"] - whisker["y2"]) / unit
    assert spread == pytest.approx(2 * 14.142, abs=0.2)
    colours = [bar.get("fill") for bar in bars]
    assert colours[1] == colours[2] != colours[0]
    assert {"a", "b", "c", "one", "two", "20.0", "40.0", "5.0"} <= set(texts(tmp_path / "t.svg"))
