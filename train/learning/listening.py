"""Who else is told of every epoch of a training: nobody, unless a command or a program asks for it.

with listening(lambda training, folder, record: print(training, numbers_in(record))):
    run_stage_one(...)

``examples/train_with_mlflow.py`` and ``examples/train_with_wandb.py`` are whole programs.
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


def numbers_in(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a log's line but that of the epoch, those of labels as ``f1/joy``."""
    found = {name: float(value) for name, value in record.items() if _is_number(value) and name != "epoch"}
    for name, values in record.items():
        if isinstance(values, Mapping):
            found |= {f"{name}/{label}": float(value) for label, value in values.items() if _is_number(value)}
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
