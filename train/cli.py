"""The commands ``emotrack train`` and ``emotrack evaluate``.

Importing this module imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotrack.train.metrics import Scores

EXIT_FAILURE = 1
EXIT_USAGE = 2

STAGES = {
    "stage1": "train one classifier for words and one for the voice, each on its own -> OUT/stage1",
    "fusion": "calibrate both, learn from earlier turns, choose when to be uncertain -> OUT/bundle",
    "all": "stage1, then fusion",
    "adapt": "fit a bundle's classifiers to the corrections of a room -> OUT, if that helps",
}

TRAIN_EPILOG = """\
data (which ones a recipe needs, it says when one is missing):
  encoder    folder of a pre-trained BERT in the Hugging Face layout
  teacher    Whisper tiny.en's encoder, one .safetensors file
  meld, emorynlp, goemotions       folders with the official files
  ravdess, tess, nemo, emodb       folders with an index.csv (file, speaker, emotion) beside the clips

examples:
  emotrack train all --recipe mini --out runs/mini --seed 0 \\
      --data encoder=all-MiniLM-L6-v2 --data teacher=whisper-tiny.en-encoder.safetensors \\
      --data meld=text/meld --data goemotions=text/goemotions \\
      --data ravdess=speech/ravdess --data tess=speech/tess --data nemo=speech/nemo --data emodb=speech/emodb
  emotrack train fusion --recipe my-recipe.toml --out runs/mini --data meld=text/meld ...

  emotrack train adapt --bundle mini --sessions talks --out my-room --data meld=text/meld --data ravdess=speech/ravdess

adapt learns from sessions saved by `emotrack live --save` (best with --keep-audio) and labelled by `emotrack correct`.
Its --data, meld or acted speech, is where the bundle must not become more than a point worse.

A run that was killed goes on where it was when the same command is given again.
"""

EVALUATE_EPILOG = """\
corpora:
  meld, emorynlp, goemotions   words; a label that the bundle does not have is left out
  acted                        a folder with index.csv: clips, by voice
                               a folder with acted-*.json: conversations, voice and captions
  Acted speakers are split by name, never by clip: see "emotrack/train/acted.py".

examples:
  emotrack evaluate --bundle mini --corpus meld --data text/meld --split dev
  emotrack evaluate --bundle runs/mini/bundle --corpus acted --data speech/ravdess --split dev --json
  emotrack evaluate --bundle mini --corpus acted --data conversations --split dev --modalities speech
