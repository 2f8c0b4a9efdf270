"""Brokers that will never do end it with one line; what may pass is waited for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiomqtt
import pytest

from emotrack.tracker.mqtt.connection import client
from emotrack.tracker.mqtt.connection.broker import BrokerError
from emotrack.tracker.mqtt.connection.client import Client
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.fake_broker import FakeBroker, connack
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.waiting import until

MQTT_3_ACCEPTS, MQTT_3_REFUSES = b"\x20\x02\x00\x00", b"\x20\x02\x00\x01"
RETAIN_AVAILABLE, MAXIMUM_QOS, WILDCARDS, SHARED = 0x25, 0x24, 0x28, 0x2A


def turned_away(url: str, *, filters: tuple[str, ...] = (), will: Message | None = None) -> str:
    subscriptions = [(topic_filter, 1) for topic_filter in filters]
    one = Connection(read(url), "x", subscriptions=subscriptions, will=will)
    with pytest.raises(BrokerError) as caught:
        asyncio.run(asyncio.wait_for(one.run(), 15))
    line = str(caught.value)
    assert line.startswith(url.rstrip("/"))
    assert line.isprintable()
    return line


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (MQTT_3_REFUSES, "does not speak MQTT 5"),
        (MQTT_3_ACCEPTS, "does not speak MQTT 5"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" + bytes(200), "does not speak MQTT 5"),
        (connack(0x84), "does not speak MQTT 5"),
        (connack(0x81), "does not understand"),
        (connack(0x85), "refuses the client's name"),
        (connack(0x86), "refuses the user name or password"),
        (connack(0x87), "refuses the user name or password"),
        (connack(0x8A), "has banned this client"),
        (connack(0x8C), "authenticate"),
        (connack(0x9A), "keeps no retained messages"),
        (connack(0x9B), "takes no messages of QoS 1"),
        (connack(0x9D), "has moved"),
        (connack(0, RETAIN_AVAILABLE, 0), "keeps no retained messages"),
        (connack(0, MAXIMUM_QOS, 0), "takes no messages of QoS 1"),
        (connack(0, WILDCARDS, 0), "takes no subscriptions with wildcards"),
        (connack(0, SHARED, 0), "takes no shared subscriptions"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:6].hex(),
)
def test_a_broker_that_will_never_do(answer: bytes, says: str) -> None:
    with FakeBroker(answer) as broker:
        assert says in turned_away(broker.url, filters=("$share/house/emotrack/+/cmd/start",))
        assert broker.connections == 1


def test_one_that_waits_for_ever_over_properties_is_asked_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As amqtt does."""
    monkeypatch.setattr(client, "ANSWER_S", 0.3)
    bare = b"MQTT\x05\x02\x00\x14\x00"  # clean start, 20 s, no properties
    with FakeBroker(MQTT_3_REFUSES, only_to=bare) as broker:
        assert "does not speak MQTT 5" in turned_away(broker.url)
        assert broker.connections == 2


@pytest.mark.parametrize("code", [0x80, 0x83, 0x88, 0x89, 0x97, 0x9C, 0x9F], ids=hex)
def test_what_may_pass_is_waited_for(code: int, notices: list[str]) -> None:

    async def run(url: str, broker: FakeBroker) -> None:
        one = Connection(read(url), "x")
        running = asyncio.create_task(one.run())
        await until(lambda: broker.connections >= 2)
        await one.close()
        await running

    with FakeBroker(connack(code)) as broker:
        asyncio.run(run(broker.url, broker))
    assert len(notices) == 1
    assert "trying again until it works" in notices[0]


def test_a_broker_without_groups_does_for_one_worker(notices: list[str]) -> None:

    async def run(url: str, broker: FakeBroker) -> None:
        one = Connection(read(url), "x", subscriptions=[("emotrack/+/audio", 0)])
        running = asyncio.create_task(one.run())
        await until(lambda: broker.connections >= 2)
        await one.close()
        await running

    with FakeBroker(connack(0, SHARED, 0)) as broker:
        asyncio.run(run(broker.url, broker))
    assert "shared" not in "".join(notices)


@pytest.mark.parametrize(
    ("line", "says"),
    [("retain_available false", "keeps no retained messages"), ("max_qos 0", "takes no messages of QoS 1")],
)
def test_a_real_broker_that_lacks_what_is_needed(tmp_path: Path, mosquitto: Mosquitto, line: str, says: str) -> None:
    broker = Mosquitto(tmp_path, line)
    broker.start()
    try:
        assert says in turned_away(broker.url)
        will = Message("emotrack/kitchen/status", b"offline", qos=1, retain=True)
        assert says in turned_away(broker.url, will=will)
    finally:
        broker.stop()


def test_what_is_replaced_of_the_library_is_there() -> None:
    """The callbacks are the library's own business: where a new version renames one, ours would never be called."""
    ours = [name for name in vars(Client) if name.startswith("_on_")]
    assert len(ours) == 5
    for name in ours:
        assert callable(getattr(aiomqtt.Client, name, None)), name
