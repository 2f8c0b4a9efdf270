"""One training with several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from emotrack.tracker.messages.output import say, show
from emotrack.train.errors import CollapsedError
from emotrack.train.running.ranks import rank
from emotrack.train.running.results import write_results


def train_with(seeds: Sequence[int], out: Path, train: Callable[[Path, int], Path], command: str) -> bool:
    """Train with each seed; with several, each in ``out/seed-N``, and a table of the results of all of them.

    Args:
        seeds: each once.
        out: what is made goes here.
        train: fills a folder, with a seed -> where its ``metrics.json`` lies.
        command: which says so when a seed's training collapses, and goes on with the others.

    Returns:
        Whether none was ended by a collapse.
    """
    made: dict[int, Path] = {}
    ended: dict[int, CollapsedError] = {}
    for seed in seeds:
        try:
            made[seed] = train(out / f"seed-{seed}" if len(seeds) > 1 else out, seed)
        except CollapsedError as error:
            ended[seed] = error
            say(f"seed {seed}: {error}", command)
    if len(seeds) > 1 and rank() == 0:
        show(f"results: {write_results(made, out, ended)}")
    return not ended
