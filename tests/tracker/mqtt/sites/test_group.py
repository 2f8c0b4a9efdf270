"""Several workers, one broker: each start reaches one of them, and when one dies the others go on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.format.payloads import Claim, Snapshot
from emotrack.tracker.mqtt.sites.group import Group, last_will
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.tracker_process import TrackerProcess
from tests.tracker.mqtt.waiting import until

SITES = [f"site{number}" for number in range(8)]
# Voices are not told apart: twelve rooms' worth of them would be too much for a busy machine.
OPTIONS = ("--group", "house", "--asr", "none", "--speakers", "off", "--topics", "minimal")
SPEED = 1.5
SECONDS = 25.0  # of conversation


def test_a_worker_is_killed_and_the_other_goes_on_with_its_conversations(mosquitto: Mosquitto, tmp_path: Path) -> None:
    command = ("--mqtt", mosquitto.url, *OPTIONS)
    workers = [TrackerProcess(tmp_path, name, *command) for name in ("one", "two")]
    try:
        for worker in workers:
            worker.wait_until_ready()
        got = asyncio.run(asyncio.wait_for(_tell(mosquitto, workers), 150))
        assert workers[1].interrupt() == 0
    finally:
        for worker in workers:
            worker.kill()

    owners = {site: owners_of(site, got) for site in SITES}
    first = {site: claims[0] for site, claims in owners.items()}
    survivor = next(iter({claims[-1] for claims in owners.values()}))
    assert len(set(first.values())) == 2  # the broker divided the starts
    assert {claims[-1] for claims in owners.values()} == {survivor}
    orphans = [site for site in SITES if first[site] != survivor]
    assert Counter(len(owners[site]) for site in orphans) == {2: len(orphans)}  # taken over once each
    assert all(len(owners[site]) == 1 for site in SITES if site not in orphans)
    for site in SITES:
        turns = [json.loads(message.payload) for message in got if message.topic == topics.turn(site)]
        new = [turn for turn in turns if turn["revision"] == 0]
        assert len({turn["session"] for turn in turns}) == 1
        assert [turn["turn_id"] for turn in new] == list(range(1, len(new) + 1))
        assert [turn["end_s"] for turn in new] == sorted(turn["end_s"] for turn in new)
        # On the longest silence between two of its lines, a site that changed hands has lost a few seconds.
        assert new[-1]["end_s"] > SECONDS / 2
    taken = [line for line in workers[1].notices if "taken over after turn" in line]
    assert len(taken) == len(orphans)
    assert not any("cannot be used" in line for line in workers[1].notices)
    for site in orphans:
        after = next(int(line.split("after turn ")[1].split()[0]) for line in taken if f" {site}:" in line)
        assert after >= 1
        turns = [json.loads(message.payload) for message in got if message.topic == topics.turn(site)]
        went_on = next(turn for turn in turns if turn["turn_id"] == after + 1)
        assert "context" in went_on["why"]  # what was said before the death still counts
    print(*(line for worker in workers for line in worker.notices), sep="\n")


def owners_of(site: str, got: list[Message]) -> list[str]:
    """Who has claimed a site, in order."""
    claims = [json.loads(message.payload) for message in got if message.topic == topics.owner(site) and message.payload]
    return list(dict.fromkeys(claim["worker"] for claim in claims if claim["epoch"] and not claim["released"]))


def sessions_of(site: str, got: list[Message], *kinds: str) -> list[dict[str, Any]]:
    """A site's events of some types; a busy machine publishes others beside them."""
    events = [json.loads(message.payload) for message in got if message.topic == topics.session(site)]
    return [event for event in events if event["type"] in kinds]


def heard_until_s(site: str, got: list[Message]) -> float:
    """Where a site's latest turn ends."""
    turns = [json.loads(message.payload) for message in got if message.topic == topics.turn(site)]
    return max((turn["end_s"] for turn in turns), default=0.0)


