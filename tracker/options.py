"""Option dataclasses as command-line options: the field's default, type and help are written once."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TypeVar

from emotrack.tracker.errors import UsageError

T = TypeVar("T")


def add_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup, options: type[T]) -> None:
    """Add ``--name VALUE`` for every float field of ``options``; ``end_silence_s`` becomes ``--end-silence``."""
    for field in fields(options):  # type: ignore[arg-type]
        unit = next((unit for unit in ("s", "dbfs") if field.name.endswith(f"_{unit}")), "")
        parser.add_argument(
            "--" + field.name.removesuffix(f"_{unit}" if unit else "").replace("_", "-"),
            dest=field.name,
            type=float,
            default=field.default,
            metavar={"s": "SECONDS", "dbfs": "DBFS", "": "P"}[unit],
            help=f"{field.metadata['help']} (default: {field.default:g})",
        )


def read_options(arguments: argparse.Namespace, options: type[T]) -> T:
    """The options that were given. Raises ``UsageError`` when they do not go together."""
    try:
        return options(**{field.name: getattr(arguments, field.name) for field in fields(options)})  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(str(error)) from error
