"""What waits for a model, and what goes together."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emotrack.tracker.understanding import batching
from emotrack.tracker.understanding.batching import ALONE, Batcher, BatchLimits

TOGETHER = BatchLimits(requests=4, padded=40.0, alike=0.75)


class Model:
    """Answers numbers with their squares; works as long as it is held."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.began = threading.Event()
        self.held = threading.Event()
        self.held.set()

    def run(self, numbers: Sequence[float]) -> list[float]:
        self.batches.append(list(numbers))
        self.began.set()
        assert self.held.wait(10)
        if any(number < 0 for number in numbers):
            raise ValueError(f"negative: {numbers}")
        return [number**2 for number in numbers]


@asynccontextmanager
async def held(model: Model, batcher: Batcher[float, float]) -> AsyncIterator[None]:
    """While the model works on a request of its own; batches are counted from then on."""
    model.held.clear()
    first = asyncio.ensure_future(batcher.ask(1.0))
    await asyncio.to_thread(model.began.wait)
    yield
    await asyncio.sleep(0.01)  # let what was asked for begin to wait
    model.batches.clear()
    model.held.set()
    assert await first == 1


def batches_of(numbers: Sequence[float], limits: BatchLimits = TOGETHER) -> list[list[float]]:
    """How requests of these lengths are served that all came, in this order, while the model was at work."""

    async def ask() -> list[list[float]]:
        model = Model()
        batcher = Batcher("model", model.run, float, limits)
        async with held(model, batcher):
            asked = [asyncio.ensure_future(batcher.ask(number)) for number in numbers]
        assert await asyncio.gather(*asked) == [number**2 for number in numbers]
        assert not batcher.is_busy
        batcher.close()
        return model.batches

    return asyncio.run(ask())


def test_what_gathers_while_the_model_works_is_served_together() -> None:
    assert batches_of([1, 1]) == [[1, 1]]
    assert batches_of([1, 1, 1], ALONE) == [[1], [1], [1]]


def test_the_oldest_comes_first_and_only_what_is_about_as_long_goes_with_it() -> None:
    assert batches_of([10, 1, 8, 1.2, 5]) == [[10, 8], [1, 1.2], [5]]


def test_batches_are_bounded_in_number_and_in_what_they_amount_to() -> None:
    assert batches_of([1] * 6) == [[1] * 4, [1] * 2]
    assert batches_of([1, 1.1, 1.2]) == [[1, 1.1], [1.2]], "a power of two"
    assert batches_of([20, 20, 20]) == [[20, 20], [20]]
    assert batches_of([99, 99]) == [[99], [99]], "one alone may exceed the bound"


def test_a_request_that_finds_the_model_idle_is_served_at_once() -> None:
    async def ask() -> list[list[float]]:
        model = Model()
        batcher = Batcher("model", model.run, float, TOGETHER)
        for number in (1.0, 2.0, 3.0):
            async with asyncio.timeout(5):
                assert await batcher.ask(number) == number**2
        batcher.close()
        return model.batches

    assert asyncio.run(ask()) == [[1], [2], [3]]


def test_what_was_cancelled_while_it_waited_is_never_begun() -> None:
    async def ask() -> None:
        model = Model()
        batcher = Batcher("model", model.run, float, ALONE)
        async with held(model, batcher):
            unwanted, wanted = (asyncio.ensure_future(batcher.ask(number)) for number in (2.0, 3.0))
            await asyncio.sleep(0.01)
            assert batcher.waiting == 2
            assert batcher.late_s > 0.005
            unwanted.cancel()
            await asyncio.sleep(0.01)
            assert batcher.waiting == 1
        assert await wanted == 9
        assert unwanted.cancelled()
        assert model.batches == [[3]]
        assert batcher.late_s == 0
        batcher.close()

    asyncio.run(ask())


def test_what_is_cancelled_under_way_harms_nobody() -> None:
    async def ask() -> None:
        model = Model()
        batcher = Batcher("model", model.run, float, TOGETHER)
        model.held.clear()
        unwanted = asyncio.ensure_future(batcher.ask(2.0))
        await asyncio.to_thread(model.began.wait)
        unwanted.cancel()
        assert batcher.is_busy, "the model goes on"
        model.held.set()
        assert await batcher.ask(3.0) == 9
        batcher.close()

    asyncio.run(ask())


def test_a_request_that_fails_fails_alone() -> None:
    async def ask() -> None:
        model = Model()
        batcher = Batcher("model", model.run, lambda _: 1.0, TOGETHER)
        async with held(model, batcher):
            asked = [asyncio.ensure_future(batcher.ask(number)) for number in (2.0, -1.0, 3.0)]
        two, wrong, three = await asyncio.gather(*asked, return_exceptions=True)
        assert (two, three) == (4, 9)
        assert isinstance(wrong, ValueError)
        batcher.close()

    asyncio.run(ask())


def test_a_conversation_waits_for_one_request_of_each_other() -> None:
    """One asks again as soon as it is answered, as often as it can; the others are served between."""

    async def ask() -> None:
        model = Model()
        batcher = Batcher("model", model.run, float, ALONE)
        served: list[float] = []

        async def keep_asking(number: float, times: int) -> None:
            for _ in range(times):
                await batcher.ask(number)
                served.append(number)

        async with held(model, batcher):
            talking = [asyncio.ensure_future(keep_asking(*each)) for each in ((7, 20), (2, 5), (3, 5))]
        await asyncio.gather(*talking)
        assert served[:15] == [7, 2, 3] * 5
        batcher.close()

    asyncio.run(ask())


@pytest.mark.parametrize("seed", range(5))
def test_nobody_gets_anybody_elses_answer_and_none_is_lost(seed: int) -> None:
    """Many askers of arrays, which have no truth value of their own, some of whom lose interest."""
    chance = random.Random(seed)

    async def ask() -> None:
        batcher: Batcher[Any, Any] = Batcher("model", lambda arrays: [array * 2 for array in arrays], len, TOGETHER)

        async def one(number: int, patience_s: float) -> None:
            await asyncio.sleep(chance.random() / 100)
            array = np.full(chance.randint(1, 12), number)
            try:
                async with asyncio.timeout(patience_s):
                    answer = await batcher.ask(array)
            except TimeoutError:
                assert patience_s < 1, "a request was lost"
            else:
                np.testing.assert_array_equal(answer, 2 * array)

        await asyncio.gather(*(one(number, chance.choice([0.0, 0.001, 30])) for number in range(200)))
        assert not batcher.waiting
        batcher.close()

    asyncio.run(ask())


def test_what_a_batch_takes_follows_the_load_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(batching, "time", SimpleNamespace(perf_counter=lambda: clock.now_s))

    def work(seconds: Sequence[float]) -> list[float]:
        clock.now_s += seconds[0]
        if seconds[0] > 5:
            raise ValueError("too much")
        return list(seconds)

    async def ask() -> list[float]:
        batcher = Batcher[float, float]("model", work)
        takes_s = [batcher.takes_s]
        for seconds in (0.5, 0.5, 2.5, 10.0):
            await asyncio.gather(batcher.ask(seconds), return_exceptions=True)
            takes_s.append(batcher.takes_s)
        batcher.close()
        return takes_s

    assert asyncio.run(ask()) == pytest.approx([0.0, 0.5, 0.5, 1.1, 3.77])
