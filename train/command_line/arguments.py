"""What the commands of ``emotrack train`` have in common: arguments that several of them take, and exit codes.

Importing this module imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emotrack.tracker.messages.plain import unicode
from emotrack.tracker.options import Bounds

EXIT_FAILURE = 1
EXIT_USAGE = 2
JOBS = Bounds(1, 1000)
SEED = Bounds(0, 999_999_999)  # an epoch's own seeds are made of it


@dataclass(frozen=True, slots=True)
class Command:
    """One of them."""

    purpose: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Give a parser --recipe and --set."""
    parser.add_argument("--recipe", required=True, metavar="NAME|FILE", help="a packaged one, or a TOML file")
    add_changes(parser)


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Give a parser --set."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=changed_value,
        metavar="WHERE=VALUE",
        help="a value that the recipe has instead, such as network.hidden=256 or text.phases.0.loop.epochs=5; repeat",
    )


def add_data_and_seeds(parser: argparse.ArgumentParser) -> None:
    """Give a parser --data, --seed and --out."""
    parser.add_argument(
        "--data", action="append", default=[], type=named_path, metavar="NAME=PATH", help="what it needs; repeat"
    )
    add_seeds(parser)
    parser.add_argument("--out", required=True, type=weights_path, metavar="DIR", help="what is made goes here")


def add_seeds(parser: argparse.ArgumentParser) -> None:
    """Give a parser --seed, of which there may be several."""
    parser.add_argument(
        "--seed",
        nargs="+",
        action="extend",
        type=SEED,
        metavar="N",
        help="of everything random (default 0); several: a run with each, and a table of results",
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Give a parser --jobs."""
    parser.add_argument(
        "--jobs",
        type=JOBS,
        default=1,
        metavar="N",
        help="train so many seeds at a time, each in a process and, in turn, on a GPU of its own (default 1)",
    )


def add_collapse(parser: argparse.ArgumentParser) -> None:
    """Give a parser --accept-collapse."""
    parser.add_argument(
        "--accept-collapse",
        action="store_true",
        help="go on with a network that gives one answer to everything, so that it counts like any other",
    )


def data_of(args: argparse.Namespace) -> dict[str, Path]:
    """Where what --data names lies; a corpus that is read from another one's folder lies there too."""
    from emotrack.train.corpora import SAME_FOLDER

    data: dict[str, Path] = dict(args.data)
    return {name: data[folder] for name, folder in SAME_FOLDER.items() if folder in data} | data


def seeds_of(args: argparse.Namespace) -> list[int]:
    """The seeds that were asked for, each once."""
    return list(dict.fromkeys(args.seed or [0]))


def named_path(argument: str) -> tuple[str, Path]:
    """``NAME=PATH``, of an argument."""
    name, separator, path = argument.partition("=")
    if not (name and separator and path):
        raise argparse.ArgumentTypeError(f"{argument!r} is not NAME=PATH")
    return name, Path(path)


def changed_value(argument: str) -> tuple[str, str]:
    """``WHERE=VALUE``, of an argument."""
    where, separator, value = argument.partition("=")
    if not (where and separator):
        raise argparse.ArgumentTypeError(f"{argument!r} is not WHERE=VALUE")
    return where, value


def weights_path(argument: str) -> Path:
    """A folder for weights, of an argument; the library that writes them refuses some only after hours of training."""
    if argument != unicode(argument):
        raise argparse.ArgumentTypeError(f"{argument!r} is not UTF-8, and weights cannot be written there")
    return Path(argument)