async def _tell(mosquitto: Mosquitto, workers: list[TrackerProcess]) -> list[Message]:
    """Start eight sites, speak in them, kill the first worker in the middle; everything that was published."""
    got: list[Message] = []
    person = Connection(read(mosquitto.url), "person", on_message=got.append, subscriptions=[("emotrack/#", 1)])
    running = asyncio.create_task(person.run())
    await until(lambda: person.connected)
    await asyncio.sleep(1.5)  # both know of each other
    for site in SITES:
        person.publish(Message(topics.HERMES_START_LISTENING, json.dumps({"siteId": site}).encode(), qos=1))
    await until(lambda: {m.topic for m in got} >= {topics.session(site) for site in SITES})
    speaking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.tracker.mqtt.microphones"),
        *map(str, (mosquitto.port, len(SITES), SECONDS, SPEED)),
        stdout=subprocess.DEVNULL,
    )
    await asyncio.sleep(SECONDS / SPEED / 2)
    workers[0].kill()
    assert await speaking.wait() == 0
    await until(lambda: len({owners_of(site, got)[-1] for site in SITES}) == 1)
    await until(lambda: all(heard_until_s(site, got) > SECONDS / 2 for site in SITES))
    await asyncio.sleep(0.5)  # for turns that nobody ought to publish
    await person.close()
    await running
    return got


def test_a_worker_that_is_stopped_hands_its_conversations_over(mosquitto: Mosquitto, tmp_path: Path) -> None:
    command = ("--mqtt", mosquitto.url, *OPTIONS)
    workers = [TrackerProcess(tmp_path, name, *command) for name in ("one", "two")]
    got: list[Message] = []

    async def tell() -> None:
        person = Connection(read(mosquitto.url), "person", on_message=got.append, subscriptions=[("emotrack/#", 1)])
        running = asyncio.create_task(person.run())
        for worker in workers:
            await asyncio.to_thread(worker.wait_until_ready)
        await asyncio.sleep(0.5)
        person.publish(Message(topics.command("site0", "start"), b"", qos=1))
        await until(lambda: owners_of("site0", got))
        await until(lambda: any("site0: listening" in line for worker in workers for line in worker.notices))
        first = next(worker for worker in workers if any("site0: listening" in line for line in worker.notices))
        play = (sys.executable, "-m", "tests.tracker.mqtt.microphones", str(mosquitto.port), "1", "16", "4")
        speaking = await asyncio.create_subprocess_exec(*play, stdout=subprocess.DEVNULL)
        await until(lambda: [m for m in got if m.topic == topics.turn("site0")])
        assert await asyncio.to_thread(first.interrupt) == 0
        assert await speaking.wait() == 0
        second = next(worker for worker in workers if worker is not first)
        await until(lambda: any("site0: taken over after turn" in line for line in second.notices))
        await until(lambda: len(sessions_of("site0", got, "session_started")) == 2)
        person.publish(Message(topics.command("site0", "stop"), b"", qos=1))
        await until(lambda: any("site0: closed" in line for line in second.notices))
        assert await asyncio.to_thread(second.interrupt) == 0
        await person.close()
        await running

    try:
        asyncio.run(asyncio.wait_for(tell(), 120))
    finally:
        for worker in workers:
            worker.kill()
    events = sessions_of("site0", got, "session_started", "session_ended")
    assert [event["type"] for event in events] == ["session_started", "session_started", "session_ended"]
    assert len({event["session"] for event in events}) == 1
    last = {message.topic: message.payload for message in got}
    assert json.loads(last[topics.owner("site0")])["released"]
    assert last[topics.snapshot("site0")] == b""
    assert last[topics.status("site0")] == b"offline"


# -- one worker's view, message by message ---------------------------------------------------------------------------


class Wire:
    """A connection that only notes what is sent; nobody answers on it."""

    connected = True

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.subscribed: list[str] = []

    def publish(self, message: Message, *, only_now: bool = False) -> None:
        self.sent.append(message)

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        self.subscribed.append(topic_filter)

    async def unsubscribe(self, topic_filter: str) -> None:
        self.subscribed.remove(topic_filter)


