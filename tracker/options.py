"""Numbers that people give: every one has bounds.

Of an option dataclass, each field's default, bounds and help are written once.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from emotrack.errors import UsageError


@dataclass(frozen=True, slots=True)
class Bounds:
    """The numbers that may be given, both ends included; as the ``type`` of an option, it reads one of them.

    It reads whole numbers only where both ends are whole numbers.
    """

    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high  # which NaN is not

    def __call__(self, text: str) -> float:
        """The number that ``text`` is. Raises ``argparse.ArgumentTypeError`` where it is none of these."""
        try:
            number = int(text) if self._are_whole else float(text)
        except ValueError:
            number = float("nan")
        if number not in self:
            shown = text if len(text) <= 20 else f"{text[:20]}..."
            raise argparse.ArgumentTypeError(f"{shown!r} is no {self}")
        return number

    def __str__(self) -> str:
        return f"{'whole ' if self._are_whole else ''}number between {self.low} and {self.high}"

    @property
    def _are_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


PORTS = Bounds(1, 65535)
THREADS = Bounds(1, 1024)
SPEAKERS = Bounds(1, 32)  # who are told apart in one conversation


def option(default: float, bounds: Bounds, help: str) -> Any:
    """A field of an option dataclass, whose ``bounds`` and ``help`` the command line shows."""
    return field(default=default, metadata={"bounds": bounds, "help": help})


def out_of_bounds(options: Any) -> Iterator[str]:
    """What is wrong with each field of an option dataclass that lies outside its bounds, or is no number."""
    for each in fields(options):
        value, bounds = getattr(options, each.name), each.metadata["bounds"]
        if value not in bounds:
            yield f"{each.name} must be a {bounds}, not {value}"


def environment_number(variable: str, bounds: Bounds, default: int) -> int:
    """The whole number in an environment variable. Raises ``UsageError`` where it holds something else."""
    try:
        return int(bounds(os.environ.get(variable) or str(default)))
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{variable} in the environment: {error}") from None
