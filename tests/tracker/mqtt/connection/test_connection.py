"""The connection over a real broker: nothing lost while that comes and goes, one clear line for each refusal."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from emotrack.tracker.mqtt.connection import connection, outbox
from emotrack.tracker.mqtt.connection.broker import Broker, BrokerError
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from tests.tracker.mqtt.certificates import Authority
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.waiting import until

TURNS = "emotrack/kitchen/turn"
STATUS = "emotrack/kitchen/status"


@contextlib.asynccontextmanager
async def running(*connections: Connection) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in connections]
    try:
        yield
        for one in connections:
            await one.close()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def turn(number: int) -> Message:
    return Message(TURNS, f"{number}".encode(), qos=1)


def test_properties_arrive_as_they_were_sent(mosquitto: Mosquitto) -> None:
    sent = Message(
        "emotrack/kitchen/state",
        b"{}",
        qos=1,
        content_type="application/json",
        is_text=True,
        expiry_s=60,
        response_topic="replies/1",
        correlation=b"\0\1",
        user=(("specversion", "1.0"), ("type", "a"), ("type", "b")),
    )
    got: list[Message] = []

    async def run() -> None:
        broker = read(mosquitto.url)
        listener = Connection(broker, "l", on_message=got.append, subscriptions=[("emotrack/#", 1)])
        sender = Connection(broker, "s")
        async with running(listener, sender):
            await until(lambda: listener.connected and sender.connected)
            sender.publish(sent)
            await until(lambda: got)

    asyncio.run(run())
    assert got == [sent]


def test_three_restarts_lose_no_turn_and_change_no_order(mosquitto: Mosquitto, notices: list[str]) -> None:
    sites, got = 4, list[Message]()

    async def run() -> int:
        broker = read(mosquitto.url)
        listener = Connection(
            broker,
            "listener",
            on_message=got.append,
            subscriptions=[("emotrack/+/turn", 1)],
            session_expiry_s=3600,
        )
        senders = [Connection(broker, f"sender-{site}") for site in range(sites)]
        count = 0
        async with running(listener, *senders):
            await until(lambda: all(one.connected for one in (listener, *senders)))

            async def speak(seconds: float) -> None:
                nonlocal count
                for _ in range(round(seconds / 0.01)):
                    for site, sender in enumerate(senders):
                        sender.publish(Message(f"emotrack/{site}/turn", f"{count}".encode(), qos=1))
                    count += 1
                    await asyncio.sleep(0.01)

            for _ in range(3):
                await speak(0.5)
                await asyncio.to_thread(mosquitto.stop)
                await speak(0.5)
                await asyncio.to_thread(mosquitto.start)
                await until(lambda: all(one.connected for one in (listener, *senders)))
            await speak(0.3)
            await until(lambda: not any(sender.waiting for sender in senders))
            await asyncio.sleep(0.3)
        assert [sender.reconnects for sender in senders] == [3] * sites
        return count

    count = asyncio.run(run())
    assert count > 150
    for site in range(sites):
        numbers = [int(message.payload) for message in got if message.topic == f"emotrack/{site}/turn"]
        assert list(dict.fromkeys(numbers)) == list(range(count))  # each at least once, and in order
    assert len(notices) == 2 * 3 * (1 + sites)  # lost, and connected again


def test_a_broker_that_is_not_there_yet_is_waited_for(mosquitto: Mosquitto, notices: list[str]) -> None:
    got = list[Message]()
    mosquitto.stop()

    async def run() -> None:
        broker = read(mosquitto.url)
        sender = Connection(broker, "sender")
        listener = Connection(broker, "l", on_message=got.append, subscriptions=[("emotrack/#", 1)])
        async with running(sender, listener):
            sender.publish(turn(1))
            await asyncio.sleep(1.0)
            (notice,) = set(notices)  # of both
            assert "cannot be reached (Connection refused); trying again" in notice
            await asyncio.to_thread(mosquitto.start)
            await until(lambda: sender.connected and listener.connected)
            sender.publish(turn(2))
            await until(lambda: got and got[-1] == turn(2))
        assert notices[-1].endswith("connected")

    asyncio.run(run())


def test_pauses_between_attempts_grow_and_differ() -> None:
    one = Connection(Broker("house", 1883), "x")
    spans = []
    for failures in (1, 4, 50):
        one._failures = failures
        pauses = [one._pause_s() for _ in range(50)]
        assert len(set(pauses)) > 40
        spans.append((min(pauses), max(pauses)))
    longest = connection.BACK_OFF_S[-1]
    assert spans[0][1] <= connection.BACK_OFF_S[0]
    assert spans[0][1] < spans[1][0]
    assert spans[1][1] < spans[2][0]
    assert longest / 2 <= spans[2][0] <= spans[2][1] <= longest


def test_what_waits_is_bounded_and_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_SPOOLED", 10)
    one = Connection(Broker("house", 1883), "x")
    for number in range(25):
        one.publish(turn(number))
        one.publish(Message("emotrack/kitchen/state", f"{number}".encode(), qos=1, retain=True), latest_only=True)
        one.publish(Message("emotrack/kitchen/vad", b"", qos=0))
    waiting = one.outbox.waiting
    assert [message.payload for message in waiting if not message.retain] == [b"%d" % n for n in range(16, 25)]
    assert [message.payload for message in waiting if message.retain] == [b"24"]
    assert one.outbox.dropped == 16
    assert not one.outbox.lossy_waiting


def test_the_will_speaks_for_the_dead_and_a_clean_goodbye_silences_it(mosquitto: Mosquitto) -> None:
    got: list[Message] = []

    async def run() -> None:
        broker = read(mosquitto.url)
        listener = Connection(broker, "l", on_message=got.append, subscriptions=[(STATUS, 1)])
        will = Message(STATUS, b"offline", qos=1, retain=True)
        one = Connection(broker, "one", will=will)
        async with running(listener):
            await until(lambda: listener.connected)
            async with running(one):
                one.publish(Message(STATUS, b"online", qos=1, retain=True))
                await until(lambda: got)
            await asyncio.sleep(0.2)
            assert [message.payload for message in got] == [b"online"]
            dying = Connection(broker, "dying", will=will)
            async with running(dying):
                await until(lambda: dying.connected)
                dying._attempt._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
                await until(lambda: len(got) == 2)

    asyncio.run(run())
    assert got[1].payload == b"offline"


def test_what_is_retained_is_told_again_to_a_broker_that_forgot(mosquitto: Mosquitto) -> None:
    got: list[Message] = []

    async def run() -> None:
        broker = read(mosquitto.url)
        sender = Connection(broker, "sender")
        async with running(sender):
            for topic in ("emotrack/kitchen/state", "emotrack/kitchen/speaker/Ana/state"):
                for payload in (b"old", b"new"):
                    sender.publish(Message(topic, payload, qos=1, retain=True), latest_only=True)
            sender.publish(Message("emotrack/kitchen/speaker/Ana/state", b"", qos=1, retain=True))
            await until(lambda: sender.connected and not sender.waiting)
            await asyncio.to_thread(mosquitto.stop)
            mosquitto.database.unlink()
            await asyncio.to_thread(mosquitto.start)
            await until(lambda: sender.connected and not sender.waiting)
            listener = Connection(broker, "l", on_message=got.append, subscriptions=[("emotrack/#", 1)])
            async with running(listener):
                await until(lambda: got)
                await asyncio.sleep(0.2)

    asyncio.run(run())
    assert [(message.topic, message.payload) for message in got] == [("emotrack/kitchen/state", b"new")]


def refused(broker: Broker) -> str:
    """The one line with which ``broker`` turns us away at the first attempt."""
    with pytest.raises(BrokerError) as caught:
        asyncio.run(asyncio.wait_for(Connection(broker, "x").run(), 15))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def passwords(folder: Path) -> Path:
    path = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", path, "ana", "secret"], check=True, capture_output=True)
    return path


def test_a_wrong_password_and_a_refused_topic(tmp_path: Path, mosquitto: Mosquitto, notices: list[str]) -> None:
    acl = tmp_path / "acl"
    acl.write_text("user ana\ntopic readwrite emotrack/kitchen/#\n")
    strict = Mosquitto(tmp_path, f"password_file {passwords(tmp_path)}", f"acl_file {acl}", anonymous=False)
    strict.start()
    try:
        expected = f"mqtt://127.0.0.1:{strict.port}: refuses the user name or password"
        assert refused(read(strict.url)) == expected
        assert refused(Broker("127.0.0.1", strict.port, "ana", "wrong")) == expected

        async def run() -> None:
            one = Connection(Broker("127.0.0.1", strict.port, "ana", "secret"), "x")
            async with running(one):
                for _ in range(3):
                    one.publish(Message("emotrack/cellar/turn", b"", qos=1))
                one.publish(turn(1))
                await until(lambda: not one.waiting)

        asyncio.run(run())
        assert len(notices) == 1
        assert "refuses what is published on emotrack/cellar/turn (Not authorized)" in notices[0]
        assert "secret" not in strict.log.read_text() + "".join(notices)
    finally:
        strict.stop()


def test_certificates(tmp_path: Path, mosquitto: Mosquitto) -> None:
    authority, day = Authority(tmp_path), timedelta(days=1)
    client, client_key = authority.sign("client")
    old, old_key = authority.sign("old", since=-3 * day, until=-day)
    other = Authority(tmp_path, "other")

    def tls(server: tuple[Path, Path]) -> Mosquitto:
        certificate, key = server
        files = (f"cafile {authority.path}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true")
        return Mosquitto(tmp_path, *files)

    good, expired = tls(authority.sign("server")), tls((old, old_key))
    good.start()
    expired.start()
    trust = ("--mqtt-ca", authority.path, "--mqtt-cert", client, "--mqtt-key", client_key)
    try:
        url = f"mqtts://127.0.0.1:{good.port}/"

        async def run() -> None:
            one = Connection(read(url, *trust), "x")
            async with running(one):
                one.publish(turn(1))
                await until(lambda: one.connected and not one.waiting)

        asyncio.run(run())
        assert "certificate has expired" in refused(read(f"mqtts://127.0.0.1:{expired.port}/", *trust))
        assert "not to be trusted" in refused(read(url, "--mqtt-ca", other.path))
        assert "ostname mismatch" in refused(read(url.replace("127.0.0.1", "localhost"), *trust))
        assert refused(read(url, "--mqtt-ca", authority.path, "--mqtt-cert", old, "--mqtt-key", old_key))
        assert refused(read(url, "--mqtt-ca", authority.path))
    finally:
        good.stop()
        expired.stop()
