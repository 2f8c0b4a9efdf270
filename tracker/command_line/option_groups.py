"""Option dataclasses on the command line: each field becomes an option, and the options given become the dataclass."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TypeVar

from emotrack.errors import UsageError

T = TypeVar("T")


def add_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup, options: type[T]) -> None:
    """Add ``--name VALUE`` for every field of ``options``; ``end_silence_s`` becomes ``--end-silence``."""
    for each in fields(options):  # type: ignore[arg-type]
        unit = next((unit for unit in ("s", "dbfs") if each.name.endswith(f"_{unit}")), "")
        parser.add_argument(
            "--" + each.name.removesuffix(f"_{unit}" if unit else "").replace("_", "-"),
            dest=each.name,
            type=each.metadata["bounds"],
            default=each.default,
            metavar={"s": "SECONDS", "dbfs": "DBFS", "": "P"}[unit],
            help=f"{each.metadata['help']} (default: {each.default:g})",
        )


def read_options(arguments: argparse.Namespace, options: type[T]) -> T:
    """The options that were given. Raises ``UsageError`` when they do not go together."""
    try:
        return options(**{each.name: getattr(arguments, each.name) for each in fields(options)})  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(str(error)) from error
