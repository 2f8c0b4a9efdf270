"""One training with several seeds, one after the other or side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from emotrack.errors import EmotrackError
from emotrack.tracker.messages.output import say, show
from emotrack.train.errors import CollapsedError
from emotrack.train.learning.side_by_side import side_by_side
from emotrack.train.running.ranks import rank
from emotrack.train.running.results import write_results


def train_with(
    seeds: Sequence[int], out: Path, train: Callable[[Path, int], Path], command: str, jobs: int = 1
) -> bool:
    """Train with each seed; with several, each in ``out/seed-N``, and a table of the results of all of them.

    Args:
        seeds: each once.
        out: what is made goes here.
        train: fills a folder, with a seed -> where its ``metrics.json`` lies. With several jobs, it can be pickled.
        command: which says so when one of several seeds' trainings collapses.
        jobs: how many seeds are trained at a time, each in a process of its own; then the others go on whatever a
            training fails of.

    Returns:
        Whether every seed's training came to its end.

    Raises:
        CollapsedError: the training of the one seed collapsed; of several, that ends no other's.
    """
    if len(seeds) == 1:
        train(out, seeds[0])
        return True
    trainings = {seed: partial(train, out / f"seed-{seed}", seed) for seed in seeds}
    if jobs > 1:
        made, ended = side_by_side(trainings, jobs, "seed {}".format)
    else:
        made, ended = _one_by_one(trainings, command)
    if rank() == 0:
        made = {seed: made[seed] for seed in seeds if seed in made}
        show(f"results: {write_results(made, out, ended)}")
    return not ended


def _one_by_one(trainings: dict[int, partial[Path]], command: str) -> tuple[dict[int, Path], dict[int, EmotrackError]]:
    made: dict[int, Path] = {}
    ended: dict[int, EmotrackError] = {}
    for seed, training in trainings.items():
        try:
            made[seed] = training()
        except CollapsedError as error:
            ended[seed] = error
            say(f"seed {seed}: {error}", command)
    return made, ended
