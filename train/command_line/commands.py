"""The command ``emotrack train``.

Importing this module imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from tempfile import gettempdir
from typing import TYPE_CHECKING

from emotrack.errors import UsageError
from emotrack.tracker.messages.output import say, show
from emotrack.train.command_line.arguments import (
    EXIT_FAILURE,
    EXIT_USAGE,
    SEED,
    add_collapse,
    add_jobs,
    add_recipe,
    add_seeds,
    data_of,
    named_path,
    seeds_of,
    weights_path,
)
from emotrack.train.command_line.converting import CONVERTING
from emotrack.train.command_line.figures import FIGURES
from emotrack.train.command_line.pretraining import COMMANDS
from emotrack.train.command_line.significance import SIGNIFICANCE

if TYPE_CHECKING:
    from emotrack.train.recipes.recipe import Recipe

    Runner = Callable[[Recipe, dict[str, Path], Path, int], Path]

OTHERS = COMMANDS | CONVERTING | FIGURES | SIGNIFICANCE
STAGES = {
    "stage1": "train one classifier for words and one for the voice, turn by turn -> OUT/stage1",
    "stage2": "train each of them to see a turn among its neighbours, stage 1 frozen -> OUT/stage2",
    "stage3": "train their co-attention, stages 1 and 2 frozen; tune, calibrate -> OUT/bundle",
    "all": "all stages, one after the other -> OUT/bundle",
    "adapt": "fit a bundle's classifiers to the corrections of a room -> OUT, if that helps",
    "plot": "draw the logs of a run: loss and dev score, epoch by epoch",
}

# What each is made of, in order, and where that lies; imported when it runs.
STEPS = {
    "stage1": ("stage1",),
    "stage2": ("stage2",),
    "stage3": ("stage3", "tuning", "finish"),
    "all": ("stage1", "stage2", "stage3", "tuning", "finish"),
    "joint": ("stage1", "joint", "tuning", "finish"),
}
RUNNERS = {
    "stage1": "emotrack.train.stages.stage_one:run_stage_one",
    "stage2": "emotrack.train.stages.stages:run_stage_two",
    "stage3": "emotrack.train.stages.stages:run_stage_three",
    "joint": "emotrack.train.stages.joint:run_joint",
    "tuning": "emotrack.train.stages.tuned_blocks:run_tuning",
    "finish": "emotrack.train.stages.stages:run_finish",
}

TRAIN_EPILOG = """\
data (which ones a recipe needs, it says when one is missing):
  encoder    folder of a pre-trained BERT in the Hugging Face layout, or what `emotrack train pretrain` wrote
  care       what `emotrack train care` wrote: stage 1's voice begins with it (no recipe needs it)
  teacher    model.safetensors of openai/whisper-tiny.en, or of another Whisper of 80 mels, whose encoder teaches
             a voice that is trained from nothing (mini-care)
  speech-encoder   the same for a voice that begins with a Whisper's encoder (mini)
  words      a bundle whose words (stages 1 and 2) are taken as they are, in place of text encoders and their corpora
  features   folder with SPLIT.safetensors (text/DIALOGUE/TURN and speech/DIALOGUE/TURN) or SPLIT.parquet (dialogue,
             turn, text, speech): embeddings that another program computed, for a recipe that says so (features = true
             under [text], [speech] or both)
  text-teacher   folder of the larger encoder that teaches a recipe's words, in place of the one on the hub
  meld, iemocap, mosi, emorynlp, goemotions    folders with the official layouts (iemocap's is also that of iemocap-6
             and of its folds, mosi's that of mosi-7)
  ravdess, tess, nemo, emodb       folders with an index.csv beside the clips, its columns file, speaker and emotion
             (text too, if known); speakers have the names by which `emotrack evaluate --help` splits them

labels of one's own: [labels] in the recipe, or --set 'labels.joy=["joy", "excitement"]' and so on for each. Turns with
a label that none of them names are context. Corpora's labels have MELD's names where they can: joy, not happy.

examples:
  emotrack train all --recipe mini --out runs/mini --seed 0 1 2 \\
      --data encoder=all-MiniLM-L6-v2 --data text-teacher=all-mpnet-base-v2 \\
      --data speech-encoder=whisper-tiny.en-encoder.safetensors \\
      --data meld=text/meld --data emorynlp=text/emorynlp --data goemotions=text/goemotions \\
      --data ravdess=speech/ravdess --data tess=speech/tess --data nemo=speech/nemo --data emodb=speech/emodb
  emotrack train stage3 --recipe mini --out runs/mini --data meld=text/meld ...
  emotrack train all --joint --recipe mini --out runs/joint ...
  emotrack train all --recipe mini --set network.hidden=256 --from runs/mini/stage1 --out runs/wide ...
  torchrun --nproc-per-node 4 --local-ranks-filter 0 --no-python \\
      emotrack train all --recipe merits-l --out runs/merits-l ...
  emotrack train plot runs/mini

  emotrack train adapt --bundle mini --sessions talks --out my-room --data meld=text/meld --data ravdess=speech/ravdess

With several seeds, each run lies in OUT/seed-N, and OUT/results.md and results.json have mean, spread and every seed.
With --jobs, several of them are trained at a time: on four GPUs, --jobs 4. Their lines begin with the seed. One that
fails leaves the others, and what does not depend on the seed (a frozen encoder's features) is computed by one of them.
A training that ends in one answer to everything ends its run, and the table says so, with what that network scored.
With --accept-collapse, which may also be given later, the run goes on and counts like any other.

adapt learns from sessions saved by `emotrack live --save` (best with --keep-audio) and labelled by `emotrack correct`.
Its --data, meld or acted speech, is where the bundle must not become more than a point worse.

A run that was killed goes on where it was when the same command is given again.
"""


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train``."""
    parser.epilog = TRAIN_EPILOG
    stages = parser.add_subparsers(dest="stage", metavar="STAGE", required=True)
    for name, command in OTHERS.items():
        stage = stages.add_parser(name, help=command.purpose, description=f"{sentence(command.purpose)}.")
        command.add_arguments(stage)
    for name, purpose in STAGES.items():
        stage = stages.add_parser(name, help=purpose, description=f"{sentence(purpose)}.")
        if name == "plot":
            stage.add_argument("folder", type=Path, metavar="DIR", help="the --out of a run")
            stage.add_argument("--out", type=Path, metavar="FILE.svg", help="the drawing (default DIR/plot.svg)")
            continue
        if name == "adapt":
            stage.add_argument("--bundle", default="mini", metavar="NAME|DIR", help="what to adapt (default mini)")
            stage.add_argument("--sessions", required=True, type=Path, metavar="DIR", help="saved sessions (*.jsonl)")
            stage.add_argument("--seed", type=SEED, default=0, metavar="N", help="of everything random (default 0)")
        else:
            add_recipe(stage)
            add_seeds(stage)
            add_jobs(stage)
            add_collapse(stage)
            stage.add_argument(
                "--tensorboard", type=Path, metavar="DIR", help="also write every epoch's scores for TensorBoard to DIR"
            )
            stage.add_argument(
                "--from",
                dest="begin",
                type=Path,
                metavar="RUN/stageN",
                help="begin with a stage that another run has trained, whatever the seed, and go on after it",
            )
        if name == "all":
            stage.add_argument("--joint", action="store_true", help="train the stages together, none of them frozen")
        stage.add_argument(
            "--data",
            action="append",
            default=[],
            type=named_path,
            metavar="NAME=PATH",
            help="where a corpus lies; repeat",
        )
        stage.add_argument("--out", required=True, type=weights_path, metavar="DIR", help="what is made goes here")


def sentence(purpose: str) -> str:
    """What a command is for, with a capital letter."""
    return f"{purpose[0].upper()}{purpose[1:]}"


def run_train(args: argparse.Namespace) -> int:
    """Run ``emotrack train`` -> exit code."""
    # torch makes a folder for what it compiles as soon as it has an optimiser; nothing here is compiled.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", gettempdir())
    commands = {"adapt": _adapt, "plot": _plot} | {name: command.run for name, command in OTHERS.items()}
    return commands.get(args.stage, _train)(args)


def _train(args: argparse.Namespace) -> int:
    from emotrack.models.bundle import BundleError
    from emotrack.models.hub import HubError
    from emotrack.train.errors import TrainError
    from emotrack.train.learning.seeds import train_with
    from emotrack.train.learning.tensorboard import shown_in_tensorboard
    from emotrack.train.recipes.recipe import load_recipe, misnamed
    from emotrack.train.running.ranks import joined
    from emotrack.train.stages.take_over import steps_after

    steps = STEPS["joint" if args.stage == "all" and args.joint else args.stage]
    try:
        recipe = load_recipe(args.recipe, args.set)
        if recipe.tuning is None:
            steps = tuple(step for step in steps if step != "tuning")
        data = data_of(args)
        if complaint := misnamed(data, recipe, recipe.needs):
            say(complaint, "emotrack train")
            return EXIT_USAGE
        if "joint" in steps and recipe.joint is None:
            say(f"recipe {recipe.name} has no [joint]: how the stages are trained together", "emotrack train")
            return EXIT_USAGE
        if args.begin:
            steps = steps_after(args.begin, steps)

        train = partial(_run_steps, steps, recipe, data, args.begin, args.accept_collapse)
        with joined(jobs=args.jobs), shown_in_tensorboard(args.tensorboard):
            whole = train_with(seeds_of(args), args.out, train, "emotrack train", args.jobs)
    except (TrainError, BundleError, HubError, UsageError, OSError) as error:
        say(error, "emotrack train")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
    return 0 if whole else EXIT_FAILURE


def _run_steps(
    steps: Sequence[str],
    recipe: Recipe,
    data: dict[str, Path],
    begin: Path | None,
    accept_collapse: bool,
    out: Path,
    seed: int,
) -> Path:
    """Take the steps of one seed's run -> where the last of them lies; maybe in a process of its own."""
    from emotrack.train.learning.collapse import collapse_accepted
    from emotrack.train.running.ranks import rank, wait
    from emotrack.train.stages.take_over import take_over

    with collapse_accepted(accept=accept_collapse):
        if begin:
            take_over(begin, out)
        for step in steps:
            run: Runner = resolve_name(RUNNERS[step])
            folder = run(recipe, data, out, seed)
            wait()  # for rank 0 to have written it
            if rank() == 0:
                show(f"{step}: {folder}")
    return folder


def _plot(args: argparse.Namespace) -> int:
    from emotrack.train.errors import TrainError
    from emotrack.train.figures.plot import plot_run

    out = args.out or args.folder / "plot.svg"
    try:
        plot_run(args.folder, out)
    except (TrainError, OSError) as error:
        say(error, "emotrack train")
        return EXIT_FAILURE
    show(out)
    return 0


def _adapt(args: argparse.Namespace) -> int:
    import torch

    from emotrack.models.bundle import BundleError
    from emotrack.train.adapting.adapt import GENERAL, adapt
    from emotrack.train.errors import TrainError

    torch.set_num_threads(1)  # a turn at a time: more threads only wait for each other
    data = dict(args.data)
    if not data or set(data) - set(GENERAL):
        say(f"adapt needs --data NAME=PATH, one or more of {', '.join(GENERAL)}", "emotrack train")
        return EXIT_USAGE
    try:
        found = adapt(args.bundle, args.sessions, data, args.out, args.seed)
    except (TrainError, BundleError, OSError) as error:
        say(error, "emotrack train")
        return EXIT_FAILURE
    show(json.dumps(found.to_dict(), indent=1))
    if found.refusals:
        say(f"not accepted, nothing was written: {'; '.join(found.refusals)}", "emotrack train")
        return EXIT_FAILURE
    say(f"accepted: {args.out}", None)
    return 0
