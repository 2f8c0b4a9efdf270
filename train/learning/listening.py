"""Who else is told of every epoch of a training: nobody, unless a command or a program asks for it.

with listening(lambda training, folder, record: mlflow.log_metrics(...)):
    run_stage_one(...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

Listener = Callable[[str, Path, Mapping[str, Any]], None]
"""Takes a training's name, its run's folder, and an epoch's line of the log."""

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """For a while, a listener is told of every epoch of every training; by rank 0, where there are several."""
    before = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(before)


def tell(training: str, folder: Path, record: Mapping[str, Any]) -> None:
    """Tell all listeners of an epoch."""
    for listener in _listeners.get():
        listener(training, folder, record)