class Worker:
    def __init__(self, name: str) -> None:
        self.resumed: list[tuple[str, Snapshot | None]] = []
        self.left: list[str] = []
        self.wire = Wire()
        self.group = Group(
            self.wire,  # type: ignore[arg-type]
            "house",
            name,
            self._resume,
            lambda site, _: self.left.append(site),
        )
        self.is_full = False

    def _resume(self, site: str, snapshot: Snapshot | None) -> None:
        if not self.is_full:
            self.resumed.append((site, snapshot))
            self.group.claims.claim(site)

    def hear(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        message = Message(topic, payload, retain=retain)
        return self.group.claims.receive(message) or self.group.receive(message)

    def worker(self, name: str, status: str, *, retain: bool = False) -> None:
        self.hear(topics.worker("house", name), status.encode(), retain=retain)

    def owner(self, site: str, name: str, epoch: int = 1) -> None:
        claim = Claim(site=site, worker=name, group="house", epoch=epoch)
        self.hear(topics.owner(site), claim.to_json())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotrack.tracker.mqtt.sites.group.SETTLE_S", 0.05)
    monkeypatch.setattr("emotrack.tracker.mqtt.sites.group.SNAPSHOT_S", 0.1)
    monkeypatch.setattr("emotrack.tracker.mqtt.sites.group.RECONNECTED_S", 0.2)
    monkeypatch.setattr("emotrack.tracker.mqtt.sites.group.NEXT_S", 0.3)
    monkeypatch.setattr("emotrack.tracker.mqtt.ownership.claims.ANSWER_S", 0.1)


def test_orphans_are_divided_and_nobody_takes_one_twice() -> None:
    sites = [f"room {number}" for number in range(60)]

    async def run() -> list[Worker]:
        workers = [Worker(name) for name in ("a", "b", "c")]
        for worker in workers:
            for other in "abcd":
                worker.worker(other, "online")
            for site in sites:
                worker.owner(site, "d")
            worker.worker("d", "offline")
        await until(lambda: sum(len(worker.resumed) for worker in workers) >= len(sites))
        await asyncio.sleep(0.1)
        return workers

    workers = asyncio.run(run())
    taken = [site for worker in workers for site, _ in worker.resumed]
    assert sorted(taken) == sorted(sites)
    assert min(len(worker.resumed) for worker in workers) > 8


def test_a_worker_that_comes_back_at_once_keeps_its_sites() -> None:
    async def run() -> Worker:
        worker = Worker("a")
        worker.worker("b", "online")
        worker.owner("kitchen", "b")
        worker.worker("b", "offline")  # the broker restarts
        worker.worker("b", "online")
        await asyncio.sleep(0.3)
        return worker

    assert asyncio.run(run()).resumed == []


def test_a_lost_connection_settles_nothing() -> None:
    async def run() -> Worker:
        worker = Worker("a")
        worker.worker("b", "online")
        worker.owner("kitchen", "b")
        worker.worker("b", "offline")
        worker.group.on_lost()
        await asyncio.sleep(0.2)
        assert worker.resumed == []
        worker.group.on_connected()
        worker.worker("b", "offline")  # retained by a broker that was shut down
        await asyncio.sleep(0.1)
        assert worker.resumed == []
        worker.worker("b", "online")
        await asyncio.sleep(0.3)
        return worker

    worker = asyncio.run(run())
    assert worker.resumed == []
    assert worker.group.is_taken("kitchen")


def test_who_leaves_is_taken_off_the_list_and_who_was_believed_dead_comes_back() -> None:
    async def run() -> None:
        a, b = Worker("a"), Worker("b")
        a.worker("b", "online")
        b.worker("a", "online")
        assert a.group.has_others
        b.group.claims.claim("kitchen")
        a.owner("kitchen", "b")
        a.worker("b", "offline")
        assert a.wire.sent == [channels.to_deletion(topics.worker("house", "b"))]
        b.hear(topics.worker("house", "b"), b"")
        assert b.wire.sent[-1] == channels.to_status(topics.worker("house", "b"), "online")
        b.group.say_goodbye()
        count = len(b.wire.sent)
        b.hear(topics.worker("house", "b"), b"")
        assert len(b.wire.sent) == count
        a.hear(topics.worker("house", "b"), b"")
        await until(lambda: [site for site, _ in a.resumed] == ["kitchen"])

    asyncio.run(run())


def test_who_claimed_last_keeps_the_site() -> None:
    worker = Worker("a")
    worker.group.claims.claim("kitchen")
    own = worker.wire.sent.pop()
    worker.hear(own.topic, own.payload)
    worker.owner("kitchen", "z", epoch=1)  # an older claim, whose sender was away
    assert worker.left == []
    assert worker.wire.sent == [own]  # said again, as the broker keeps the older one now
    worker.owner("kitchen", "b", epoch=2**50)
    assert worker.left == ["kitchen"]
    worker.group.claims.release("kitchen")
    assert worker.wire.sent == [own]  # it is b's to release


def test_a_site_is_taken_over_by_the_next_where_the_first_does_not() -> None:
    async def run() -> tuple[Worker, Worker]:
        a, b = workers = Worker("a"), Worker("b")
        for worker in workers:
            for other in "abd":
                worker.worker(other, "online")
            worker.owner("kitchen", "d")
        first = a if a.group.is_first_for("kitchen") else b
        first.is_full = True
        for worker in workers:
            worker.worker("d", "offline")
        await until(lambda: a.resumed or b.resumed)
        return first, b if first is a else a

    first, second = asyncio.run(run())
    assert (first.resumed, len(second.resumed)) == ([], 1)


def test_a_worker_that_the_broker_only_remembers_is_asked_and_its_sites_are_taken_over() -> None:
    """The broker went down together with the worker, so that no Will was ever published."""

    async def run(*, answers: bool) -> Worker:
        worker = Worker("a")
        worker.worker("d", "online", retain=True)
        worker.owner("kitchen", "d")
        worker.group.on_connected()
        await until(lambda: any(message.topic == topics.owner("kitchen") for message in worker.wire.sent))
        if answers:
            worker.owner("kitchen", "d")
        await asyncio.sleep(0.5)
        return worker

    gone, there = asyncio.run(run(answers=False)), asyncio.run(run(answers=True))
    assert [site for site, _ in gone.resumed] == ["kitchen"]
    assert channels.to_deletion(topics.worker("house", "d")) in gone.wire.sent
    assert there.resumed == []
    assert there.group.is_taken("kitchen")


def test_a_snapshot_that_cannot_be_read_leaves_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotrack.tracker.mqtt.sites.group.SNAPSHOT_S", 20.0)

    async def run() -> Worker:
        worker = Worker("a")
        for site in ("good", "bad"):
            worker.owner(site, "b")
        worker.group.on_connected()
        await until(lambda: set(worker.wire.subscribed) == {topics.snapshot("good"), topics.snapshot("bad")})
        snapshot: dict[str, Any] = {
            "site": "good",
            "session": "s",
            "time": "2026-01-01T00:00:00Z",
            "worker": "b",
            "fingerprint": "f",
            "stream_s": 1.0,
            "turns_heard": 3,
            "context": "AAAA",
        }
        worker.hear(topics.snapshot("bad"), b"[" * 100_000)
        worker.hear(topics.snapshot("good"), json.dumps(snapshot).encode())
        await until(lambda: len(worker.resumed) == 2)
        return worker

    found = dict(asyncio.run(run()).resumed)
    assert found["bad"] is None
    assert found["good"] is not None
    assert found["good"].context == bytes(3)


def test_other_messages_are_not_the_groups() -> None:
    worker = Worker("a")
    assert not worker.hear("emotrack/kitchen/turn", b"{}")
    assert not worker.hear(topics.worker("another house", "b"), b"offline")
    assert channels.to_status(topics.worker("house", "a"), "offline") == last_will("house", "a")
