"""The paper's Figures 3 and 4 for any recipe: the runs that they need, with several seeds, and their results.

    figure3   words after pre-training on the labels of several annotators, and without
    figure4   the stages one after the other, each frozen, and trained jointly

A run lies in ``OUT/RECIPE/ARM/seed-N``. One that is finished is not repeated, and one that was killed goes on, so a
grid can be made larger, and stopped and started at will. Tables and plot are written anew after every run.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from emotrack.models.files import whole_file, write_files
from emotrack.tracker.messages.output import say, show
from emotrack.train.errors import CollapsedError
from emotrack.train.figures.bar_chart import draw_bars
from emotrack.train.pretraining.encoders.text import labels_address, run_pretraining
from emotrack.train.recipes.recipe import Recipe
from emotrack.train.running.files import write_json
from emotrack.train.running.ranks import rank, rank_0_first, wait
from emotrack.train.stages.joint import run_joint
from emotrack.train.stages.stage_one import claim, run_stage_one, train_words
from emotrack.train.stages.stages import run_finish, run_stage_three, run_stage_two

UNTRAINED = "no pre-training"
Step = Callable[[Recipe, dict[str, Path], Path, int], Path]
HEARD = {"text": "words", "speech": "voice", "both": "voice and words"}


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one run on dev."""

    group: str
    arm: str
    seed: int
    weighted_f1: float | None
    """None where a training collapsed: that is said, and the others go on."""


def annotators(
    recipes: Sequence[Recipe], labels: Mapping[str, Path], data: dict[str, Path], out: Path, seeds: Sequence[int]
) -> Iterator[Run]:
    """Figure 3: Stage I's words on each recipe's corpus, without pre-training and after that on each table of labels.

    Raises:
        TrainError: data or labels that cannot be used, or a training that went wrong.
        HubError: an encoder that cannot be had.
    """
    for recipe, seed in ((recipe, seed) for recipe in recipes for seed in seeds):
        for arm, table in {UNTRAINED: None, **labels}.items():
            folder = _folder(out, recipe, arm, seed)
            with rank_0_first():
                claim(folder, recipe, seed, labels=labels_address(table) if table else None)
            if (found := _metrics(folder)) is None:
                try:
                    found = {"seed": seed, "stage1": {"text": _words(recipe, table, data, folder, seed)}}
                except CollapsedError as error:
                    say(error, str(folder))
                    yield Run(_group(recipe, recipes), arm, seed, None)
                    continue
                if rank() == 0:
                    write_json(found, folder / "metrics.json")
            yield Run(_group(recipe, recipes), arm, seed, found["stage1"]["text"]["weighted_f1"])


def _words(recipe: Recipe, table: Path | None, data: dict[str, Path], out: Path, seed: int) -> dict[str, Any]:
    """The scores of Stage I's words."""
    if table:
        data = data | {"encoder": run_pretraining(recipe, table, data, out / "pretraining", seed)}
        wait()  # for rank 0 to have written it
    return train_words(recipe, data, out, seed)[-1]


def hierarchies(recipes: Sequence[Recipe], data: dict[str, Path], out: Path, seeds: Sequence[int]) -> Iterator[Run]:
    """Figure 4: finished networks whose stages were trained one after the other, and jointly. Both share Stage I.

    Raises:
        TrainError: data that cannot be used, or a training that went wrong.
        HubError: an encoder that cannot be had.
    """
    steps: dict[str, tuple[Step, ...]] = {
        "staged": (run_stage_one, run_stage_two, run_stage_three, run_finish),
        "joint": (run_joint, run_finish),
    }
    for recipe, seed in ((recipe, seed) for recipe in recipes for seed in seeds):
        folders = {arm: _folder(out, recipe, arm, seed) for arm in steps}
        for arm, folder in folders.items():
            if arm == "joint":
                with rank_0_first():
                    _share_stage_one(folders["staged"], folder)
            scores = _scores(steps[arm], recipe, data, folder, seed)
            if scores is None:
                yield Run(_group(recipe, recipes), arm, seed, None)
                if not (folder / "stage1").exists():
                    break  # nothing to train jointly either
                continue
            for what, found in scores.items():
                heard, _, mode = what.partition(", ")
                yield Run(f"{_group(recipe, recipes)}, {HEARD[heard]}, {mode}", arm, seed, found["weighted_f1"])


