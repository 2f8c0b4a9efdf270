"""A training that ends in one answer to everything: it ends the run, or counts as any other where that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from emotrack.tracker.messages.output import say
from emotrack.train.errors import CollapsedError
from emotrack.train.running.ranks import rank

_accepted = ContextVar("accepted", default=False)


class Measured(Protocol):
    """The result of an evaluation on dev."""

    @property
    def collapsed(self) -> str | None:
        """What the network does instead of telling items apart; None while it does tell them apart."""
        ...

    def to_dict(self) -> dict[str, Any]: ...


@contextmanager
def collapse_accepted(*, accept: bool = True) -> Iterator[None]:
    """For a while, a collapse is said and the run goes on, so that its score counts like any other."""
    before = _accepted.set(accept)
    try:
        yield
    finally:
        _accepted.reset(before)


def check_collapse(training: str, scores: Measured) -> None:
    """Raise ``CollapsedError`` where a training has collapsed and that is not accepted."""
    if not scores.collapsed:
        return
    what = f"{training}: collapsed, {scores.collapsed}"
    if not _accepted.get():
        raise CollapsedError(f"{what}: lower the learning rate, or go on with --accept-collapse", scores.to_dict())
    if rank() == 0:
        say(what, None)
