"""Doing what is still to be done, one batch after the other, so that a killed run loses one batch at most.

A job is a chain of steps. The first takes a batch of items, the last gives one answer per item; between them flow
whatever they agree on. A step is built once in every worker that runs it, since it may hold a model. In a plain loop
they follow one another; an engine for many machines may run each with its own number of workers (see ``on_ray``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from emotrack.train.pretraining.corpus.table import Answer, Row, Table


class Item(Protocol):
    """Something to be done."""

    @property
    def key(self) -> str:
        """Content address of the item."""

    @property
    def size(self) -> int:
        """How much there is to do, in a unit of the job's own."""


AnItem = TypeVar("AnItem", bound=Item)
Step = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Worker:
    """Who does a step. An engine for many machines has several of each, in processes of their own."""

    build: Callable[[], Step]
    gpu: bool = False
    """The step runs on a GPU where there is one; then every worker has one to itself."""
    most: int | None = None
    """Workers at a time, as where a server bears no more; None for as many as there is room for."""


@dataclass(frozen=True, slots=True)
class Job(Generic[Row]):
    """The work on every batch, and the table for its rows."""

    name: str
    steps: tuple[Worker, ...]
    table: Table[Row]
    unit: str  # what is counted, for the progress bar


Engine = Callable[[Job[Any], Iterable[Sequence[Any]], Callable[[int], None]], None]
"""Does the batches of a job, and tells how many items are done."""


def to_do(items: Iterable[AnItem], table: Table[Any], most: int, largest: int) -> Iterator[list[AnItem]]:
    """The items that are not done, in batches of at most ``most`` items and about ``largest`` in size; none twice."""
    seen = set(table.done)
    batch: list[AnItem] = []
    size = 0
    for item in items:
        if item.key in seen:
            continue
        seen.add(item.key)
        if batch and (len(batch) >= most or size + item.size > largest):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch


def run_plainly(job: Job[Row], batches: Iterable[Sequence[Any]], advance: Callable[[int], None]) -> None:
    """Do the batches here, one after the other; ``advance`` hears how many items are done. Raises ``TrainError``."""
    steps: list[Step] = []
    for batch in batches:
        steps = steps or [worker.build() for worker in job.steps]  # where all is done, no model is loaded
        flowing: Any = batch
        for step in steps:
            flowing = step(flowing)
        answers: list[Answer[Row]] = flowing
        job.table.write(answers)
        advance(len(batch))
