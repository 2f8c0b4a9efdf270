"""The paper's Figures 3 and 4 for any recipe: the runs that they need, with several seeds, and their results.

    figure3   words after pre-training on the labels of several annotators, and without
    figure4   the stages one after the other, each frozen, and trained jointly

A run lies in ``OUT/RECIPE/ARM/seed-N``. One that is finished is not repeated, and one that was killed goes on, so a
grid can be made larger, and stopped and started at will. Tables and plot are written anew after every run.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from emotrack.models.files import whole_file, write_files
from emotrack.tracker.messages.output import show
from emotrack.train.figures.bar_chart import draw_bars
from emotrack.train.figures.runs import HEARD, STAGED, STAGES, Step, finished, metrics_in, run_folder
from emotrack.train.learning.collapse import collapse_accepted
from emotrack.train.pretraining.encoders.text import labels_address, run_pretraining
from emotrack.train.recipes.recipe import Recipe
from emotrack.train.running.files import write_json
from emotrack.train.running.ranks import rank, rank_0_first, wait
from emotrack.train.running.results import collapses
from emotrack.train.stages.joint import run_joint
from emotrack.train.stages.stage_one import claim, train_words
from emotrack.train.stages.stages import run_finish
from emotrack.train.stages.take_over import take_over

UNTRAINED = "no pre-training"


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one run on dev."""

    group: str
    arm: str
    seed: int
    weighted_f1: float
    collapsed: str = ""
    """Which of its trainings ended in one answer to everything. Such a run is finished, and counts."""


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
            folder = run_folder(out, recipe, arm, seed)
            with rank_0_first():
                claim(folder, recipe, seed, labels=labels_address(table) if table else None)
            if (found := metrics_in(folder)) is None:
                with collapse_accepted():
                    found = {"seed": seed, **_words(recipe, table, data, folder, seed)}
                if rank() == 0:
                    write_json(found, folder / "metrics.json")
            score = found["stage1"]["text"]["weighted_f1"]
            yield Run(_group(recipe, recipes), arm, seed, score, "; ".join(collapses(found)))


def _words(recipe: Recipe, table: Path | None, data: dict[str, Path], out: Path, seed: int) -> dict[str, Any]:
    """The scores of Stage I's words, and of the pre-training before it."""
    before: dict[str, Any] = {}
    if table:
        encoder = run_pretraining(recipe, table, data, out / "pretraining", seed)
        wait()  # for rank 0 to have written it
        data, before = data | {"encoder": encoder}, metrics_in(encoder) or {}
    return before | {"stage1": {"text": train_words(recipe, data, out, seed)[-1]}}


def hierarchies(recipes: Sequence[Recipe], data: dict[str, Path], out: Path, seeds: Sequence[int]) -> Iterator[Run]:
    """Figure 4: finished networks whose stages were trained one after the other, and jointly. Both share Stage I.

    Raises:
        TrainError: data that cannot be used, or a training that went wrong.
        HubError: an encoder that cannot be had.
    """
    steps: dict[str, Sequence[Step]] = {STAGED: STAGES, "joint": (run_joint, run_finish)}
    for recipe, seed in ((recipe, seed) for recipe in recipes for seed in seeds):
        folders = {arm: run_folder(out, recipe, arm, seed) for arm in steps}
        for arm, folder in folders.items():
            if arm == "joint":
                take_over(folders[STAGED] / "stage1", folder)
            measured = finished(steps[arm], recipe, data, folder, seed)
            collapsed = "; ".join(collapses(measured))
            for what, found in measured["dev"].items():
                heard, _, mode = what.partition(", ")
                group = f"{_group(recipe, recipes)}, {HEARD[heard]}, {mode}"
                yield Run(group, arm, seed, found["weighted_f1"], collapsed)


