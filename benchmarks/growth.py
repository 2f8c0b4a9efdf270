"""What the ten-thousandth turn costs: ours with its rolling context, and a script that encodes the history anew.

Each in a process of its own, and they take turns. What is measured is whole: voice and words encoded, the conversation
scored. In between, ours is brought forward with embeddings that are ready, which its context takes like any other, and
the script with turns that it has yet to read, which it would read again anyway. Minutes lie between those turns, in
which a machine may become slower; so in the end the latest turns of ours are read in turn with tenth turns of new
conversations, and with twentieth ones, when the window of 16 turns is full.
"""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Protocol

from benchmarks.figures import Benchmark, Figure, Found, Note, Settings
from benchmarks.processes import resident_mib
from benchmarks.speech import turns, words

if TYPE_CHECKING:
    from emotrack.models.conversation import TurnEmbedding


MARKS = (10, 100, 1_000, 10_000)
REPEATS = 24
SCRIPT_REPEATS = {10: 24, 100: 4, 1_000: 1}  # beyond, one turn takes minutes and relates 100 million pairs of turns
SPEAKERS = ("Ana", "Ben")


class Tracker(Protocol):
    """Reads the bundled turns, over and over; ``place`` counts them."""

    def skip(self, place: int) -> None:
        """Make a turn part of the past."""

    def read(self, place: int) -> None:
        """Score a turn as the newest."""


class Ours:
    """The network with its rolling context."""

    def __init__(self) -> None:
        import torch

        from emotrack.models.bundle import load_bundle
        from emotrack.models.scorer import ConversationScorer

        torch.set_num_threads(1)
        self._network = load_bundle("mini")
        self._network.store_in_half()
        self._scorer = ConversationScorer(self._network)
        self.begin()
        self._ready = [self._embedded(place) for place in range(len(turns()))]

    def begin(self) -> None:
        """Begin a conversation."""
        self.context = self._scorer.new_context()

    def skip(self, place: int) -> None:
        self._scorer.update(self.context, self._ready[place % len(self._ready)])

    def read(self, place: int) -> None:
        self._scorer.update(self.context, self._embedded(place))

    def _embedded(self, place: int) -> TurnEmbedding:
        from emotrack.models.conversation import TurnEmbedding

        said = words()[place % len(turns())]
        text = self._network.embed_text(said, self.context.words)
        speech = self._network.embed_speech(turns()[place % len(turns())].samples)
        return TurnEmbedding(speech, text, SPEAKERS[place % 2], said)


class Script:
    """The straight-line script, which holds on to the audio of every turn."""

    def __init__(self) -> None:
        from benchmarks.straight_line import StraightLine

        self.script = StraightLine(None, keep_embeddings=False)

    def skip(self, place: int) -> None:
        turn = turns()[place % len(turns())]
        self.script.remember(turn.samples.copy(), words()[place % len(turns())], SPEAKERS[place % 2])

    def read(self, place: int) -> None:
        turn = turns()[place % len(turns())]
        self.script.turn(turn, words()[place % len(turns())], SPEAKERS[place % 2])


def measure(settings: Settings) -> Found:
    """Yield the cost of a turn, ms, and the process's memory, MiB."""
    spawn = multiprocessing.get_context("spawn")
    marks = MARKS[:2] if settings.quick else MARKS
    with (
        ProcessPoolExecutor(1, spawn, initializer=_start, initargs=(Ours,)) as ours,
        ProcessPoolExecutor(1, spawn, initializer=_start, initargs=(Ours,)) as beginning,
        ProcessPoolExecutor(1, spawn, initializer=_start, initargs=(Script,)) as script,
    ):
        for mark in marks:
            contenders = [("emotrack", ours, REPEATS)]
            if mark in SCRIPT_REPEATS:
                contenders.append(("straight-line script", script, SCRIPT_REPEATS[mark]))
            for name, process, repeats in contenders:
                taken_ms, memory_mib = process.submit(_read_at, mark, repeats).result()
                yield Figure(f"turn {mark:,}", name, "ms", tuple(taken_ms))
                yield Figure(f"memory at turn {mark:,}", name, "MiB", (memory_mib,))
        in_turn = {f"{marks[-1]:,} and on": (ours, _read_at, marks[-1])}
        in_turn |= {f"{mark}, a new conversation": (beginning, _read_anew, mark) for mark in (10, 20)}
        taken: dict[str, list[float]] = {row: [] for row in in_turn}
        for _ in range(2 * REPEATS):
            for row, (process, read, mark) in in_turn.items():
                taken[row] += process.submit(read, mark, 1).result()[0]
        for row, each in taken.items():
            yield Figure(f"in turn with the others: turn {row}", "emotrack", "ms", tuple(each))
    yield Note("The script is not asked for turn 10,000, on which it would work for minutes.")


_tracker: Tracker  # of the process that runs it
_read = 0


def _start(kind: type[Ours | Script]) -> None:
    global _tracker
    _tracker = kind()


def _read_anew(mark: int, repeats: int) -> tuple[list[float], float]:
    """The same, of a new conversation."""
    global _read
    assert isinstance(_tracker, Ours)
    _tracker.begin()
    _read = 0
    return _read_at(mark, repeats)


def _read_at(mark: int, repeats: int) -> tuple[list[float], float]:
    """Milliseconds of each of ``repeats`` turns from turn ``mark`` on, and MiB."""
    global _read
    while _read < mark - 1:
        _tracker.skip(_read)
        _read += 1
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        _tracker.read(_read)
        taken.append(1000 * (time.perf_counter() - began))
        _read += 1
    return taken, resident_mib()


BENCHMARK = Benchmark("growth", "What a turn costs, after how many", measure)
