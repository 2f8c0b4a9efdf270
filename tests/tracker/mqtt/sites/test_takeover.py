"""Workers that stall, are cut off or die, and brokers that restart: one owner for every site, soon, and no other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.proxy import Proxy
from tests.tracker.mqtt.tracker_process import TrackerProcess
from tests.tracker.mqtt.waiting import until

SITES = [f"site{number}" for number in range(6)]
KEEPALIVE_S = 3  # of the workers, which the broker gives up after half as long again
NOTICED_S = 1.5 * KEEPALIVE_S + 7  # mosquitto 2.0 looks every six seconds; every connection of a worker has its own
SOON_S = 20.0


class House:
    """Two workers of one group, each behind a network of its own, and somebody who watches the broker."""

    def __init__(self, mosquitto: Mosquitto, folder: Path, stack: ExitStack) -> None:
        self.mosquitto = mosquitto
        self.networks = [stack.enter_context(Proxy(mosquitto.port)) for _ in range(2)]
        options = ("--group", "house", "--asr", "none", "--topics", "minimal")
        self.workers = [
            TrackerProcess(folder, f"worker{number}", "--mqtt", network.url, *options, keepalive_s=KEEPALIVE_S)
            for number, network in enumerate(self.networks)
        ]
        for worker in self.workers:
            stack.callback(worker.kill)
        self.status: dict[str, list[str]] = {site: [] for site in SITES}
        self.claims: dict[str, dict[str, object]] = {}
        self.paused: dict[str, bool] = {}
        self.is_noticed = False
        """Whether the broker has given a worker up."""
        self.person = Connection(
            read(mosquitto.url),
            "person",
            on_message=self._receive,
            subscriptions=[("emotrack/#", 1)],
        )

    def _receive(self, message: Message) -> None:
        site, kind = topics.split(message.topic) or ("", "")
        if kind == "status":
            self.status[site].append(message.payload.decode())
        elif kind == "source":
            self.paused[site] = json.loads(message.payload)["paused"]
        elif message.topic.startswith("emotrack/_group/house/worker/") and message.payload == b"offline":
            self.is_noticed = True
        elif kind == "owner" and message.payload and (claim := json.loads(message.payload))["epoch"]:
            self.claims[site] = claim

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Every site is started and served, three by each worker."""
        watching = asyncio.create_task(self.person.run())
        try:
            for worker in self.workers:
                await asyncio.to_thread(worker.wait_until_ready)
            await until(lambda: self.person.connected)
            await asyncio.sleep(0.5)  # both know of each other
            for site in SITES:
                self.person.publish(Message(topics.command(site, "start"), b"", qos=1))
            await until(lambda: self.is_served_by(0, 1))
            yield
            await self.person.close()
            await watching
        finally:
            watching.cancel()

    def serves(self, number: int) -> set[str]:
        """The sites of a worker as it tells of them."""
        served: set[str] = set()
        for line in self.workers[number].notices:
            site, _, what = line.removeprefix("emotrack: ").partition(": ")
            served = (
                served | {site} if what == "listening" else served - {site} if what.startswith("closed") else served
            )
        return served

    def is_served_by(self, *numbers: int) -> bool:
        """Whether every site is served by one of these workers and by one only, and whether everybody can know that."""
        served = [site for number in range(len(self.workers)) for site in self.serves(number)]
        owners = {str(claim["worker"]) for claim in self.claims.values() if not claim["released"]}
        return (
            sorted(served) == SITES
            and set(served) == {site for number in numbers for site in self.serves(number)}
            and len(owners) == len(numbers)
            and all(statuses[-1:] == ["online"] for statuses in self.status.values())
        )

    async def remains_served_by(self, *numbers: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.is_served_by(*numbers), (self.serves(0), self.serves(1), self.status, self.claims)
            await asyncio.sleep(0.1)

    def never_said_offline(self, since: dict[str, int]) -> bool:
        return all("offline" not in self.status[site][count:] for site, count in since.items())

    def told(self) -> dict[str, int]:
        return {site: len(statuses) for site, statuses in self.status.items()}


def live(mosquitto: Mosquitto, folder: Path, story: Callable[[House], object]) -> None:
    async def run(house: House) -> None:
        async with house.running():
            await story(house)  # type: ignore[misc]

    with ExitStack() as stack:
        asyncio.run(asyncio.wait_for(run(House(mosquitto, folder, stack)), 150))


def test_a_worker_that_stalls_loses_its_sites_for_good_and_nobody_says_offline(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async def story(house: House) -> None:
        for site in SITES:
            house.person.publish(Message(topics.command(site, "pause"), b'{"paused": true}', qos=1))
        await until(lambda: all(house.paused.values()))
        told = house.told()
        house.workers[0].process.send_signal(signal.SIGSTOP)
        await until(lambda: house.person.connected and len(house.serves(1)) == len(SITES), NOTICED_S + SOON_S)
        await asyncio.sleep(NOTICED_S)  # all of its connections are given up by now, each with a Will
        assert all(statuses[-1] == "online" for statuses in house.status.values())
        house.workers[0].process.send_signal(signal.SIGCONT)
        await until(lambda: house.is_served_by(1), SOON_S)
        await house.remains_served_by(1, seconds=6.0)
        assert house.never_said_offline(told)
        assert all(house.paused.values()), "nobody wanted them to listen again"
        assert not any("failed" in line for worker in house.workers for line in worker.notices)

    live(mosquitto, tmp_path, story)


@pytest.mark.long
def test_a_worker_that_stalls_for_a_moment_keeps_its_sites(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def story(house: House) -> None:
        house.workers[0].process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.0)
        house.workers[0].process.send_signal(signal.SIGCONT)
        await house.remains_served_by(0, 1, seconds=5.0)

    live(mosquitto, tmp_path, story)


@pytest.mark.parametrize("is_first_back", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_worker_that_is_cut_off_loses_its_sites(mosquitto: Mosquitto, tmp_path: Path, is_first_back: bool) -> None:
    """The network is mended before, or after, the other worker has taken over."""

    async def story(house: House) -> None:
        house.networks[0].cut()
        await until(lambda: house.status["site0"] and len(house.serves(1)) == len(SITES), NOTICED_S + SOON_S)
        if is_first_back:
            house.networks[1].cut()  # the owner cannot say a word when the other comes back
        house.networks[0].mend()
        if is_first_back:
            await asyncio.sleep(2.0)
            house.networks[1].mend()
        await until(lambda: house.is_served_by(1), NOTICED_S + SOON_S)
        await house.remains_served_by(1, seconds=6.0)

    live(mosquitto, tmp_path, story)


@pytest.mark.long
def test_a_worker_that_is_back_as_soon_as_it_was_given_up(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Whoever is quicker then: the worker that says that it is there, or the one who takes over."""

    async def story(house: House) -> None:
        house.networks[0].cut()
        await until(lambda: house.is_noticed, NOTICED_S)
        house.networks[0].mend()
        await until(lambda: house.is_served_by(0, 1) or house.is_served_by(1), NOTICED_S + SOON_S)
        keep = (1,) if house.is_served_by(1) else (0, 1)
        await house.remains_served_by(*keep, seconds=6.0)

    live(mosquitto, tmp_path, story)


@pytest.mark.parametrize("forgets", [pytest.param(False, marks=pytest.mark.long), True])
@pytest.mark.parametrize("dies_first", [pytest.param(False, marks=pytest.mark.long), True])
def test_the_broker_restarts_during_a_takeover(
    mosquitto: Mosquitto, tmp_path: Path, forgets: bool, dies_first: bool
) -> None:
    """A worker dies just before, or while, the broker does, which may have kept nothing."""

    async def story(house: House) -> None:
        if dies_first:
            house.workers[0].kill()
            await asyncio.sleep(0.5)  # less than the other waits
        await asyncio.to_thread(mosquitto.stop, kill=True)
        if forgets:
            mosquitto.database.unlink(missing_ok=True)
        house.workers[0].kill()
        for statuses in house.status.values():
            statuses.clear()
        await asyncio.to_thread(mosquitto.start)
        await until(lambda: len(house.serves(1)) == len(SITES), SOON_S + 5)
        await until(lambda: all(statuses[-1:] == ["online"] for statuses in house.status.values()), SOON_S)
        owners = {str(claim["worker"]) for claim in house.claims.values()}
        assert len(owners) == 1

    live(mosquitto, tmp_path, story)
