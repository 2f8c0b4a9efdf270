"""Progress bars, on standard error: a command's results are on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import rich.progress
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emotrack.tracker.messages.plain import plain

Item = TypeVar("Item")


def track(items: Sequence[Item], description: str) -> Iterable[Item]:
    """The items, with a bar of how many have been taken."""
    return rich.progress.track(items, escape(plain(description)), console=Console(stderr=True))


def epochs_bar(*, hidden: bool) -> Progress:
    """A bar for a training, whose tasks have a ``note`` behind it."""
    return Progress(
        TextColumn("{task.description:<15}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        disable=hidden,
    )
