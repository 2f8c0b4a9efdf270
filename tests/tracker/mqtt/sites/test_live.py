"""``emotrack live`` with a broker, as a user runs it: one clear line for what goes wrong, and no secret anywhere."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.sites.site_source import MAX_WAITING_S
from emotrack.tracker.sessions.reading.reader import read_session
from tests.tracker.command_line.test_main import emotrack, events, fails
from tests.tracker.kitchen_table import AUDIO, CAPTIONS, TRUTH, samples
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.connection.test_connection import passwords
from tests.tracker.mqtt.fake_broker import FakeBroker, connack
from tests.tracker.mqtt.microphones import Sender, frames, wav
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.tracker_process import TrackerProcess
from tests.tracker.mqtt.waiting import until

FILE = ("live", "--file", AUDIO, "--fast", "--json", "--captions", CAPTIONS, "--speakers", "off")
VOICE_ALONE = ("--file", str(AUDIO), "--asr", "none", "--speakers", "off")


def test_a_recording_is_published_as_it_is_written(mosquitto: Mosquitto) -> None:
    got: list[Message] = []

    async def run() -> subprocess.CompletedProcess[str]:
        person = Connection(read(mosquitto.url), "person", on_message=got.append, subscriptions=[("emotrack/#", 1)])
        running = asyncio.create_task(person.run())
        await until(lambda: person.connected)
        result = await asyncio.to_thread(
            emotrack, *FILE, "--publish", mosquitto.url, "--site", "kitchen", "--topics", "minimal"
        )
        await asyncio.sleep(0.3)
        await person.close()
        await running
        return result

    result = asyncio.run(run())
    assert result.returncode == 0, result.stderr
    written = [event for event in events(result.stdout) if event["type"] == "turn"]
    published = [json.loads(message.payload) for message in got if message.topic == "emotrack/kitchen/turn"]
    assert published == written
    assert [turn["text"] for turn in published if turn["revision"] == 0] == [line["text"] for line in TRUTH]
    topics = {message.topic for message in got}
    assert topics >= {f"emotrack/kitchen/speaker/{name}/state" for name in ("Ana", "Ben")}
    assert not {"emotrack/kitchen/vad", "emotrack/kitchen/metrics"} & topics
    statuses = [message.payload for message in got if message.topic == "emotrack/kitchen/status"]
    assert statuses == [b"online", b"offline"]
    last = {message.topic: message.payload for message in got}
    assert last["emotrack/kitchen/speaker/Ana/state"] == b""  # whoever comes later finds nobody speaking


def test_a_running_session_takes_commands(mosquitto: Mosquitto, tmp_path: Path) -> None:
    saved = tmp_path / "talk.jsonl"
    command = (
        *VOICE_ALONE,
        "--publish",
        mosquitto.url,
        "--save",
        str(saved),
    )
    got: list[Message] = []

    async def run() -> None:
        person = Connection(read(mosquitto.url), "person", on_message=got.append, subscriptions=[("#", 1)])
        running = asyncio.create_task(person.run())
        await until(lambda: person.connected)
        tracker = TrackerProcess(tmp_path, "tracker", *command)
        try:
            await until(lambda: any(message.topic == "emotrack/default/turn" for message in got), 40)
            label = b'{"turn_id": 1, "emotion": "surprised"}'
            for name, payload in (("label", label), ("dance", b""), ("stop", b"")):
                topic = f"emotrack/default/cmd/{name}"
                person.publish(
                    Message(topic, payload, qos=1, response_topic=f"emotrack/person/reply/{name}", correlation=b"7")
                )
            assert await asyncio.to_thread(tracker.process.wait, 20) == 0
        finally:
            tracker.kill()
        await person.close()
        await running

    asyncio.run(asyncio.wait_for(run(), 120))
    replies = {
        message.topic.rpartition("/")[2]: json.loads(message.payload)
        for message in got
        if message.topic.startswith("emotrack/person/reply/")
    }
    assert {name: reply["ok"] for name, reply in replies.items()} == {"label": True, "stop": True}
    kept = events(saved.read_text())
    assert [event["emotion"] for event in kept if event["type"] == "correction"] == ["surprise"]
    assert kept[-1]["reason"] == "stopped"


def test_a_speaker_is_renamed_and_all_that_is_kept_of_the_old_name_goes(mosquitto: Mosquitto, tmp_path: Path) -> None:
    saved = tmp_path / "talk.jsonl"
    command = ("--file", str(AUDIO), "--channels", "split", "--asr", "none")
    got: list[Message] = []

    async def run() -> None:
        person = Connection(read(mosquitto.url), "person", on_message=got.append, subscriptions=[("#", 1)])
        running = asyncio.create_task(person.run())
        await until(lambda: person.connected)
        tracker = TrackerProcess(tmp_path, "tracker", *command, "--publish", mosquitto.url, "--save", str(saved))

        async def ask(**payload: object) -> str | None:
            """Why a rename was refused."""
            before = len(replies())
            topic = "emotrack/default/cmd/rename"
            person.publish(
                Message(topic, json.dumps(payload).encode(), qos=1, response_topic="emotrack/person/reply/1")
            )
            await until(lambda: len(replies()) > before, 20)
            answer = replies()[before]
            assert (answer["command"], answer["ok"]) == ("rename", answer["error"] is None)
            return str(answer["error"]) if answer["error"] else None

        def replies() -> list[dict[str, object]]:
            return [json.loads(message.payload) for message in got if message.topic == "emotrack/person/reply/1"]

        try:
            await until(lambda: any(message.topic.endswith("/channel%201/state") for message in got), 40)
            assert "there is no speaker Ben" in (await ask(speaker="Ben", name="Ana") or "")
            assert "name" in (await ask(speaker="channel 1", name="a" * 81) or "")
            assert "1 to 80 characters" in (await ask(speaker="channel 1", name="  ") or "")
            assert "not the running session" in (await ask(speaker="channel 1", name="Ana", session="old") or "")
            assert await ask(speaker="channel 1", name="Ana") is None
            await until(lambda: any(message.topic.endswith("/speaker/Ana/state") for message in got), 20)
            await until(lambda: [m for m in got if m.topic.endswith("/channel%201/state")][-1].payload == b"", 20)
            await asyncio.to_thread(tracker.interrupt)
        finally:
            tracker.kill()
        await person.close()
        await running

    asyncio.run(asyncio.wait_for(run(), 120))
    sent = [json.loads(message.payload) for message in got if message.topic == "emotrack/default/session"]
    assert [(e["speaker"], e["name"]) for e in sent if e["type"] == "speaker_renamed"] == [("channel 1", "Ana")]
    rooms = [json.loads(message.payload) for message in got if message.topic == "emotrack/default/state"]
    assert "Ana" in {room["speaker"] for room in rooms}, "from which Home Assistant has its speaker"
    assert {turn.speaker for turn in read_session(saved).turns} <= {"Ana", "channel 2"}


def test_a_second_tracker_of_the_same_site_is_refused_until_the_first_has_ended(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    command = ("--publish", mosquitto.url, "--site", "desk")
    first = TrackerProcess(tmp_path, "first", *VOICE_ALONE, *command)
    got: list[Message] = []

    async def run() -> None:
        person = Connection(
            read(mosquitto.url), "person", on_message=got.append, subscriptions=[("emotrack/desk/#", 1)]
        )
        running = asyncio.create_task(person.run())
        await until(lambda: any(message.topic == "emotrack/desk/status" for message in got), 60)
        second = await asyncio.to_thread(emotrack, *FILE, *command)
        fails(second, 1, "site desk is served by another tracker, emotrack-")
        assert len([event for event in events(second.stdout) if event["type"] == "turn"]) >= len(TRUTH)
        assert await asyncio.to_thread(first.interrupt) == 0
        third = await asyncio.to_thread(emotrack, *FILE, *command)
        assert third.returncode == 0, third.stderr
        await person.close()
        await running

    try:
        asyncio.run(asyncio.wait_for(run(), 150))
    finally:
        first.kill()
    sessions = [json.loads(m.payload) for m in got if m.topic == "emotrack/desk/session"]
    assert len({event["session"] for event in sessions}) == 2  # the first and the third
    assert not any("served by" in line for line in first.notices)
    assert [m.payload for m in got if m.topic == "emotrack/desk/status" and not m.retain] == [b"online", b"offline"] * 2


def test_a_site_whose_tracker_is_stalled_is_free_and_the_tracker_learns_that(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    command = ("--publish", mosquitto.url, "--site", "desk")
    first = TrackerProcess(tmp_path, "first", *VOICE_ALONE, *command, is_warm=False)
    got: list[Message] = []

    async def run() -> None:
        person = Connection(
            read(mosquitto.url), "person", on_message=got.append, subscriptions=[("emotrack/desk/#", 1)]
        )
        running = asyncio.create_task(person.run())
        await until(lambda: any(message.topic == "emotrack/desk/status" for message in got), 60)
        first.process.send_signal(signal.SIGSTOP)
        second = await asyncio.to_thread(emotrack, *FILE, *command)
        assert second.returncode == 0, second.stderr
        first.process.send_signal(signal.SIGCONT)
        await until(lambda: any("site desk is served by another tracker" in line for line in first.notices))
        assert await asyncio.to_thread(first.interrupt) == 1
        await person.close()
        await running

    try:
        asyncio.run(asyncio.wait_for(run(), 150))
    finally:
        first.kill()


def test_a_site_is_forgotten_from_the_command_line(mosquitto: Mosquitto) -> None:
    assert emotrack(*FILE, "--publish", mosquitto.url, "--site", "old desk").returncode == 0

    async def lie() -> None:
        person = Connection(read(mosquitto.url), "p")
        running = asyncio.create_task(person.run())
        person.publish(Message("emotrack/old%20desk/status", b"online", qos=1, retain=True))
        await person.close()
        await running

    asyncio.run(lie())  # as of a tracker that died together with the broker
    forgotten = emotrack("forget", mosquitto.url, "old desk", "never heard of")
    assert (forgotten.returncode, forgotten.stdout) == (0, "")
    first, second = forgotten.stderr.splitlines()
    assert first == "emotrack: old desk: forgotten"
    assert second == "emotrack: never heard of: the broker kept nothing of it"
    got: list[Message] = []

    async def run() -> None:
        person = Connection(read(mosquitto.url), "p", on_message=got.append, subscriptions=[("#", 1)])
        running = asyncio.create_task(person.run())
        await until(lambda: person.connected)
        await asyncio.sleep(0.3)
        await person.close()
        await running

    asyncio.run(run())
    assert got == []


def test_a_site_that_is_served_ends_when_it_is_forgotten(mosquitto: Mosquitto, tmp_path: Path) -> None:
    command = ("--publish", mosquitto.url, "--site", "desk")
    tracker = TrackerProcess(tmp_path, "tracker", *VOICE_ALONE, *command)
    try:
        tracker.wait_until_ready()
        deadline = time.monotonic() + 60
        while "kept nothing" in (result := emotrack("forget", mosquitto.url, "desk")).stderr:
            assert time.monotonic() < deadline
        assert result.returncode == 0, result.stderr
        assert tracker.process.wait(timeout=30) == 0
        assert "kept nothing" in emotrack("forget", mosquitto.url, "desk").stderr
    finally:
        tracker.kill()


def test_forgetting_without_a_broker_is_one_line() -> None:
    fails(emotrack("forget", "mqtt://127.0.0.1:1/", "desk"), 1, "gives no answer")
    fails(emotrack("forget", "mqtt://127.0.0.1:1/", ""), 2, "SITE")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--mqtt", "mqtt://house/", "--mic"), "not allowed with"),
        (("--mqtt", "house"), "mqtt://"),
        (("--mqtt", "mqtt://ana:secret@house/"), "EMOTRACK_MQTT_PASSWORD"),
        (("--mqtt", "mqtt://house/", "--captions", CAPTIONS), "--captions"),
        (("--mqtt", "mqtt://house/", "--site", "kitchen"), "--site"),
        (("--mqtt", "mqtt://house/", "--audio-topic", "a/#/b"), "--audio-topic"),
        (("--mqtt", "mqtt://house/", "--audio-topic", "a/b"), "first +"),
        (("--mqtt", "mqtt://house/", "--group", ""), "--group"),
        (("--mqtt", "mqtt://house/", "--group", "house", "--commands", "off"), "--commands off"),
        (("--mqtt", "mqtt://house/", "--max-sites", "0"), "between"),
        (("--file", AUDIO, "--group", "house"), "goes with --mqtt"),
        (("--file", AUDIO, "--sites", "kitchen"), "goes with --mqtt"),
        (("--file", AUDIO, "--publish", "ftp://house/"), "mqtt://"),
        (("--file", AUDIO, "--publish", "mqtt://house/", "--site", "x" * 300), "--site"),
    ],
)
def test_wrong_usage(arguments: tuple[object, ...], says: str) -> None:
    result = emotrack("live", *arguments, "--json")
    fails(result, 2, says)
    assert "secret" not in result.stderr


def test_a_wrong_password_ends_it_with_one_line_and_shows_nowhere(mosquitto: Mosquitto, tmp_path: Path) -> None:
    strict = Mosquitto(tmp_path, f"password_file {passwords(tmp_path)}", anonymous=False)
    strict.start()
    right = {"EMOTRACK_MQTT_USERNAME": "ana", "EMOTRACK_MQTT_PASSWORD": "secret"}
    command = ("--mqtt", strict.url, "--asr", "none")
    wrong = TrackerProcess(tmp_path, "wrong", *command, env=right | {"EMOTRACK_MQTT_PASSWORD": "guess"})
    try:
        assert wrong.process.wait(timeout=120) == 1
        assert wrong.notices[-1] == f"emotrack: mqtt://127.0.0.1:{strict.port}: refuses the user name or password"
        tracker = TrackerProcess(tmp_path, "right", *command, env=right)
        try:
            tracker.wait_until_ready()
            listed = Path(f"/proc/{tracker.process.pid}/cmdline").read_text()
            assert strict.url in listed
            assert tracker.interrupt() == 0
        finally:
            tracker.kill()
        published = emotrack(*FILE, "--publish", strict.url)
        fails(published, 1, "refuses the user name or password")
        assert len([event for event in events(published.stdout) if event["type"] == "turn"]) >= len(TRUTH)
        said = "\n".join([*wrong.notices, *tracker.notices, published.stderr, listed, strict.log.read_text()])
        assert "secret" not in said
        assert "guess" not in said
    finally:
        wrong.kill()
        strict.stop()


def test_a_broker_that_is_not_there_is_waited_for(mosquitto: Mosquitto, tmp_path: Path) -> None:
    mosquitto.stop()
    tracker = TrackerProcess(tmp_path, "tracker", "--mqtt", mosquitto.url, "--asr", "none")
    try:
        deadline = time.monotonic() + 120
        while not any("cannot be reached (Connection refused); trying again" in line for line in tracker.notices):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not any("ready in" in line for line in tracker.notices)
        mosquitto.start()
        tracker.wait_until_ready()
        assert tracker.interrupt() == 0
    finally:
        tracker.kill()


def test_a_recording_is_tracked_though_nobody_can_be_told(tmp_path: Path) -> None:
    result = emotrack(*FILE, "--publish", "mqtt://127.0.0.1:1/")  # where no broker is
    assert result.returncode == 1
    assert "cannot be reached" in result.stderr
    last = result.stderr.splitlines()[-1]
    assert re.fullmatch(r"emotrack: mqtt://127\.0\.0\.1:1: none of \d+ messages could be delivered", last)
    assert len([event for event in events(result.stdout) if event["type"] == "turn"]) >= len(TRUTH)


def test_sites_that_nobody_can_be_told_of_end_in_failure(mosquitto: Mosquitto, tmp_path: Path) -> None:
    nowhere = ("--publish", "mqtt://127.0.0.1:1/")
    tracker = TrackerProcess(tmp_path, "tracker", "--mqtt", mosquitto.url, *nowhere, "--asr", "none")
    try:
        tracker.wait_until_ready()
        sender = Sender(mosquitto.port, "kitchen")
        for frame in frames(1.0):
            sender.publish("hermes/audioServer/kitchen/audioFrame", frame)
        sender.close()
        deadline = time.monotonic() + 30
        while not any("kitchen: listening" in line for line in tracker.notices):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert tracker.interrupt() == 1
    finally:
        tracker.kill()
    assert tracker.notices[-1] == "emotrack: mqtt://127.0.0.1:1: nothing could be delivered"


@pytest.mark.parametrize("fast", [True, False])
def test_a_broker_that_will_never_do_is_told_at_once_and_makes_a_failure(fast: bool, tmp_path: Path) -> None:
    """However short the recording, which is tracked all the same."""
    short = tmp_path / "short.wav"
    short.write_bytes(wav(np.zeros(8000, np.float32)))
    file = ("live", "--file", short, "--asr", "none", *(["--fast"] if fast else []))
    with FakeBroker(connack(0x84)) as broker:
        result = emotrack(*file, "--publish", broker.url)
    assert result.returncode == 1
    reason = f"emotrack: {broker.url.rstrip('/')}: does not speak MQTT 5"
    told = [line for line in result.stderr.splitlines() if broker.url.rstrip("/") in line]
    assert told == [f"{reason}; the session goes on without it", reason]
    assert events(result.stdout)[-1]["type"] == "session_ended"


def test_sites_end_at_once_where_the_broker_will_never_do() -> None:
    with FakeBroker(connack(0x9B)) as broker:
        result = emotrack("live", "--mqtt", broker.url, "--asr", "none")
    fails(result, 1, "takes no messages of QoS 1")


def test_no_commands_are_taken_where_they_are_off(mosquitto: Mosquitto, tmp_path: Path) -> None:
    command = (
        *VOICE_ALONE,
        "--publish",
        mosquitto.url,
        "--commands",
        "off",
    )
    got: list[Message] = []

    async def run() -> TrackerProcess:
        person = Connection(
            read(mosquitto.url), "person", on_message=got.append, subscriptions=[("emotrack/+/turn", 1)]
        )
        running = asyncio.create_task(person.run())
        await until(lambda: person.connected)
        tracker = TrackerProcess(tmp_path, "tracker", *command)
        try:
            await until(lambda: got, 40)
            person.publish(Message("emotrack/default/cmd/stop", b"", qos=1))
            await until(lambda: not person.waiting)
            before = len(got)
            await until(lambda: len(got) > before)
            assert tracker.interrupt() == 0
        finally:
            tracker.kill()
        await person.close()
        await running
        return tracker

    tracker = asyncio.run(asyncio.wait_for(run(), 120))
    assert any("Commands over MQTT are off" in line for line in tracker.notices)


def test_the_example_microphone(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """It plays no more than may wait for the tracker: a busy machine is late, but loses nothing."""
    seconds = MAX_WAITING_S - 2.1  # two seconds of silence follow
    played = tmp_path / "played.wav"
    played.write_bytes(wav(samples()[: round(seconds * SAMPLE_RATE)].mean(axis=1)))
    got: list[Message] = []
    tracker = TrackerProcess(tmp_path, "tracker", "--mqtt", mosquitto.url, "--asr", "none", "--topics", "minimal")

    def heard_s(start_s: float, end_s: float) -> float:
        """How much of a stretch is in turns."""
        turns = [turn for message in got if not (turn := json.loads(message.payload))["revision"]]
        return sum(max(0.0, min(end_s, turn["end_s"]) - max(start_s, turn["start_s"])) for turn in turns)

    async def run() -> None:
        person = Connection(
            read(mosquitto.url), "person", on_message=got.append, subscriptions=[("emotrack/+/turn", 1)]
        )
        running = asyncio.create_task(person.run())
        await asyncio.to_thread(tracker.wait_until_ready)
        script = AUDIO.parent / "mqtt_microphone.py"
        playing = await asyncio.create_subprocess_exec(
            sys.executable, str(script), str(played), "--broker", f"127.0.0.1:{mosquitto.port}", "--speed", "6"
        )
        assert await playing.wait() == 0
        for line in TRUTH[:2]:
            start, end = line["start"], min(line["end"], seconds)
            await until(lambda start=start, end=end: heard_s(start, end) > 0.9 * (end - start), 60)  # type: ignore[misc]
        assert {message.topic for message in got} == {"emotrack/kitchen/turn"}
        await person.close()
        await running

    try:
        asyncio.run(asyncio.wait_for(run(), 120))
        assert tracker.interrupt() == 0
    finally:
        tracker.kill()
