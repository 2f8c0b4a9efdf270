"""One thread for one model: requests are served oldest first, those of about one length together.

A request that finds the model idle is served at once. While the model works others gather, and whatever is there when
it has finished makes the next batch: batches form under load only, and nobody waits for a timer.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Final, Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What may go together; lengths are in whatever unit the batcher measures requests."""

    requests: int
    padded: float
    """Of the whole batch, once all are padded to the longest; a single request may exceed it."""
    alike: float
    """The shortest is at least this share of the longest: padding costs as much as what is asked for."""


_LATEST_SHARE: Final = 0.3  # of the latest batch in what one takes: the machine's load changes within some turns
ALONE: Final = BatchLimits(requests=1, padded=math.inf, alike=1.0)


@dataclass(eq=False, slots=True)
class _Request(Generic[Asked, Answer]):
    item: Asked
    length: float
    asked_at: float
    """Seconds, ``time.perf_counter``."""
    answer: Future[Answer]


class Batcher(Generic[Asked, Answer]):
    """A model's thread and what waits for it.

    Nobody is served out of turn for long: the oldest request is in every batch, and others only fill it up. A
    conversation that asks for one thing at a time thus waits for one request of each other conversation at most.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Asked]], Sequence[Answer]],
        length: Callable[[Asked], float] = lambda _: 1.0,
        limits: BatchLimits = ALONE,
    ) -> None:
        """``run`` answers a batch, in order; where it fails, each request is run by itself."""
        self._run = run
        self._length = length
        self._limits = limits
        self._lock = Lock()
        self._waiting: list[_Request[Asked, Answer]] = []  # oldest first
        self._running = 0
        self.takes_s = 0.0
        """How long a batch takes at present: the later ones of those so far count more. Seconds; 0 before the first."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    @property
    def is_busy(self) -> bool:
        """Whether a request made now would have to wait."""
        return bool(self._running or self._wanted())

    @property
    def waiting(self) -> int:
        """Requests that have not been begun."""
        return len(self._wanted())

    @property
    def late_s(self) -> float:
        """How long the oldest of them has been waiting."""
        oldest = min((request.asked_at for request in self._wanted()), default=None)
        return 0.0 if oldest is None else time.perf_counter() - oldest

    async def ask(self, item: Asked) -> Answer:
        """The answer to ``item``, or what the model raised. If cancelled before it was begun, it never is."""
        request = _Request[Asked, Answer](item, self._length(item), time.perf_counter(), Future())
        with self._lock:
            self._waiting.append(request)
        self._thread.submit(self._serve)  # one for each request: where a batch took several, the rest find nothing
        return await asyncio.wrap_future(request.answer)

    def close(self) -> None:
        """Begin nothing any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _wanted(self) -> list[_Request[Asked, Answer]]:
        with self._lock:
            return [request for request in self._waiting if not request.answer.cancelled()]

    def _serve(self) -> None:
        batch, began = self._take(), time.perf_counter()
        outcomes = self._outcomes(batch)
        if batch:
            taken_s = time.perf_counter() - began
            self.takes_s += (taken_s - self.takes_s) * (_LATEST_SHARE if self.takes_s else 1.0)
        self._running = 0  # before anybody hears of it: who has an answer may ask again at once
        for tell in outcomes:
            tell()

    def _take(self) -> list[_Request[Asked, Answer]]:
        """The oldest request, and those after it that fit: a power of two in all.

        What runs the models compiles something for each size of a batch, and keeps it.
        """
        with self._lock:
            self._waiting = [request for request in self._waiting if not request.answer.cancelled()]
            fitting: list[_Request[Asked, Answer]] = []
            shortest, longest = math.inf, 0.0
            for request in self._waiting:
                low, high = min(shortest, request.length), max(longest, request.length)
                fits = low >= self._limits.alike * high and (len(fitting) + 1) * high <= self._limits.padded
                if fitting and not fits:
                    continue
                fitting.append(request)
                shortest, longest = low, high
                if len(fitting) == self._limits.requests:
                    break
            taken = fitting[: 1 << len(fitting).bit_length() - 1] if fitting else []
            self._waiting = [request for request in self._waiting if request not in taken]
            batch = [request for request in taken if request.answer.set_running_or_notify_cancel()]
            self._running = len(batch)
        return batch

    def _outcomes(self, batch: list[_Request[Asked, Answer]]) -> list[Callable[[], None]]:
        """Run a batch -> what tells each of its requests how it went."""
        try:
            answers = self._run([request.item for request in batch]) if batch else []
        except Exception as error:  # noqa: BLE001  # it is raised where the answer is awaited
            if len(batch) > 1:
                return [tell for request in batch for tell in self._outcomes([request])]
            return [partial(batch[0].answer.set_exception, error)]
        return [partial(request.answer.set_result, answer) for request, answer in zip(batch, answers, strict=True)]
