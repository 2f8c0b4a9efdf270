"""The tracker as a process among many microphones: nothing lost, nothing twice, nothing piling up."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.sites.arrival import LATE_S
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.house import saved
from tests.tracker.mqtt.memory import resident_mib
from tests.tracker.mqtt.microphones import FRAME_S
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.tracker_process import TrackerProcess
from tests.tracker.mqtt.waiting import until


class Audience:
    """Somebody who misses nothing, a session that the broker keeps for them included."""

    def __init__(self, mosquitto: Mosquitto, *filters: str) -> None:
        self.got: list[Message] = []
        self.connection = Connection(
            read(mosquitto.url),
            "audience",
            on_message=self.got.append,
            subscriptions=[(topic_filter, 1) for topic_filter in filters],
            session_expiry_s=3600,
        )

    def on(self, topic: str, kind: str) -> list[dict[str, Any]]:
        """What arrived; of what was sent again because its acknowledgement was lost, the first."""
        found = dict.fromkeys(message.payload for message in self.got if message.topic == topic and message.payload)
        return [payload for payload in map(json.loads, found) if payload["type"] == kind]


def play(mosquitto: Mosquitto, sites: int, seconds: float, speed: float) -> subprocess.Popen[str]:
    """Microphones in a process of their own."""
    command = [sys.executable, "-m", "tests.tracker.mqtt.microphones", str(mosquitto.port), str(sites), str(seconds)]
    return subprocess.Popen([*command, str(speed)], stdout=subprocess.PIPE, text=True)


def ended(audience: Audience, sites: int) -> Callable[[], bool]:
    return lambda: all(audience.on(topics.session(f"site{site}"), "session_ended") for site in range(sites))


@pytest.mark.long
def test_many_microphones_lose_no_frame(mosquitto: Mosquitto, tmp_path: Path) -> None:
    sites, seconds = 25, 20.0  # ``benchmarks/mqtt.py`` finds out how many a machine can follow
    audience = Audience(mosquitto, "emotrack/+/session", "emotrack/+/turn", "emotrack/+/error")
    tracker = TrackerProcess(tmp_path, "tracker", "--mqtt", mosquitto.url, "--asr", "none", is_warm=False)

    async def listen() -> None:
        running = asyncio.create_task(audience.connection.run())
        await asyncio.to_thread(tracker.wait_until_ready)
        microphones = play(mosquitto, sites, seconds, 1.0)
        await asyncio.sleep(seconds)
        lost = [topics.session(f"site{site}") for site in range(sites)]
        # Each falls silent when all that it sent has been heard.
        await until(lambda: all(audience.on(topic, "source_lost") for topic in lost), 30)
        assert microphones.wait() == 0
        assert await asyncio.to_thread(tracker.interrupt) == 0
        await until(ended(audience, sites))
        await audience.connection.close()
        await running
        assert microphones.stdout
        print("frames sent, and how late the latest, s:", microphones.stdout.read())

    try:
        asyncio.run(asyncio.wait_for(listen(), 180))
    finally:
        tracker.kill()
    for site in range(sites):
        topic = topics.session(f"site{site}")
        (end,) = audience.on(topic, "session_ended")
        assert len(audience.on(topic, "session_started")) == 1
        assert (end["dropped_frames"], end["dropped_turns"]) == (0, 0)
        # Stream time is counted in samples: this is every frame, none of them twice, no gap between them. Where the
        # machine holds frames up for longer than ``LATE_S``, that counts as silence and they are heard after it, so the
        # stream is longer by at least as much. Frames that were lost would make it shorter, or longer by a little.
        added_s = end["seconds"] - round(seconds / FRAME_S) * FRAME_S
        assert added_s == 0 or LATE_S < added_s < seconds / 10
        turns = audience.on(topics.turn(f"site{site}"), "turn")
        assert [turn["turn_id"] for turn in turns if turn["revision"] == 0] == list(range(1, end["turns"] + 1))
        assert end["turns"] >= 3
    assert not [message for message in audience.got if message.topic.endswith("/error")]


def test_every_turn_arrives_while_the_broker_restarts(mosquitto: Mosquitto, tmp_path: Path) -> None:
    sites, restarts = 4, 3
    audience = Audience(mosquitto, "emotrack/+/session", "emotrack/+/turn")
    command = ("--mqtt", mosquitto.url, "--asr", "none", "--save", str(tmp_path / "talk.jsonl"))
    tracker = TrackerProcess(tmp_path, "tracker", *command, is_warm=False)

    async def listen() -> None:
        running = asyncio.create_task(audience.connection.run())
        await asyncio.to_thread(tracker.wait_until_ready)
        await until(lambda: audience.connection.connected)
        for _ in range(restarts):
            microphones = play(mosquitto, sites, 9.0, 3.0)
            await asyncio.sleep(2.5)
            await asyncio.to_thread(mosquitto.stop)  # and turns go on being scored
            microphones.wait()
            await asyncio.to_thread(mosquitto.start)
            await until(lambda: audience.connection.connected)
            await asyncio.sleep(1.0)
        assert await asyncio.to_thread(tracker.interrupt) == 0
        await until(ended(audience, sites))
        await audience.connection.close()
        await running

    try:
        asyncio.run(asyncio.wait_for(listen(), 180))
    finally:
        tracker.kill()
    for site in range(sites):
        scored = [(e["turn_id"], e["revision"]) for e in saved(tmp_path, f"site{site}") if e["type"] == "turn"]
        assert scored
        arrived = [(e["turn_id"], e["revision"]) for e in audience.on(topics.turn(f"site{site}"), "turn")]
        assert list(dict.fromkeys(arrived)) == scored  # each at least once, in order, and nothing else
    for words in ("trying again", ": connected"):  # told once, though there are five connections
        assert restarts <= sum(words in line for line in tracker.notices) <= 2 * restarts


@pytest.mark.long
def test_memory_stays_flat_over_many_sites_and_sessions(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A short run of what ``benchmarks/mqtt.py`` does for half an hour."""
    sites, rounds, before = 12, 10, 8  # what kernels and heaps keep for good, they have taken after some rounds
    command = ("--mqtt", mosquitto.url, "--asr", "none", "--group", "house")
    tracker = TrackerProcess(tmp_path, "tracker", *command, is_warm=False)
    audience = Audience(mosquitto, "emotrack/+/session")
    held: list[float] = []

    async def listen() -> None:
        running = asyncio.create_task(audience.connection.run())
        await asyncio.to_thread(tracker.wait_until_ready)
        await until(lambda: audience.connection.connected)
        names = [f"site{site}" for site in range(sites)]

        def have(kind: str, times: int) -> bool:
            return all(len(audience.on(topics.session(name), kind)) == times for name in names)

        for number in range(1, rounds + 1):
            for name in names:
                audience.connection.publish(Message(topics.command(name, "start"), b"", qos=1))
            await until(lambda number=number: have("session_started", number))  # type: ignore[misc]
            microphones = play(mosquitto, sites, 8.0, 5.0)
            assert await asyncio.to_thread(microphones.wait) == 0
            for name in names:
                audience.connection.publish(Message(topics.command(name, "stop"), b"", qos=1))
            await until(lambda number=number: have("session_ended", number), 20)  # type: ignore[misc]
            await asyncio.sleep(0.5)
            held.append(resident_mib(tracker.process.pid))
        assert await asyncio.to_thread(tracker.interrupt) == 0
        await audience.connection.close()
        await running

    try:
        began = time.monotonic()
        asyncio.run(asyncio.wait_for(listen(), 180))
    finally:
        tracker.kill()
    print(f"{time.monotonic() - began:.0f} s, MiB after each round: {[round(mib) for mib in held]}")
    # The sound alone of the later rounds' sessions, 8 s each at 16 kHz in four bytes, would be 12 MiB if it was kept.
    assert max(held[before:]) - held[before - 1] < 8
