"""What is published, on a real broker: the properties arrive, and who comes late gets what is retained and no more."""

from __future__ import annotations

import asyncio
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from emotrack.tracker.events import SessionEnded
from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.channels import to_deletion, to_message, to_status
from emotrack.tracker.mqtt.publishing.discovery import discovery
from emotrack.tracker.mqtt.publishing.state import SiteState
from tests.tracker.dashboard.made_up import LABELS, started, turn
from tests.tracker.kitchen_table import AUDIO
from tests.tracker.mqtt.format.test_channels import SENT
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.tracker_process import TrackerProcess

PATIENCE_S = 10.0


async def exchanged(mosquitto: Mosquitto, sent: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """What arrives while somebody listens, and what somebody gets who comes after."""
    broker = Broker("127.0.0.1", mosquitto.port)
    heard: dict[str, list[Message]] = {"early": [], "late": []}
    end = Message("emotrack/end", b"", qos=1)

    async def listen(name: str) -> None:
        """Listen until the end is heard, which is sent once the subscriptions stand."""
        ended = asyncio.Event()

        def receive(message: Message) -> None:
            if message.topic == end.topic:
                ended.set()
            else:
                heard[name].append(message)

        def on_connected() -> None:
            for message in [*(sent if name == "early" else ()), end]:
                connection.publish(message)

        connection = Connection(
            broker,
            name,
            on_message=receive,
            on_connected=on_connected,
            subscriptions=[(f"{root}/#", 1) for root in ("emotrack", "hermes", "homeassistant")],
        )
        running = asyncio.ensure_future(connection.run())
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
        await connection.close()
        await running

    await listen("early")
    await listen("late")
    return heard["early"], heard["late"]


def test_every_payload_arrives_with_its_properties(mosquitto: Mosquitto) -> None:
    # Surely, so that the end is not heard before the rest; and one of each topic, as a later retained one takes the
    # place of an earlier one that still waits.
    sent = [replace(to_message(payload), qos=1) for payload in SENT if not isinstance(payload, SessionEnded)]
    heard, _ = asyncio.run(exchanged(mosquitto, sent))
    for before, after in zip(sent, heard, strict=True):
        assert after.expiry_s is not None
        assert before.expiry_s is not None
        assert before.expiry_s - 5 <= after.expiry_s <= before.expiry_s, "the broker counts down"
        assert replace(after, expiry_s=None, retain=False) == replace(before, expiry_s=None, retain=False)


def test_who_comes_late_gets_what_is_retained_and_no_more(mosquitto: Mosquitto) -> None:
    site = SiteState("kitchen")
    first, second = turn(1, speaker="Ana"), turn(2, speaker="Ben")
    sent = [
        to_status(topics.status("kitchen"), "online"),
        discovery("kitchen", LABELS, "mini", "0.1.0"),
        *(to_message(payload) for event in (started(), first, second) for payload in (event, *site.apply(event))),
        to_deletion(topics.speaker_state("kitchen", "Ana")),
    ]
    heard, late = asyncio.run(exchanged(mosquitto, sent))
    assert {message.topic for message in late} == {
        "emotrack/kitchen/status",
        "emotrack/kitchen/session",
        "emotrack/kitchen/state",
        "emotrack/kitchen/speaker/Ben/state",
        "homeassistant/device/emotrack_kitchen/config",
    }
    assert all(message.retain for message in late)
    latest = {message.topic: message.payload for message in heard}
    assert all(latest[message.topic] == message.payload for message in late)


def test_a_tracker_whose_broker_is_away_is_not_ready(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def readiness() -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def wait_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 3 * PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, tracker.notices
            time.sleep(0.1)

    tracker = TrackerProcess(
        tmp_path,
        "tracker",
        *("--file", str(AUDIO), "--asr", "none", "--speakers", "off", "--json", f"--metrics={port}"),
        *("--publish", f"mqtt://127.0.0.1:{mosquitto.port}/"),
    )
    try:
        tracker.wait_until_ready()
        wait_until(lambda: "New client connected" in mosquitto.log.read_text())
        wait_until(lambda: readiness() == 200)
        mosquitto.stop()
        wait_until(lambda: readiness() == 503)
        mosquitto.start()
        wait_until(lambda: readiness() == 200)
        assert tracker.interrupt() == 0, tracker.notices
    finally:
        tracker.kill()
