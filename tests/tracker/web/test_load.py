"""What viewers cost, and what a hundred thousand senseless messages do."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import string
import sys
import time
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from emotrack.tracker.web import viewer
from emotrack.tracker.web.microphone import WebMicrophone
from tests.tracker.dashboard.made_up import provisional, started, turn
from tests.tracker.mqtt.memory import resident_mib
from tests.tracker.mqtt.waiting import until
from tests.tracker.web.served import ServedPage, hear, hear_events
from tests.tracker.web.test_web_microphone import Hearer

pytestmark = pytest.mark.anyio
MOST_OF_A_CORE = 0.05
MEASURED_S = 10.0
TYPES = ("enter", "rename", "correct", "mark", "pause", "stop", "audio", "events", "", None, 7)
KEYS = ("type", "token", "site", "last_event", "speaker", "name", "turn_id", "emotion", "paused", "rate", "channels")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def cost(page: ServedPage, hearer: Hearer) -> float:
    """The share of a core that the page takes while a conversation goes on; a turn every two seconds."""
    began, began_cpu = time.monotonic(), time.process_time()
    number = 0
    while (now_s := time.monotonic() - began) < MEASURED_S:
        page.status.stream_s = now_s
        page.status.levels_dbfs = (random.uniform(-60, -20),)
        if int(now_s) != number:
            number = int(now_s)
            event = turn(number, text="x" * 100) if number % 2 else provisional(number, number + 0.5)
            await page.emit([event])
        await asyncio.sleep(0.1)
    return (time.process_time() - began_cpu) / (time.monotonic() - began)


@pytest.mark.long
async def test_ten_viewers_and_a_microphone_cost_next_to_nothing() -> None:
    source = WebMicrophone()
    async with ServedPage(source) as page:
        hearer = Hearer(source)
        await page.emit([started()])
        alone = await cost(page, hearer)
        viewers = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.tracker.web.viewers", page.host)
        await until(lambda: len(hearer.samples) > 16_000)
        together = await cost(page, hearer)
        viewers.kill()
        await viewers.wait()
        await hearer.close()
    print(f"\na core's share: {alone:.1%} alone, {together:.1%} with ten viewers and a microphone")
    assert together - alone <= MOST_OF_A_CORE


def senseless(chance: random.Random) -> str | bytes:
    """A message that may be anything, the right one included."""
    kind = chance.randrange(6)
    if kind == 0:
        return chance.randbytes(chance.randrange(200))
    if kind == 1:
        return "".join(chance.choices(string.printable + "\u202e\x00\U0001f600", k=chance.randrange(200)))
    if kind == 2:
        return chance.choice(("[", '{"type":', "{", '"')) * chance.randrange(1, 3000)
    message: dict[str, Any] = {"type": chance.choice(TYPES)} if kind != 3 else {}
    values: tuple[Any, ...] = (
        "",
        "Ana",
        "x" * 5000,
        None,
        True,
        -1,
        0,
        10**40,
        1.5,
        float("nan"),
        [],
        {},
        [[[]]],
        "\u0000",
        "16000",
    )
    for _ in range(chance.randrange(4)):
        message[chance.choice(KEYS)] = chance.choice(values)
    return json.dumps(message)


async def throw(page: ServedPage, count: int, seed: int) -> int:
    """Throw so many messages at the page; how often it closed a connection."""
    chance = random.Random(seed)
    thrown = closed = 0
    while thrown < count:
        path = chance.choice(("events", "audio"))
        try:
            async with page.viewer(path, open_timeout=30, close_timeout=1, compression=None) as connection:
                if chance.random() < 0.7:
                    first = {"events": {"type": "enter"}, "audio": {"type": "audio", "rate": 16_000}}[path]
                    await connection.send(json.dumps(first))
                for _ in range(chance.randrange(1, 60)):
                    thrown += 1
                    await connection.send(senseless(chance))
                await drain(connection)
        except ConnectionClosed:
            closed += 1
    return closed


async def drain(connection: ClientConnection) -> None:
    try:
        while True:
            await asyncio.wait_for(connection.recv(), 0.01)
    except TimeoutError:
        pass


async def fuzz(count: int) -> tuple[float, int]:
    """The memory that so many messages left behind, in MiB, and how many connections were closed."""
    async with ServedPage(WebMicrophone()) as page:
        await page.emit([started(), turn(1)])
        hearer = Hearer(page.site.microphone)  # type: ignore[arg-type]
        await throw(page, count // 5, seed=1)
        gc.collect()
        before = resident_mib()
        closed = sum(await asyncio.gather(*(throw(page, count // 5, seed=seed) for seed in range(2, 6))))
        hearer.items.clear()
        gc.collect()
        grown = resident_mib() - before
        page.controls.close()
        async with page.entered() as connection:
            await hear(connection, "welcome")
            await page.emit([turn(2)])
            assert (await hear_events(connection, 3))[0][-1]["turn_id"] == 2
        await hearer.close()
    return grown, closed


async def test_senseless_messages_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "WISHES_A_SECOND", 1e6)  # so that all are read
    _, closed = await fuzz(2_000)
    assert closed, "some were bad enough"


@pytest.mark.long
async def test_a_hundred_thousand_senseless_messages_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "WISHES_A_SECOND", 1e6)
    grown, closed = await fuzz(100_000)
    print(f"\n100,000 messages, {closed} connections closed: {grown:+.1f} MiB")
    assert grown < 20
