"""The command ``emotrack train significance``.

Importing this module imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from emotrack.errors import UsageError
from emotrack.tracker.messages.output import say, show
from emotrack.tracker.options import Bounds
from emotrack.train.command_line.arguments import EXIT_FAILURE, EXIT_USAGE, SEED, Command

SIGNIFICANCE_EPILOG = """\
A and B are what `emotrack evaluate --predictions` wrote of two networks on the same turns. Of each table its first
predictions are compared (from voice and words, if there are such), or those that --modalities names.

Dialogues are drawn, not turns, which hang together in a dialogue; and what A says of a dialogue is set against what B
says of it. The bounds hold 95 % of the differences of drawn dialogues; p is how often a difference at least as large
comes about where who said what is shuffled, dialogue by dialogue. It says nothing of other seeds: for these, compare
runs (results.md).

examples:
  emotrack evaluate --bundle runs/a/bundle --corpus meld --data MELD --split test --predictions a.csv
  emotrack evaluate --bundle runs/b/bundle --corpus meld --data MELD --split test --predictions b.csv
  emotrack train significance a.csv b.csv
"""


def add_significance_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train significance``."""
    parser.epilog = SIGNIFICANCE_EPILOG
    parser.add_argument("first", type=Path, metavar="A", help="predictions of one network (.csv or .parquet)")
    parser.add_argument("second", type=Path, metavar="B", help="predictions of another one, of the same turns")
    parser.add_argument(
        "--modalities",
        nargs="+",
        choices=("both", "speech", "text"),
        help="from what they are predicted; two: from what in A, and from what in B",
    )
    parser.add_argument(
        "--samples", type=Bounds(100, 1_000_000), default=10_000, metavar="N", help="drawn (default 10000)"
    )
    parser.add_argument("--seed", type=SEED, default=0, metavar="N", help="of everything random (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of sentences")


def run_significance(args: argparse.Namespace) -> int:
    """Run ``emotrack train significance`` -> exit code."""
    from emotrack.train.errors import TrainError
    from emotrack.train.evaluation.predictions import Predictions, read_predictions
    from emotrack.train.evaluation.significance import compare

    def read(path: Path, modalities: str | None) -> Predictions:
        found = read_predictions(path)
        if modalities and modalities not in found:
            raise TrainError(f"{path}: no predictions from {modalities}: there are {', '.join(found)}")
        return found[modalities] if modalities else next(iter(found.values()))

    asked = args.modalities or [None]
    if len(asked) > 2:
        say("--modalities names one, or one of A and one of B", "emotrack train significance")
        return EXIT_USAGE
    try:
        found = compare(read(args.first, asked[0]), read(args.second, asked[-1]), args.samples, args.seed)
    except (TrainError, UsageError, OSError) as error:
        say(error, "emotrack train significance")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
    if args.json:
        show(json.dumps(found.to_dict()))
        return 0
    counted = f"{found.turns:,} turns in {found.dialogues:,} dialogues"
    show(f"{counted}, weighted F1: A {found.first:.4f}, B {found.second:.4f}")
    show(f"B - A: {found.difference:+.4f}, 95 % of the bootstrap between {found.low:+.4f} and {found.high:+.4f}")
    show(f"permutation test, two-sided: p = {found.p:.4f} ({found.samples:,} samples, seed {found.seed})")
    return 0


SIGNIFICANCE: dict[str, Command] = {
    "significance": Command(
        "test whether one network's predictions are better than another's",
        add_significance_arguments,
        run_significance,
    ),
}