def _share_stage_one(staged: Path, joint: Path) -> None:
    if not (joint / "stage1").exists():
        shutil.copytree(staged / "stage1", joint / "stage1.partial", dirs_exist_ok=True)
        (joint / "stage1.partial").rename(joint / "stage1")


def _scores(
    steps: Sequence[Step], recipe: Recipe, data: dict[str, Path], folder: Path, seed: int
) -> dict[str, Any] | None:
    """The dev scores of a finished network, which is trained unless it is there; None where a training collapsed."""
    if _metrics(folder / "bundle") is None:
        try:
            for step in steps:
                step(recipe, data, folder, seed)
                wait()  # for rank 0 to have written it
        except CollapsedError as error:
            say(error, str(folder))
            return None
    with rank_0_first():
        claim(folder, recipe, seed)
    found: dict[str, Any] = (_metrics(folder / "bundle") or {})["dev"]
    return found


def write_figure(title: str, runs: Iterable[Run], out: Path, name: str) -> list[Path]:
    """Write ``out/NAME.csv``, ``.md`` and ``.svg``, anew after every run. Returns the files."""
    found: list[Run] = []
    files = [out / f"{name}{ending}" for ending in (".csv", ".md", ".svg")]
    for run in runs:
        found.append(run)
        if rank() == 0:
            score = "collapsed" if run.weighted_f1 is None else f"{run.weighted_f1:.4f}"
            show(f"{_called(run)}: {score}")
            _write_rows(found, files[0])
            write_files({files[1]: _table(title, found)})
            if bars := _percent(found):
                draw_bars(title, "weighted F1 on dev, %", bars, files[2])
    return files


def _folder(out: Path, recipe: Recipe, arm: str, seed: int) -> Path:
    return out / recipe.name / arm.replace(" ", "-") / f"seed-{seed}"


def _group(recipe: Recipe, recipes: Sequence[Recipe]) -> str:
    """The recipe's corpus, and its name too where several are on that corpus."""
    alone = sum(other.corpus == recipe.corpus for other in recipes) == 1
    return recipe.corpus if alone else f"{recipe.corpus}, {recipe.name}"


def _metrics(folder: Path) -> dict[str, Any] | None:
    path = folder / "metrics.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return found


def _grouped(runs: Sequence[Run]) -> dict[str, dict[str, dict[int, float]]]:
    """Scores by group, arm and seed, of those runs that did not collapse."""
    groups: dict[str, dict[str, dict[int, float]]] = {}
    for run in runs:
        if run.weighted_f1 is not None:
            groups.setdefault(run.group, {}).setdefault(run.arm, {})[run.seed] = run.weighted_f1
    return groups


def _percent(runs: Sequence[Run]) -> dict[str, dict[str, list[float]]]:
    arms = list(dict.fromkeys(run.arm for run in runs))
    return {
        group: {arm: [100 * value for value in found.get(arm, {}).values()] for arm in arms}
        for group, found in _grouped(runs).items()
    }


def _write_rows(runs: Sequence[Run], path: Path) -> None:
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["group", "arm", "seed", "weighted_f1"])
        writer.writerows((run.group, run.arm, run.seed, run.weighted_f1) for run in runs)


def _table(title: str, runs: Sequence[Run]) -> str:
    """Groups by arms, in Markdown."""
    arms = list(dict.fromkeys(run.arm for run in runs))
    lines = [
        f"{title}. Weighted F1 on dev: mean ± sample standard deviation (each seed's).",
        "",
        f"| | {' | '.join(arms)} |",
        f"|---|{'---|' * len(arms)}",
    ]
    for group, found in _grouped(runs).items():
        lines.append(f"| {group} | {' | '.join(_cell(found.get(arm, {})) for arm in arms)} |")
    if collapsed := [_called(run) for run in runs if run.weighted_f1 is None]:
        lines += ["", f"Collapsed, and left out: {'; '.join(collapsed)}."]
    return "\n".join([*lines, ""])


def _called(run: Run) -> str:
    return f"{run.group}, {run.arm}, seed {run.seed}"


def _cell(seeds: Mapping[int, float]) -> str:
    if not seeds:
        return ""
    spread = f" ± {stdev(seeds.values()):.3f}" if len(seeds) > 1 else ""
    each = ", ".join(f"{seed}: {value:.3f}" for seed, value in seeds.items())
    return f"{mean(seeds.values()):.3f}{spread} ({each})"