"""


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = TRAIN_EPILOG
    stages = parser.add_subparsers(dest="stage", metavar="STAGE", required=True)
    for name, purpose in STAGES.items():
        stage = stages.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")
        if name == "adapt":
            stage.add_argument("--bundle", default="mini", metavar="NAME|DIR", help="what to adapt (default mini)")
            stage.add_argument("--sessions", required=True, type=Path, metavar="DIR", help="saved sessions (*.jsonl)")
        else:
            stage.add_argument("--recipe", required=True, metavar="NAME|FILE", help="mini, toy, or a TOML file")
        stage.add_argument(
            "--data",
            action="append",
            default=[],
            type=_named_path,
            metavar="NAME=PATH",
            help="where a corpus lies; repeat",
        )
        stage.add_argument("--out", required=True, type=Path, metavar="DIR", help="what is made goes here")
        stage.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack evaluate``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EVALUATE_EPILOG
    parser.add_argument("--bundle", default="mini", metavar="NAME|DIR", help="what to evaluate (default mini)")
    parser.add_argument("--corpus", required=True, choices=("meld", "emorynlp", "goemotions", "acted"))
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="where the corpus lies")
    parser.add_argument("--split", choices=("train", "dev", "test"), default="dev")
    parser.add_argument("--mode", choices=("online",), default="online", help="each turn from the past alone")
    parser.add_argument("--modalities", choices=("both", "speech", "text"), default="both")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")


def run_train(args: argparse.Namespace) -> int:
    """Run ``emotrack train`` -> exit code."""
    return _adapt(args) if args.stage == "adapt" else _train(args)


def _train(args: argparse.Namespace) -> int:
    from emotrack.models.bundle import BundleError
    from emotrack.train.errors import TrainError
    from emotrack.train.fusion_stage import run_fusion
    from emotrack.train.recipe import load_recipe
    from emotrack.train.stage_one import run_stage_one

    try:
        recipe = load_recipe(args.recipe)
        data = dict(args.data)
        if missing := [name for name in recipe.needs if name not in data]:
            print(f"emotrack train: recipe {recipe.name} also needs --data {missing[0]}=PATH", file=sys.stderr)
            return EXIT_USAGE
        if args.stage in ("stage1", "all"):
            print(f"stage I: {run_stage_one(recipe, data, args.out, args.seed)}")
        if args.stage in ("fusion", "all"):
            print(f"bundle: {run_fusion(recipe, data, args.out, args.seed)}")
    except (TrainError, BundleError, OSError) as error:
        print(f"emotrack train: {error}", file=sys.stderr)
        return EXIT_FAILURE
    return 0


def _adapt(args: argparse.Namespace) -> int:
    import torch

    from emotrack.models.bundle import BundleError
    from emotrack.train.adapt import GENERAL, adapt
    from emotrack.train.errors import TrainError

    torch.set_num_threads(1)  # a turn at a time: more threads only wait for each other
    data = dict(args.data)
    if not data or set(data) - set(GENERAL):
        print(f"emotrack train: adapt needs --data NAME=PATH, one or more of {', '.join(GENERAL)}", file=sys.stderr)
        return EXIT_USAGE
    try:
        found = adapt(args.bundle, args.sessions, data, args.out, args.seed)
    except (TrainError, BundleError, OSError) as error:
        print(f"emotrack train: {error}", file=sys.stderr)
        return EXIT_FAILURE
    print(json.dumps(found.to_dict(), indent=1))
    if found.refusals:
        print(f"emotrack train: not accepted, nothing was written: {'; '.join(found.refusals)}", file=sys.stderr)
        return EXIT_FAILURE
    print(f"accepted: {args.out}", file=sys.stderr)
    return 0


def run_evaluate(args: argparse.Namespace) -> int:
    """Run ``emotrack evaluate`` -> exit code."""
    import torch

    from emotrack.models.bundle import BundleError, load_bundle
    from emotrack.train.dialogues import read_dialogues
    from emotrack.train.errors import TrainError
    from emotrack.train.evaluate import evaluate

    torch.set_num_threads(1)  # a turn at a time: more threads only wait for each other
    try:
        network = load_bundle(args.bundle)
        dialogues = list(read_dialogues(args.corpus, args.data, args.split, args.modalities))
        scores = evaluate(network, dialogues)
    except (TrainError, BundleError, OSError) as error:
        print(f"emotrack evaluate: {error}", file=sys.stderr)
        return EXIT_FAILURE
    asked = {
        "bundle": network.name,
        "fingerprint": network.fingerprint,
        "corpus": args.corpus,
        "split": args.split,
        "mode": args.mode,
        "modalities": args.modalities,
    }
    if args.json:
        print(json.dumps(asked | scores.to_dict()))
    else:
        _print_scores(asked, scores)
    return 0


def _print_scores(asked: dict[str, Any], scores: Scores) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(", ".join(f"{name} {value}" for name, value in asked.items()), highlight=False)
    console.print(
        f"{scores.count} turns: weighted F1 {scores.weighted_f1:.3f}, macro F1 {scores.macro_f1:.3f}, "
        f"UAR {scores.uar:.3f}, accuracy {scores.accuracy:.3f}, ECE {scores.ece:.3f}"
    )
    table = Table("truth", "F1", *scores.labels, title="rows: truth; columns: prediction")
    for label, f1, row in zip(scores.labels, scores.f1, scores.confusion, strict=True):
        table.add_row(label, f"{f1:.3f}", *(str(count) for count in row))
    console.print(table)


def _named_path(argument: str) -> tuple[str, Path]:
    name, separator, path = argument.partition("=")
    if not (name and separator and path):
        raise argparse.ArgumentTypeError(f"{argument!r} is not NAME=PATH")
    return name, Path(path)
