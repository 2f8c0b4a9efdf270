"""The commands ``emotrack train table``, ``figure3`` and ``figure4``.

Importing this module imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from emotrack.errors import UsageError
from emotrack.tracker.messages.output import say, show
from emotrack.train.command_line.arguments import (
    EXIT_FAILURE,
    EXIT_USAGE,
    Command,
    add_changes,
    add_data_and_seeds,
    add_jobs,
    data_of,
    named_path,
    seeds_of,
)

if TYPE_CHECKING:
    from emotrack.train.recipes.recipe import Recipe

FIGURE_EPILOG = """\
what is written:
  OUT/{name}.csv, .md, .svg     every run's score, the table, and the plot: weighted F1 on dev, mean and spread
  OUT/RECIPE/ARM/seed-N/          the runs; finished ones are not repeated when the command is given again, so recipes,
                                  seeds{more} can be added, and a grid that was killed goes on

examples:
{examples}
"""
FIGURE_3 = FIGURE_EPILOG.format(
    name="figure3",
    more=" and annotators",
    examples="""\
  emotrack train figure3 --recipe mini --labels vader=labels/vader --labels llama=labels/llama-3.1-8b --seed 0 1 2 \\
      --data encoder=all-MiniLM-L6-v2 --data meld=text/meld --data emorynlp=text/emorynlp \\
      --data goemotions=text/goemotions --out figures""",
)
FIGURE_4 = FIGURE_EPILOG.format(
    name="figure4",
    more="",
    examples="""\
  emotrack train figure4 --recipe iemocap.toml mosi.toml --seed 0 1 2 --data iemocap=IEMOCAP --data mosi=MOSI \\
      --out figures""",
)


def add_figure3_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train figure3``."""
    _add_figure_arguments(parser, FIGURE_3)
    parser.add_argument(
        "--labels",
        required=True,
        action="append",
        type=named_path,
        metavar="NAME=DIR",
        help="one annotator's labels, and what to call it; repeat",
    )


def add_figure4_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train figure4``."""
    _add_figure_arguments(parser, FIGURE_4)


def _add_figure_arguments(parser: argparse.ArgumentParser, epilog: str) -> None:
    parser.epilog = epilog
    parser.add_argument(
        "--recipe",
        required=True,
        nargs="+",
        metavar="NAME|FILE",
        help="a packaged one, or a TOML file; several: groups",
    )
    add_changes(parser)
    add_data_and_seeds(parser)


TABLE = """\
Trains each recipe with each seed, unless that is done, and scores every stage, from words, voice and both, online (each
turn from the past alone) and offline (each turn sees the whole dialogue). With --jobs, several seeds are trained at a
time, and then scored one after the other.

what is written:
  OUT/table.csv                   every run's scores: weighted and macro F1, UAR, accuracy, ECE
  OUT/table.md, table.tex         weighted F1 in %, mean and spread; n of N where a seed diverged. Of recipes on several
                                  folds of IEMOCAP, a column has mean and spread over the folds. Of mosi and mosi-7, a
                                  table has MAE, Corr, Acc-7 and Acc-2 as papers give them (`emotrack evaluate --help`)
  OUT/RECIPE/staged/seed-N/       the runs, shared with figure4 of the same --out, and the predictions of every turn,
                                  which `emotrack train significance` compares; what is finished is not run again
  OUT/missing/RECIPE-SPLIT-MODE.csv, .md, .svg    with --missing: see `emotrack evaluate --help`
  OUT/transcripts/CORPUS.csv      with --asr: the recognised words, which `emotrack evaluate --transcripts` reads, too

examples:
  emotrack train table --recipe paper/meld paper/iemocap-4 paper/mosi --seed 0 1 2 3 4 \\
      --data meld=MELD --data iemocap=IEMOCAP --data mosi=MOSI --out tables
  emotrack train table --recipe merits-l --corpora meld iemocap --data meld=MELD --data iemocap=IEMOCAP --out tables
  emotrack train table --recipe paper/mosi --corpora mosi mosi-7 --data mosi=MOSI --out tables
"""


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``emotrack train table``."""
    _add_figure_arguments(parser, TABLE)
    add_jobs(parser)
    parser.add_argument(
        "--corpora", nargs="+", metavar="NAME", help="train each recipe on each of these, in place of its own corpus"
    )
    parser.add_argument(
        "--split", nargs="+", choices=("dev", "test"), default=["dev", "test"], help="what is scored (default: both)"
    )
    parser.add_argument(
        "--asr",
        metavar="moonshine|NAME_OR_PATH|pocketsphinx",
        help="also score the words that this recogniser hears, in rows of their own: moonshine (English, installed), "
        "or a faster-whisper size, hub id or CTranslate2 folder",
    )
    parser.add_argument(
        "--missing",
        action="store_true",
        help="also score the whole network with ever more turns that lack their words or their voice",
    )
    parser.add_argument("--language", metavar="CODE", help="that --asr hears (en, de ...); detected when not given")


