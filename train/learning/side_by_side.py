"""Several trainings at a time, each in a process of its own, and on a GPU of its own as far as there are GPUs.

What a training prints comes with its name in front, and so does every epoch. One that fails is said, and the others go
on. Ctrl-C ends all of them, and none outlives the program that began it.

Nothing heavy is imported here: it is what every process begins with.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar, cast

from emotrack.errors import EmotrackError
from emotrack.tracker.errors import reason_of
from emotrack.tracker.messages.notices import notices_to
from emotrack.tracker.messages.output import say, show
from emotrack.train.errors import TrainError
from emotrack.train.learning.listening import listening, tell

Key = TypeVar("Key")
Result = TypeVar("Result")

CONTEXT = multiprocessing.get_context("spawn")  # what is forked cannot use a GPU
THREADS = "OMP_NUM_THREADS"
GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class _Printed:
    """Printed by a process."""

    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class _Epoch:
    """What a process's listeners would be told."""

    training: str
    folder: Path
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last of a process: what its training returned or raised."""

    result: object
    error: EmotrackError | None


@dataclass(frozen=True, slots=True)
class _Running:
    """A process, which training it does, and the place that it has."""

    key: Any
    process: SpawnProcess
    place: int


def side_by_side(
    trainings: Mapping[Key, Callable[[], Result]], at_once: int, named: Callable[[Key], str] = str
) -> tuple[dict[Key, Result], dict[Key, EmotrackError]]:
    """Run trainings in processes of their own, ``at_once`` at most -> what they returned, and why the others failed.

    Args:
        trainings: each can be sent to another process, and so can what it returns.
        at_once: 1 at least.
        named: what stands before a training's lines.
    """
    waiting, places = list(trainings), list(range(at_once))
    running: dict[Connection, _Running] = {}
    results: dict[Key, Result] = {}
    failures: dict[Key, EmotrackError] = {}
    try:
        while waiting or running:
            while waiting and places:
                key, place = waiting.pop(0), places.pop(0)
                connection, theirs = CONTEXT.Pipe()
                process = CONTEXT.Process(target=_work, args=(_environment(place, at_once), theirs), daemon=True)
                running[connection] = _Running(key, process, place)
                with _without_interrupts():
                    process.start()
                theirs.close()  # so that the end of the process is the end of what can be read
                connection.send(trainings[key])
            for connection in cast("list[Connection]", wait(list(running))):
                each = running[connection]
                message = _received(connection, each.process)
                if not isinstance(message, _Ended):
                    _pass_on(message, named(each.key))
                    continue
                if message.error is None:
                    results[each.key] = cast("Result", message.result)
                else:
                    failures[each.key] = message.error
                    say(message.error, named(each.key))
                each.process.join()
                places.append(each.place)
                del running[connection]
    finally:
        for connection, each in running.items():
            connection.close()
            if each.process.pid is not None:
                each.process.terminate()
        for each in running.values():
            if each.process.pid is not None:
                each.process.join()
    return results, failures


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, and a process that begins in it never gets it: this program ends it."""
    ensure_running()  # multiprocessing's own helper, whose start would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment(place: int, at_once: int) -> dict[str, str]:
    """The variables of the process in a place: one GPU, in turn, and its share of the processors."""
    if (known := os.environ.get(GPUS)) is None:
        import torch

        known = ",".join(map(str, range(torch.cuda.device_count())))
    gpus = [gpu for gpu in known.split(",") if gpu]
    threads = os.environ.get(THREADS) or str(max(1, (os.cpu_count() or 1) // at_once))
    return {THREADS: threads} | ({GPUS: gpus[place % len(gpus)]} if gpus else {})


def _received(connection: Connection, process: SpawnProcess) -> _Printed | _Epoch | _Ended:
    try:
        return cast("_Printed | _Epoch | _Ended", connection.recv())
    except EOFError:
        process.join()
        return _Ended(None, TrainError(f"its process ended with exit code {process.exitcode}"))


def _pass_on(message: _Printed | _Epoch, name: str) -> None:
    if isinstance(message, _Printed):
        if message.is_error:
            say(message.text, name)
        else:
            show(f"{name}: {message.text}")
        return
    scores = ", ".join(f"{name} {value}" for name, value in message.record.items() if isinstance(value, float))
    say(f"{message.training}, epoch {message.record['epoch']}: {scores}", name)
    tell(message.training, message.folder, message.record)


# -- in a process of its own ----------------------------------------------------------------------------------------


def _work(environment: dict[str, str], connection: Connection) -> None:
    Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    os.environ.update(environment)  # before torch is imported, as a training that is received imports it
    sending = Lock()  # a progress bar has a thread of its own

    def send(message: _Printed | _Epoch | _Ended) -> None:
        with sending:
            connection.send(message)

    sys.stdout = _Lines(lambda text: send(_Printed(text, is_error=False)))
    sys.stderr = _Lines(lambda text: send(_Printed(text, is_error=True)))
    with notices_to(lambda notice: say(notice.line, None)), listening(lambda *epoch: send(_Epoch(*epoch))):
        try:
            training = connection.recv()
        except EOFError:  # the program has ended before it said what to do
            return
        send(_outcome(training))


def _end_with(parent: Any) -> None:
    wait([parent.sentinel])
    os._exit(1)


def _outcome(training: Callable[[], object]) -> _Ended:
    try:
        return _Ended(training(), None)
    except EmotrackError as error:
        return _Ended(None, error)
    except Exception as error:
        if (reason := reason_of(error)) is None:
            raise
        return _Ended(None, TrainError(reason))


class _Lines(io.TextIOBase):
    """A stream that hands over each line."""

    def __init__(self, hand_over: Callable[[str], None]) -> None:
        self._hand_over = hand_over
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._hand_over(line.rstrip())
        return len(text)