def budgets(recipe: Recipe) -> str:
    """How long either arm of Figure 4 may learn, in words."""
    words = " + ".join(str(phase.loop.epochs) for phase in recipe.text.phases)
    second = f"{recipe.stage2.text.loop.epochs} (words) and {recipe.stage2.speech.loop.epochs} (voice)"
    joint = recipe.joint.loop.epochs if recipe.joint else 0
    return (
        f"{recipe.name}, epochs at most: staged {words} (words, stage I), then {second} (stage II), then "
        f"{recipe.stage3.loop.epochs} (stage III); joint {joint}. Both have the same voice of stage I."
    )


def write_figure(title: str, runs: Iterable[Run], out: Path, name: str, remarks: Sequence[str] = ()) -> list[Path]:
    """Write ``out/NAME.csv``, ``.md``, remarks below its tables, and ``.svg``, anew after every run -> the files."""
    found: list[Run] = []
    files = [out / f"{name}{ending}" for ending in (".csv", ".md", ".svg")]
    for run in runs:
        found.append(run)
        if rank() == 0:
            show(f"{_called(run)}: {run.weighted_f1:.4f}{' (collapsed)' if run.collapsed else ''}")
            _write_rows(found, files[0])
            write_files({files[1]: "\n".join([_table(title, found), *(f"{remark}\n" for remark in remarks)])})
            draw_bars(title, "weighted F1 on dev, %", _percent(found), files[2])
    return files


def _group(recipe: Recipe, recipes: Sequence[Recipe]) -> str:
    """The recipe's corpus, and its name too where several are on that corpus."""
    alone = sum(other.corpus == recipe.corpus for other in recipes) == 1
    return recipe.corpus if alone else f"{recipe.corpus}, {recipe.name}"


def _grouped(runs: Sequence[Run]) -> dict[str, dict[str, dict[int, float]]]:
    """Scores by group, arm and seed."""
    groups: dict[str, dict[str, dict[int, float]]] = {}
    for run in runs:
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
        writer.writerow(["group", "arm", "seed", "weighted_f1", "collapsed"])
        writer.writerows((run.group, run.arm, run.seed, run.weighted_f1, run.collapsed) for run in runs)


def _table(title: str, runs: Sequence[Run]) -> str:
    """Groups by arms, in Markdown, and how far each arm is from the first, seed by seed."""
    arms = list(dict.fromkeys(run.arm for run in runs))
    lines = [
        f"{title}. Weighted F1 on dev: mean ± sample standard deviation (each seed's).",
        "",
        f"| | {' | '.join(arms)} |",
        f"|---|{'---|' * len(arms)}",
    ]
    for group, found in _grouped(runs).items():
        lines.append(f"| {group} | {' | '.join(_cell(found.get(arm, {})) for arm in arms)} |")
    first, *others = arms
    if others:
        lines += [
            "",
            f"More than {first}, seed by seed.",
            "",
            f"| | {' | '.join(others)} |",
            f"|---|{'---|' * len(others)}",
        ]
    for group, found in _grouped(runs).items() if others else ():
        more = [_differences(found.get(first, {}), found.get(arm, {})) for arm in others]
        lines.append(f"| {group} | {' | '.join(_cell(each, sign='+') for each in more)} |")
    if collapsed := {f"{run.arm}, seed {run.seed}, {run.collapsed}": None for run in runs if run.collapsed}:
        lines += ["", f"Collapsed, and counted: {'; '.join(collapsed)}."]
    return "\n".join([*lines, ""])


def _called(run: Run) -> str:
    return f"{run.group}, {run.arm}, seed {run.seed}"


def _differences(first: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """How much more the other arm has, of the seeds that both have."""
    return {seed: other[seed] - value for seed, value in first.items() if seed in other}


def _cell(seeds: Mapping[int, float], sign: str = "") -> str:
    if not seeds:
        return ""
    spread = f" ± {stdev(seeds.values()):.3f}" if len(seeds) > 1 else ""
    each = ", ".join(f"{seed}: {value:{sign}.3f}" for seed, value in seeds.items())
    return f"{mean(seeds.values()):{sign}.3f}{spread} ({each})"
