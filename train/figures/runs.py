"""The runs behind tables and figures, in ``OUT/RECIPE/ARM/seed-N``: one that is finished is not repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from emotrack.errors import EmotrackError
from emotrack.train.learning.collapse import collapse_accepted
from emotrack.train.learning.side_by_side import side_by_side
from emotrack.train.recipes.recipe import Recipe
from emotrack.train.running.ranks import rank_0_first, wait
from emotrack.train.stages.stage_one import claim, run_stage_one
from emotrack.train.stages.stages import run_finish, run_stage_three, run_stage_two

Step = Callable[[Recipe, dict[str, Path], Path, int], Path]

STAGED = "staged"
HEARD = {"text": "words", "speech": "voice", "both": "voice and words"}
STAGES: Sequence[Step] = (run_stage_one, run_stage_two, run_stage_three, run_finish)


def run_folder(out: Path, recipe: Recipe, arm: str, seed: int) -> Path:
    """Where a run lies."""
    return out / recipe.name / arm.replace(" ", "-") / f"seed-{seed}"


def finished(steps: Sequence[Step], recipe: Recipe, data: dict[str, Path], folder: Path, seed: int) -> dict[str, Any]:
    """The metrics of a finished network, which is trained unless it is there; a collapse does not end that.

    Raises:
        TrainError: data that cannot be used, a training that went wrong, or a folder with another run in it.
        HubError: an encoder that cannot be had.
    """
    if metrics_in(folder / "bundle") is None:
        with collapse_accepted():
            for step in steps:
                step(recipe, data, folder, seed)
                wait()  # for rank 0 to have written it
    with rank_0_first():
        claim(folder, recipe, seed)
    return metrics_in(folder / "bundle") or {}


def finish_side_by_side(
    runs: Iterable[tuple[Recipe, int]], steps: Sequence[Step], data: dict[str, Path], out: Path, arm: str, jobs: int
) -> dict[tuple[str, int], EmotrackError]:
    """Train the recipes' networks that are not there yet, ``jobs`` at a time, each in a process of its own.

    Returns:
        Why a training failed, by recipe and seed.
    """
    folders = {(recipe.name, seed): (recipe, run_folder(out, recipe, arm, seed)) for recipe, seed in runs}
    trainings = {
        (name, seed): partial(finished, steps, recipe, data, folder, seed)
        for (name, seed), (recipe, folder) in folders.items()
        if metrics_in(folder / "bundle") is None
    }
    return side_by_side(trainings, jobs, lambda run: f"{run[0]}, seed {run[1]}")[1]


def metrics_in(folder: Path) -> dict[str, Any] | None:
    """What a folder's ``metrics.json`` says, if there is one."""
    path = folder / "metrics.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return found
