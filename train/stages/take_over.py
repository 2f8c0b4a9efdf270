"""A stage's bundle that another run made, as the beginning of this one."""

from __future__ import annotations

import shutil
from pathlib import Path

from emotrack.errors import UsageError
from emotrack.models.bundle import load_bundle
from emotrack.train.errors import TrainError
from emotrack.train.running.ranks import rank_0_first


def take_over(bundle: Path, out: Path) -> Path:
    """Copy a stage's bundle into a run's folder, unless it is there -> where it lies.

    Raises:
        BundleError: it is none.
        TrainError: the run has a bundle of that stage already, and it is another.
    """
    with rank_0_first():
        begun = load_bundle(bundle)
        folder = out / f"stage{begun.config.stage}"
        if not folder.exists():
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.copytree(bundle, partial, dirs_exist_ok=True)
            partial.rename(folder)
        elif load_bundle(folder).fingerprint != begun.fingerprint:
            raise TrainError(f"{folder}: is not {bundle}: choose another --out")
    return folder


def steps_after(bundle: Path, steps: tuple[str, ...]) -> tuple[str, ...]:
    """What is left of a run's steps where it begins with a stage's bundle.

    Raises:
        BundleError: it is none.
        UsageError: these steps do not follow that stage.
    """
    stage = load_bundle(bundle).config.stage
    if f"stage{stage}" in steps:
        left = steps[steps.index(f"stage{stage}") + 1 :]
    else:
        left = steps if steps[0] == f"stage{stage + 1}" else ()
    if not left:
        raise UsageError(f"--from {bundle}: is of stage {stage}, after which {', '.join(steps)} cannot go on")
    return left
