"""The example of a broker with TLS, passwords and an access list, run as it stands: it lets in whom it should."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from tests.noticing import noticed
from tests.tracker.kitchen_table import EXAMPLES
from tests.tracker.mqtt.certificates import Authority
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.microphones import frames
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.tracker_process import TrackerProcess
from tests.tracker.mqtt.waiting import until

USERS = ("tracker", "kitchen", "cellar", "screen", "home", "steward")
AUDIO = "hermes/audioServer/kitchen/audioFrame"


@pytest.fixture
def strict(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Mosquitto]:
    """The broker of the example; only its folders and its port are others."""
    Authority(tmp_path).sign("server")
    for user in USERS:
        created = () if (tmp_path / "passwords").exists() else ("-c",)
        command = ["mosquitto_passwd", *created, "-b", str(tmp_path / "passwords"), user, f"{user}'s"]
        subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "emotrack.acl").write_text((EXAMPLES / "mosquitto" / "emotrack.acl").read_text())
    broker = Mosquitto(tmp_path)
    example = (EXAMPLES / "mosquitto" / "mosquitto.conf").read_text()
    here = {"/etc/mosquitto": str(tmp_path), "/var/lib/mosquitto": str(tmp_path), "8883": f"{broker.port} 127.0.0.1"}
    for theirs, ours in here.items():
        assert theirs in example
        example = example.replace(theirs, ours)
    broker.configuration.write_text(f"{example}\nuser root\n")
    broker.start()
    yield broker
    broker.stop()


def access(strict: Mosquitto, folder: Path, user: str) -> Broker:
    (folder / user).write_text(f"{user}:{user}'s\n")
    url = f"mqtts://127.0.0.1:{strict.port}/"
    return read(url, "--mqtt-ca", folder / "ca.pem", "--mqtt-credentials", folder / user)


class Person:
    def __init__(self, broker: Broker, name: str, *filters: str) -> None:
        self.notices: list[str] = []
        self.got: list[Message] = []
        self.connection = Connection(
            broker,
            f"test-{name}",
            on_message=self.got.append,
            subscriptions=[(topic_filter, 1) for topic_filter in filters],
        )

    async def run(self) -> None:
        with noticed(self.notices):
            await self.connection.run()

    def topics(self) -> set[str]:
        return {message.topic for message in self.got}


def test_everybody_may_do_what_they_should_and_nothing_else(tmp_path: Path, strict: Mosquitto) -> None:
    access(strict, tmp_path, "tracker")
    command = ("--mqtt-ca", str(tmp_path / "ca.pem"), "--mqtt-credentials", str(tmp_path / "tracker"))
    url = f"mqtts://127.0.0.1:{strict.port}/"
    tracker = TrackerProcess(tmp_path, "tracker.log", "--mqtt", url, *command, "--asr", "none")

    async def live() -> dict[str, Person]:
        everything = ("emotrack/#", "hermes/#", "homeassistant/#")
        people = {user: Person(access(strict, tmp_path, user), user, *everything) for user in USERS[1:]}
        running = [asyncio.create_task(person.run()) for person in people.values()]
        await asyncio.to_thread(tracker.wait_until_ready)
        await until(lambda: all(person.connection.connected for person in people.values()))
        for frame in frames(4.0):
            for user in ("kitchen", "cellar", "screen"):  # two of them may not
                people[user].connection.publish(Message(AUDIO, frame, qos=1))
            await asyncio.sleep(0.004)
        await until(lambda: "emotrack/kitchen/turn" in people["screen"].topics())
        reset = Message("emotrack/kitchen/cmd/reset", b"{}", qos=1, response_topic="emotrack/steward/reply/1")
        for user in ("steward", "screen", "kitchen"):
            people[user].connection.publish(reset)
        people["cellar"].connection.publish(Message("emotrack/kitchen/status", b"offline", qos=1, retain=True))
        people["home"].connection.publish(Message("homeassistant/status", b"online", qos=1))
        await until(lambda: "emotrack/steward/reply/1" in people["steward"].topics())
        await asyncio.sleep(0.5)
        for person in people.values():
            await person.connection.close()
        await asyncio.gather(*running)
        return people

    try:
        people = asyncio.run(asyncio.wait_for(live(), 120))
        assert tracker.interrupt() == 0
    finally:
        tracker.kill()

    def refused(user: str) -> list[str]:
        return [line.split("published on ")[1].split()[0] for line in people[user].notices if "refuses" in line]

    assert refused("kitchen") == ["emotrack/kitchen/cmd/reset"]
    assert refused("cellar") == [AUDIO, "emotrack/kitchen/status"]
    assert refused("screen") == [AUDIO, "emotrack/kitchen/cmd/reset"]
    assert refused("home") == refused("steward") == []
    assert not any("refuses" in line for line in tracker.notices)

    assert people["kitchen"].topics() == people["cellar"].topics() == set()
    site = {f"emotrack/kitchen/{kind}" for kind in ("turn", "state", "session", "status", "vad")}
    assert people["screen"].topics() >= site
    assert not any(topic.startswith("hermes/") for topic in people["screen"].topics())
    config = "homeassistant/device/emotrack_kitchen/config"
    assert people["home"].topics() >= {
        "emotrack/kitchen/state",
        "emotrack/kitchen/source",
        "emotrack/kitchen/vad",
        config,
    }
    assert "emotrack/kitchen/turn" not in people["home"].topics()  # the words are none of its business
    assert len([message for message in people["home"].got if message.topic == config]) == 2  # and again when it is back
    assert len([message for message in people["steward"].got if message.topic == "emotrack/steward/reply/1"]) == 1