def run_table(args: argparse.Namespace) -> int:
    """Run ``emotrack train table`` -> exit code."""
    from emotrack.models.bundle import BundleError
    from emotrack.models.hub import HubError
    from emotrack.tracker.errors import RecogniserError
    from emotrack.train.data.transcripts import recogniser_name
    from emotrack.train.errors import TrainError
    from emotrack.train.figures.table import cells, write_missing_tables, write_table
    from emotrack.train.figures.table_text import TableOptions
    from emotrack.train.recipes.recipe import load_recipe, on_corpus
    from emotrack.train.running.ranks import joined, rank

    data = data_of(args)
    options = TableOptions(
        tuple(dict.fromkeys(args.split)), tuple(seeds_of(args)), args.asr, args.language, args.missing, args.jobs
    )
    try:
        if args.asr:
            recogniser_name(args.asr, args.language)  # before hours are spent
        recipes = [load_recipe(name, args.set) for name in args.recipe]
        if args.corpora:
            recipes = [on_corpus(recipe, corpus) for recipe in recipes for corpus in dict.fromkeys(args.corpora)]
        if complaint := _complaint(recipes, data, args):
            say(complaint, "emotrack train table")
            return EXIT_USAGE
        args.out.mkdir(parents=True, exist_ok=True)
        with joined(jobs=args.jobs):
            files = write_table(cells(recipes, data, args.out, options), args.out, options)
            if rank() == 0:
                files += write_missing_tables(recipes, args.out, options)
                show("\n".join(map(str, files)))
    except (TrainError, BundleError, HubError, RecogniserError, UsageError, OSError) as error:
        say(error, "emotrack train table")
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILURE
    return 0


def run_figure3(args: argparse.Namespace) -> int:
    """Run ``emotrack train figure3`` -> exit code."""
    return _run_figure(args, "Figure 3: words, by the annotator of the pre-training")


def run_figure4(args: argparse.Namespace) -> int:
    """Run ``emotrack train figure4`` -> exit code."""
    return _run_figure(args, "Figure 4: stages trained one after the other, and jointly")


def _run_figure(args: argparse.Namespace, title: str) -> int:
    from emotrack.models.bundle import BundleError
    from emotrack.models.hub import HubError
    from emotrack.train.errors import TrainError
    from emotrack.train.figures.figures import annotators, budgets, hierarchies, write_figure
    from emotrack.train.recipes.recipe import load_recipe
    from emotrack.train.running.ranks import joined, rank

    name, data, seeds = args.stage, data_of(args), seeds_of(args)
    try:
        recipes = [load_recipe(recipe, args.set) for recipe in args.recipe]
        if complaint := _complaint(recipes, data, args):
            say(complaint, f"emotrack train {name}")
            return EXIT_USAGE
        args.out.mkdir(parents=True, exist_ok=True)
        with joined():
            runs = (
                annotators(recipes, dict(args.labels), data, args.out, seeds)
                if name == "figure3"
                else hierarchies(recipes, data, args.out, seeds)
            )
            remarks = [budgets(recipe) for recipe in recipes] if name == "figure4" else []
            files = write_figure(title, runs, args.out, name, remarks)
            if rank() == 0:
                show("\n".join(map(str, files)))
    except (TrainError, BundleError, HubError, OSError) as error:
        say(error, f"emotrack train {name}")
        return EXIT_FAILURE
    return 0


def _complaint(recipes: list[Recipe], data: dict[str, Path], args: argparse.Namespace) -> str | None:
    """The fault of a figure's command line: a name missing, given twice or unknown."""
    from emotrack.train.recipes.recipe import FOLDER_NAME, misnamed

    names = [recipe.name for recipe in recipes], [name for name, _ in getattr(args, "labels", [])]
    for what, called in zip(("recipes", "annotators"), names, strict=True):
        if twice := next((name for name in called if called.count(name) > 1), None):
            return f"two {what} are called {twice}"
        if odd := next((name for name in called if not FOLDER_NAME.fullmatch(name)), None):
            return f"{odd!r} is no name for a folder"
    for recipe in recipes:
        if args.stage == "figure4" and recipe.joint is None:
            return f"recipe {recipe.name} has no [joint]: how the stages are trained together"
        needs = recipe.needs_for_words if args.stage == "figure3" else recipe.needs
        if complaint := misnamed(data, recipe, needs):
            return complaint
    return None


FIGURES: dict[str, Command] = {
    "table": Command(
        "score every stage and modality of recipes over seeds -> table in Markdown, CSV and LaTeX",
        add_table_arguments,
        run_table,
    ),
    "figure3": Command(
        "compare annotators: words after pre-training on the labels of each, and without -> table and plot",
        add_figure3_arguments,
        run_figure3,
    ),
    "figure4": Command(
        "compare stages trained one after the other with stages trained jointly -> table and plot",
        add_figure4_arguments,
        run_figure4,
    ),
}
