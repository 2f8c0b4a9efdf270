"""What no broker takes, or ours does not, costs the connection twice at most; what is too large never reaches us."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emotrack.tracker.mqtt.connection.client import MAX_PACKET_BYTES
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.connection.test_connection import running, turn
from tests.tracker.mqtt.memory import resident_mib
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.waiting import until

POISON = {
    "300 levels": Message("/".join("a" * 300), b"x", qos=1),
    "a control in the topic": Message("emotrack/a\x01b/turn", b"x", qos=1),
    "no character in the topic": Message("emotrack/\ufffe/turn", b"x", qos=1),
    "a wildcard": Message("emotrack/+/turn", b"x", qos=1),
    "an empty topic": Message("", b"x", qos=1),
    "a topic that is too long": Message("x" * 70_000, b"x", qos=1),
    "half a character": Message("emotrack/\ud800/turn", b"x", qos=1),
    "a control in a property": Message("emotrack/a/turn", b"x", qos=1, user=(("id", "\x01"),)),
    "retained": Message("/".join("a" * 300), b"x", qos=1, retain=True),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_what_costs_the_connection_twice_is_dropped_counted_and_told_once(
    mosquitto: Mosquitto, poison: Message, notices: list[str]
) -> None:
    got = list[Message]()

    async def run() -> Connection:
        broker = read(mosquitto.url)
        listener = Connection(broker, "l", on_message=got.append, subscriptions=[("emotrack/#", 1)])
        sender = Connection(broker, "s")
        async with running(listener, sender):
            await until(lambda: listener.connected and sender.connected)
            for number in range(3):
                sender.publish(turn(number))
            sender.publish(poison)
            for number in range(3, 6):
                sender.publish(turn(number))
            await until(lambda: len(got) >= 6 and not sender.waiting)
        return sender

    sender = asyncio.run(run())
    assert sender.refused == 1
    assert sender.reconnects <= 2
    assert [int(message.payload) for message in got] == list(range(6))
    told = [line for line in notices if "dropped" in line or "refuses" in line]
    assert len(told) == 1
    assert told[0].isprintable()
    assert len(told[0]) < 300


def test_a_filter_that_costs_the_connection_twice_is_given_up(mosquitto: Mosquitto, notices: list[str]) -> None:
    got = list[Message]()

    async def run() -> Connection:
        one = Connection(
            read(mosquitto.url),
            "one",
            on_message=got.append,
            subscriptions=[("hermes/\ufffe/audioFrame", 0), ("emotrack/+/turn", 1)],
        )
        async with running(one):
            await until(lambda: one.connected)
            await one.subscribe("/".join("b" * 300), 0)
            await one.subscribe("a+/b", 0)
            await until(lambda: one.connected)
            one.publish(turn(1))
            await until(lambda: got)
        return one

    one = asyncio.run(run())
    assert one.reconnects <= 4
    assert len([line for line in notices if "subscription" in line]) == 3


@pytest.mark.parametrize("limit", ["max_packet_size 20000", "message_size_limit 20000"])
def test_what_is_larger_than_the_broker_takes_is_dropped(
    tmp_path: Path, mosquitto: Mosquitto, limit: str, notices: list[str]
) -> None:
    got = list[Message]()
    narrow = Mosquitto(tmp_path, limit)
    narrow.start()

    async def run() -> Connection:
        broker = read(narrow.url)
        listener = Connection(broker, "l", on_message=got.append, subscriptions=[("emotrack/#", 1)])
        sender = Connection(broker, "s")
        async with running(listener, sender):
            await until(lambda: listener.connected and sender.connected)
            for payload in (b"1", b"x" * 19_900, b"y" * 20_001, b"z" * 20_001, b"2"):
                sender.publish(Message("emotrack/kitchen/snapshot", payload, qos=1, retain=True))
            sender.publish(Message("emotrack/kitchen/vad", b"v" * 20_001))
            await until(lambda: not sender.waiting)
            await until(lambda: got and got[-1].payload == b"2")
        return sender

    try:
        sender = asyncio.run(run())
    finally:
        narrow.stop()
    assert [len(message.payload) for message in got] == [1, 19_900, 1]
    assert sender.refused >= 2
    assert sender.reconnects <= 4
    assert len([line for line in notices if "snapshot" in line]) == 1


def test_a_message_of_many_megabytes_never_reaches_us(mosquitto: Mosquitto, tmp_path: Path) -> None:
    got = list[Message]()
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(200_000_000)

    async def run() -> float:
        broker = read(mosquitto.url)
        listener = Connection(broker, "l", on_message=got.append, subscriptions=[("hermes/#", 1)])
        async with running(listener):
            await until(lambda: listener.connected)
            before = resident_mib()
            to = ("-p", f"{mosquitto.port}", "-q", "1", "-t", "hermes/audioServer/a/audioFrame")
            sending = await asyncio.create_subprocess_exec("mosquitto_pub", *to, "-f", str(large))
            assert await sending.wait() == 0
            sender = Connection(broker, "s")
            async with running(sender):
                sender.publish(Message("hermes/fits", bytes(MAX_PACKET_BYTES - 100), qos=1))
                await until(lambda: got)
            return resident_mib() - before

    grown = asyncio.run(run())
    assert [len(message.payload) for message in got] == [MAX_PACKET_BYTES - 100]
    assert grown < 60, f"{grown:.0f} MiB"


def test_a_reader_that_fails_does_not_cost_the_connection(mosquitto: Mosquitto, notices: list[str]) -> None:
    got = list[Message]()

    def take(message: Message) -> None:
        if message.payload == b"bad":
            raise OverflowError("no such year")
        got.append(message)

    async def run() -> Connection:
        one = Connection(read(mosquitto.url), "one", on_message=take, subscriptions=[("emotrack/#", 1)])
        async with running(one):
            for payload in (b"bad", b"bad", b"good"):
                one.publish(Message("emotrack/kitchen/state", payload, qos=1))
            await until(lambda: got)
        return one

    one = asyncio.run(run())
    assert one.reconnects == 0
    assert len(notices) == 1
    assert "emotrack/kitchen/state" in notices[0]
