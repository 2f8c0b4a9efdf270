"""What strangers on the broker send: old messages, wishes that are none of ours, frames that cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.publishing.losses import MAX_TOLD, Told
from emotrack.tracker.mqtt.sites import arrival
from emotrack.tracker.mqtt.sites.arrival import Pace
from emotrack.tracker.understanding.engine import Engine
from tests.tracker.kitchen_table import AUDIO
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.connection.test_connection import running
from tests.tracker.mqtt.house import House
from tests.tracker.mqtt.microphones import FRAME_S, Sender, frames
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.sites.test_sites import live
from tests.tracker.mqtt.tracker_process import TrackerProcess
from tests.tracker.mqtt.waiting import until

KITCHEN = "hermes/audioServer/kitchen/audioFrame"


@pytest.fixture(scope="module")
def engine(network: EmotionNetwork) -> Iterator[Engine]:
    engine = Engine(network, None)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def speech() -> list[bytes]:
    return frames(4.0)


def keep(mosquitto: Mosquitto, *sent: Message) -> None:
    """Let the broker retain what is sent."""

    async def run() -> None:
        stranger = Connection(read(mosquitto.url), "stranger")
        async with running(stranger):
            for message in sent:
                stranger.publish(message)
            await until(lambda: not stranger.waiting)

    asyncio.run(run())


def kept(topic: str, payload: bytes = b"{}") -> Message:
    return Message(topic, payload, qos=1, retain=True)


def test_what_the_broker_retained_is_not_taken_for_now(
    mosquitto: Mosquitto, engine: Engine, speech: list[bytes]
) -> None:
    keep(
        mosquitto,
        kept(KITCHEN, speech[80]),
        kept("emotrack/cellar/audio", speech[80]),
        kept("emotrack/hall/cmd/start"),
        kept("hermes/asr/startListening", b'{"siteId": "den"}'),
    )

    async def story(house: House) -> None:
        for site in ("kitchen", "cellar", "hall", "default"):
            await until(lambda site=site: house.on(f"emotrack/{site}/error"))  # type: ignore[misc]
        assert not house.sites.open.sites
        assert not house.on("emotrack/den/session")
        await house.say(KITCHEN, speech)
        await until(lambda: house.turns("kitchen"))

    house = live(House(mosquitto, engine), story)
    assert {error["code"] for error in house.errors()} == {"retained", "bad_command"}
    assert len([line for line in house.notices if "retain" in line]) == 4
    assert all(turn["start_s"] < 4 for turn in house.turns("kitchen"))


def test_retained_commands_neither_end_nor_deafen_a_session(mosquitto: Mosquitto, tmp_path: Path) -> None:
    commands = [kept(f"emotrack/default/cmd/{command}") for command in ("stop", "pause", "reset")]
    keep(mosquitto, *commands, kept("homeassistant/status", b"online"))
    got: list[Message] = []

    async def run() -> TrackerProcess:
        wanted = [("emotrack/+/turn", 1), ("homeassistant/device/#", 1)]
        person = Connection(read(mosquitto.url), "p", on_message=got.append, subscriptions=wanted)
        async with running(person):
            await until(lambda: person.connected)
            tracker = TrackerProcess(
                tmp_path, "tracker", "--file", str(AUDIO), "--asr", "none", "--publish", mosquitto.url
            )
            try:
                await until(lambda: [message for message in got if message.topic.endswith("/turn")], 60)
                assert tracker.interrupt() == 0
            finally:
                tracker.kill()
        return tracker

    tracker = asyncio.run(asyncio.wait_for(run(), 120))
    assert len([line for line in tracker.notices if "retained command" in line]) == 1
    assert len([message for message in got if message.topic.startswith("homeassistant/")]) == 1


ELSEWHERE = (
    "homeassistant/device/emotrack_kitchen/config",
    "homeassistant/status",
    "hermes/asr/textCaptured",
    "emotrack/cellar/turn",
    "emotrack/cellar/cmd/stop",
    "emotrack/_group/house/owner/kitchen",
    "emotrack/person/reply/" + "/".join("a" * 150),
)


def test_an_answer_goes_nowhere_that_its_asker_could_not_go(
    mosquitto: Mosquitto, engine: Engine, speech: list[bytes]
) -> None:
    async def story(house: House) -> None:
        await house.say(KITCHEN, speech[:20])
        await until(lambda: house.status("kitchen"))
        for topic in ELSEWHERE:
            house.tell("emotrack/kitchen/cmd/reset", {}, response_topic=topic)
        house.tell("emotrack/kitchen/cmd/reset", {}, response_topic="emotrack/a/reply/b", correlation=bytes(2000))
        assert (await house.ask("emotrack/kitchen/cmd/reset", {}))["ok"]
        house.tell("emotrack/kitchen/cmd/stop", {}, response_topic="homeassistant/status")
        await until(lambda: house.status("kitchen")[-1] == b"offline")  # followed all the same

    house = live(House(mosquitto, engine), story)
    replies = [message.topic for message in house.got if b'"type":"reply"' in message.payload]
    assert replies == ["emotrack/person/reply/1"]
    assert not [message for message in house.got if message.topic == "homeassistant/status"]
    assert len([line for line in house.notices if "answers go to emotrack/NAME/reply" in line]) == 1
    assert house.sites.connection.reconnects == 0


def test_commands_that_are_off_are_not_followed(mosquitto: Mosquitto, engine: Engine, speech: list[bytes]) -> None:
    async def story(house: House) -> None:
        house.tell("emotrack/hall/cmd/start", {})
        house.tell("hermes/asr/startListening", {"siteId": "den"})
        await house.say(KITCHEN, speech[:20])
        await until(lambda: house.status("kitchen"))
        house.tell("emotrack/kitchen/cmd/stop", {})
        house.tell("hermes/asr/stopListening", {"siteId": "kitchen"})
        await until(lambda: not house.person.waiting)
        await house.say(KITCHEN, speech)
        await until(lambda: house.turns("kitchen"))
        assert list(house.sites.open.sites) == ["kitchen"]

    live(House(mosquitto, engine, takes_commands=False), story)


def test_a_frame_that_is_refused_is_told_once_with_its_remedy(
    mosquitto: Mosquitto, engine: Engine, speech: list[bytes]
) -> None:
    """Raw samples over MQTT 3.1.1, which has no content types, as an ESP32 sends them."""

    async def story(house: House) -> None:
        for site in ("kitchen", "cellar"):
            sender = Sender(mosquitto.port, f"esp32-{site}")
            for frame in speech[:30]:
                sender.publish(topics.audio(site), frame[44:])
            await until(lambda site=site: house.on(f"emotrack/{site}/error"))  # type: ignore[misc]
            sender.close()

    house = live(House(mosquitto, engine), story)
    told = [line for line in house.notices if "WAV header" in line and "audio/x-raw;format=S16LE" in line]
    assert [line.partition(":")[0] for line in told] == ["kitchen", "cellar"]
    assert {error["code"] for error in house.errors()} == {"bad_audio"}


@pytest.mark.parametrize("senders", [1, 2])
def test_two_senders_on_one_site_are_told(
    mosquitto: Mosquitto, engine: Engine, speech: list[bytes], senders: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "PACE_S", 0.6)

    async def story(house: House) -> None:
        await asyncio.gather(*(house.say(KITCHEN, speech[:80], speed=1.0) for _ in range(senders)))

    house = live(House(mosquitto, engine), story)
    told = [line for line in house.notices if "two microphones" in line]
    assert len(told) == senders - 1
    assert [error["code"] for error in house.errors()][:1] == ["two_senders"] * (senders - 1)


def paced(*stretches: tuple[float, float]) -> Pace:
    """What is heard of frames that come for some seconds so many times as fast as they are spoken."""
    pace, now_s = Pace(), 100.0
    for seconds, speed in stretches:
        for _ in range(round(seconds * speed / FRAME_S)):
            pace.take(FRAME_S, now_s)
            now_s += FRAME_S / speed
    return pace


@pytest.mark.parametrize(
    ("stretches", "doubled"),
    [
        ([(60, 1.0)], False),
        ([(60, 1.2)], False),
        ([(15, 1.0), (1, 10.0), (15, 1.0)], False),  # what a stall held back comes at once
        ([(25, 2.0)], True),
        ([(25, 3.0)], True),
        ([(30, 1.0), (35, 2.0)], True),
        ([(35, 2.0), (35, 1.0)], False),
    ],
)
def test_two_microphones_come_twice_as_fast_for_long(stretches: list[tuple[float, float]], doubled: bool) -> None:
    assert paced(*stretches).is_doubled == doubled


def test_what_the_terminal_is_told_is_bounded() -> None:
    told = Told()
    assert told.is_news("kitchen", "bad_audio")
    assert not told.is_news("kitchen", "bad_audio")
    assert told.is_news("kitchen", "too_large")
    assert sum(told.is_news(f"{number}", "bad_audio") for number in range(2 * MAX_TOLD)) == MAX_TOLD - 2
