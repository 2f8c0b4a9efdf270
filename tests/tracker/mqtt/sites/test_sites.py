"""Many microphones, one tracker, a real broker: who is heard, who is told, and who disturbs whom."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotrack.models.context import EmotionEstimate, Revision
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.tracker.audio import FRAME_SAMPLES
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.sites import absent, open_sites, site_source
from emotrack.tracker.understanding.engine import Engine
from tests.tracker.kitchen_table import TRUTH
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.house import House, saved
from tests.tracker.mqtt.microphones import frames, wav
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.waiting import until
from tests.tracker.scripted import ScriptedRecogniser

KITCHEN = "hermes/audioServer/kitchen/audioFrame"
THREE_LINES_S = 11.2


class Parrot(ScriptedRecogniser):
    """A recogniser that always hears the same."""

    name = "parrot"


@pytest.fixture(scope="module")
def engine(network: EmotionNetwork) -> Iterator[Engine]:
    engine = Engine(network, None)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def three_lines() -> list[bytes]:
    return frames(THREE_LINES_S)


def live(house: House, story: Callable[[House], Awaitable[None]]) -> House:
    async def run() -> None:
        async with house.running():
            await story(house)

    asyncio.run(asyncio.wait_for(run(), 120))
    return house


def test_each_site_is_a_conversation_of_its_own(mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes]) -> None:
    async def story(house: House) -> None:
        raw = [frame[44:] for frame in three_lines]
        form = "audio/x-raw;format=S16LE;rate=16000;channels=1"

        async def say_raw() -> None:
            for number, pcm in enumerate(raw):
                message = Message(
                    "emotrack/living%20room/audio", pcm, content_type=form, user=(("sample", f"{512 * number}"),)
                )
                await house.play(message, 0.004)
                await house.until_heard("living room")

        await asyncio.gather(
            house.say(KITCHEN, three_lines),
            say_raw(),
            house.say("hermes/audioServer/hall/abc/audioSessionFrame", three_lines),
        )
        for site in ("kitchen", "living%20room", "hall"):
            await until(lambda site=site: len(house.turns(site)) == 3)  # type: ignore[misc]

    house = live(House(mosquitto, engine), story)
    for level, site in (("kitchen", "kitchen"), ("living%20room", "living room"), ("hall", "hall")):
        turns = house.turns(level)
        assert [turn["turn_id"] for turn in turns] == [1, 2, 3]
        assert {turn["site"] for turn in turns} == {site}
        assert len({turn["session"] for turn in turns}) == 1
        for turn, line in zip(turns, TRUTH, strict=False):
            assert turn["start_s"] == pytest.approx(line["start"], abs=0.35)
        assert house.on(f"emotrack/{level}/session")[0]["type"] == "session_started"
        assert house.on(f"emotrack/{level}/session", "session_ended")[0]["turns"] == 3
        assert house.status(level) == [b"online", b"offline"]
        assert house.on(f"emotrack/{level}/state")[-1]["turn_id"] == 3
        assert {vad["speaking"] for vad in house.on(f"emotrack/{level}/vad")} == {True, False}
    assert not house.on("emotrack/kitchen/error")


def test_hermes_opens_closes_and_gets_its_words(
    mosquitto: Mosquitto, network: EmotionNetwork, three_lines: list[bytes]
) -> None:
    engine = Engine(network, Parrot())

    async def story(house: House) -> None:
        house.tell("hermes/asr/startListening", {"siteId": "kitchen", "sessionId": "s1", "wakewordId": None})
        await until(lambda: house.on("emotrack/kitchen/session"))
        await house.say(KITCHEN, three_lines)
        await until(lambda: len(house.on("hermes/asr/textCaptured")) == 3)
        house.tell("hermes/asr/stopListening", {"siteId": "kitchen", "sessionId": "another"})
        await asyncio.sleep(0.3)
        assert not house.on("emotrack/kitchen/session", "session_ended")
        house.tell("hermes/asr/stopListening", {"siteId": "kitchen", "sessionId": "s1"})
        await until(lambda: house.status("kitchen")[-1] == b"offline")
        await house.say(KITCHEN, three_lines[:100])
        await asyncio.sleep(0.3)
        assert len(house.on("emotrack/kitchen/session", "session_started")) == 1  # audio alone opens it no more
        house.tell("hermes/asr/startListening", {"siteId": "kitchen", "sessionId": "s2"})
        await until(lambda: len(house.on("emotrack/kitchen/session", "session_started")) == 2)

    house = live(House(mosquitto, engine), story)
    engine.close()
    assert [
        (captured["text"], captured["siteId"], captured["sessionId"])
        for captured in house.on("hermes/asr/textCaptured")
    ] == [("Good morning.", "kitchen", "s1")] * 3
    assert house.on("emotrack/kitchen/session", "session_ended")[0]["reason"] == "stopped"


def test_a_revision_is_published_and_its_words_are_captured_once(
    mosquitto: Mosquitto, network: EmotionNetwork, three_lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn makes the one before it sound as it does itself."""
    score = ConversationScorer.update_batch

    def revising(*of: Any) -> list[tuple[EmotionEstimate, list[Revision]]]:
        return [(estimate, [Revision(1, estimate)]) for estimate, _ in score(*of)]

    monkeypatch.setattr(ConversationScorer, "update_batch", revising)
    engine = Engine(network, Parrot())

    async def story(house: House) -> None:
        house.tell("hermes/asr/startListening", {"siteId": "kitchen", "sessionId": "s1"})
        await until(lambda: house.on("emotrack/kitchen/session"))
        await house.say(KITCHEN, three_lines)
        await until(lambda: len(house.on("emotrack/kitchen/turn")) == 5)

    house = live(House(mosquitto, engine), story)
    engine.close()
    sent = house.on("emotrack/kitchen/turn")
    assert [(turn["turn_id"], turn["revision"]) for turn in sent] == [(1, 0), (2, 0), (1, 1), (3, 0), (2, 1)]
    assert sent[2]["probabilities"] == sent[1]["probabilities"]
    assert len({dict(m.user)["id"] for m in house.got if m.topic == "emotrack/kitchen/turn"}) == 5
    state = house.on("emotrack/kitchen/state")[-1]
    assert (state["turn_id"], state["revision"], state["turns"]) == (3, 0, 3), "an earlier turn stays an earlier turn"
    assert len(house.on("hermes/asr/textCaptured")) == 3
    (end,) = house.on("emotrack/kitchen/session", "session_ended")
    assert end["turns"] == 3


def test_commands_and_their_replies(
    mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes], tmp_path: Path
) -> None:
    async def story(house: House) -> None:
        assert (await house.ask("emotrack/kitchen/cmd/reset", {}))["error"] == "the site has no session"
        assert (await house.ask("emotrack/kitchen/cmd/start", b""))["ok"]
        await house.say(KITCHEN, three_lines)
        await until(lambda: len(house.turns("kitchen")) == 3)
        session = house.turns("kitchen")[0]["session"]

        reply = await house.ask("emotrack/kitchen/cmd/label", {"turn_id": 2, "emotion": "happy"})
        assert (reply["ok"], reply["command"], reply["session"]) == (True, "label", session)
        for wrong, says in (
            ({"turn_id": 9, "emotion": "joy"}, "no turn 9"),
            ({"turn_id": 2, "emotion": "hungry"}, "the emotions are"),
            ({"turn_id": 2, "emotion": "joy", "session": "another"}, "not the running session"),
            ({"turn_id": 2}, "emotion"),
            (b"[" * 4000, "deep"),
            (b"{}" * 4000, "bytes"),
        ):
            reply = await house.ask("emotrack/kitchen/cmd/label", wrong)
            assert not reply["ok"]
            assert says in reply["error"]
        house.tell("emotrack/kitchen/cmd/dance", {})

        assert (await house.ask("emotrack/kitchen/cmd/pause", {"paused": True}))["ok"]
        await house.say(KITCHEN, three_lines)
        await asyncio.sleep(0.3)
        assert len(house.turns("kitchen")) == 3
        assert (await house.ask("emotrack/kitchen/cmd/pause", {}))["ok"]
        assert (await house.ask("emotrack/kitchen/cmd/reset", {}))["ok"]
        await until(lambda: house.on("emotrack/kitchen/state")[-1]["emotion"] is None)
        await house.say(KITCHEN, three_lines)
        await until(lambda: len(house.turns("kitchen")) == 6)
        assert (await house.ask("emotrack/kitchen/cmd/stop", {}))["ok"]
        await until(lambda: house.status("kitchen")[-1] == b"offline")

    house = live(House(mosquitto, engine, save=tmp_path / "talk.jsonl"), story)
    turns = house.turns("kitchen")
    assert "context" not in (turns[3]["why"] or {}) or turns[3]["why"]["context"] == 0  # forgotten
    errors = house.on("emotrack/kitchen/error")
    assert {error["code"] for error in errors} == {"bad_command"}
    corrections = [event for event in saved(tmp_path, "kitchen") if event["type"] == "correction"]
    assert [(event["turn_id"], event["emotion"]) for event in corrections] == [(2, "joy")]
    assert [event["type"] for event in saved(tmp_path, "kitchen")].count("turn") == 6


def test_what_cannot_be_used_is_answered_and_counted_and_the_session_goes_on(
    mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes]
) -> None:
    random = np.random.default_rng(1)
    bad: list[bytes] = [b"", b"RIFF", three_lines[0][:30], bytes(300_000), b'{"a":' * 5000]
    for _ in range(2000):
        frame = bytearray(three_lines[int(random.integers(len(three_lines)))])
        for place in random.integers(0, 44, size=8):
            frame[place] = int(random.integers(256))
        bad.append(bytes(frame))

    async def story(house: House) -> None:
        await house.say(KITCHEN, three_lines[:180])
        for payload in bad:
            house.person.publish(Message(KITCHEN, payload))
            house.person.publish(Message("emotrack/kitchen/audio", payload, content_type="audio/ogg"))
            house.person.publish(Message("emotrack/kitchen/cmd/label", payload[:200]))
            house.tell("hermes/asr/startListening", payload[:500]) if len(payload) % 7 == 0 else None
            await asyncio.sleep(0)
            await until(lambda: house.person.outbox.lossy_waiting < 30)
        house.tell("hermes/asr/startListening", b'{"siteId": ' + b"[" * 20_000)
        await until(lambda: house.on("emotrack/default/error"))
        await asyncio.sleep(0.5)
        house.tell("hermes/asr/startListening", {"siteId": 7})
        house.person.publish(Message("hermes/audioServer/" + "n" * 60_000 + "/audioFrame", b"RIFF"))
        await until(
            lambda: any(error["code"] == "too_large" and error["site"] == "n" * 256 for error in house.errors())
        )
        turns = len(house.turns("kitchen"))
        await house.say(KITCHEN, three_lines)
        await until(lambda: len(house.turns("kitchen")) >= turns + 2)
        await until(lambda: house.on("emotrack/kitchen/metrics"))
        await asyncio.sleep(1.1)
        house.person.publish(Message(KITCHEN, b"RIFF"))
        await until(lambda: house.on("emotrack/kitchen/error")[-1]["count"] > 1000)

    house = live(House(mosquitto, engine), story)
    assert len(house.on("emotrack/kitchen/session", "session_started")) == 1
    codes = {error["code"] for error in house.on("emotrack/kitchen/error")}
    assert codes >= {"bad_audio", "too_large", "unsupported_format", "bad_command"}
    assert len(house.on("emotrack/kitchen/error")) < 100  # counted, not all told
    assert all(error["recoverable"] and len(error["message"]) < 301 for error in house.errors())


def test_no_more_sites_than_allowed(mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes]) -> None:
    async def story(house: House) -> None:
        for site in ("one", "two", "three"):
            await house.say(f"hermes/audioServer/{site}/audioFrame", three_lines[:5])
        await until(lambda: house.on("emotrack/three/error"))
        house.tell("emotrack/one/cmd/stop", {})
        await until(lambda: house.status("one")[-1:] == [b"offline"])
        await asyncio.sleep(0.2)
        await house.say("hermes/audioServer/three/audioFrame", three_lines[:5])
        await until(lambda: house.status("three"))

    house = live(House(mosquitto, engine, max_sites=2), story)
    assert house.on("emotrack/three/error")[0]["code"] == "too_many_sites"
    assert not house.on("emotrack/two/error")


def test_only_the_sites_that_are_wanted_get_a_place(
    mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes]
) -> None:
    async def story(house: House) -> None:
        for number in range(70):
            await house.say(f"hermes/audioServer/invented{number}/audioFrame", three_lines[:2])
            house.tell(f"emotrack/made-up-{number}/cmd/start", {})
            house.tell("hermes/asr/startListening", {"siteId": f"dreamt {number}"})
        await house.say(KITCHEN, three_lines[:5])
        await house.say("hermes/audioServer/floor 2/audioFrame", three_lines[:5])
        await until(lambda: house.status("kitchen") and house.status("floor%202"))

    house = live(House(mosquitto, engine, max_sites=2, only=("kitchen", "floor ?")), story)
    sites = {message.topic.split("/")[1] for message in house.got if message.topic.startswith("emotrack/")}
    assert {site for site in sites if not site.startswith(("_", "made-up"))} == {"kitchen", "floor%202"}
    assert not house.errors()


def test_a_site_where_nobody_has_spoken_makes_room_and_one_where_somebody_has_does_not(
    mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_sites, "SILENT_S", 0.5)
    silence = wav(np.zeros(FRAME_SAMPLES, np.float32))

    async def story(house: House) -> None:
        await house.say(KITCHEN, three_lines[:150])
        await until(lambda: house.turns("kitchen"))
        for name in ("quiet", "paused"):
            await house.say(f"hermes/audioServer/{name}/audioFrame", [silence] * 10)
            await until(lambda name=name: house.status(name))  # type: ignore[misc]
        assert (await house.ask("emotrack/paused/cmd/pause", {"paused": True}))["ok"]
        await house.say("hermes/audioServer/hall/audioFrame", [silence] * 10)
        await until(house.errors)  # too soon
        await asyncio.sleep(0.5)
        await house.say("hermes/audioServer/hall/audioFrame", three_lines[:150])
        await until(lambda: house.turns("hall"))
        assert house.status("quiet") == [b"online", b"offline"]
        assert house.status("paused") == house.status("kitchen") == house.status("hall") == [b"online"]
        await house.say("hermes/audioServer/quiet/audioFrame", [silence] * 10)
        await until(lambda: house.on("emotrack/quiet/error"))

    house = live(House(mosquitto, engine, max_sites=3), story)
    assert {error["code"] for error in house.errors()} == {"too_many_sites"}
    assert house.on("emotrack/quiet/session", "session_ended")[0]["reason"] == "displaced"


def test_a_second_tracker_of_the_same_sites_is_told_and_leaves_them_alone(
    mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absent, "ASK_AGAIN_S", 1.0)
    second = House(mosquitto, engine, worker="second")

    async def story(house: House) -> None:
        await house.say(KITCHEN, three_lines[:100])
        await until(lambda: house.status("kitchen"))
        running = asyncio.create_task(second.serve())
        await until(lambda: second.sites.connection.connected)
        await house.say(KITCHEN, three_lines)
        await until(lambda: house.on("emotrack/kitchen/error"))
        await until(lambda: len(house.turns("kitchen")) >= 3)
        assert len({turn["session"] for turn in house.turns("kitchen")}) == 1
        house.tell("emotrack/kitchen/cmd/stop", {})
        await until(lambda: house.status("kitchen")[-1] == b"offline")
        await asyncio.sleep(1.0)
        await house.say(KITCHEN, three_lines[:100])
        await until(lambda: "kitchen" in second.sites.open.sites)  # which did not hear of the stop: it was not its own
        second.sites.stop("interrupted")
        await asyncio.wait_for(running, 20)

    house = live(House(mosquitto, engine), story)
    (error,) = house.on("emotrack/kitchen/error")
    assert error["code"] == "served_elsewhere"
    assert "site kitchen is served by another tracker, worker" in error["message"]
    assert error["message"] in second.notices
    assert "kitchen: listening" in house.notices


def test_a_site_is_forgotten_and_stays_closed(mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes]) -> None:
    late: list[Message] = []

    async def story(house: House) -> None:
        await house.say(KITCHEN, three_lines)
        await until(lambda: len(house.turns("kitchen")) == 3)
        house.person.publish(Message("emotrack/kitchen/speaker/Ana/state", b"{}", qos=1, retain=True))  # after a crash
        assert (await house.ask("emotrack/kitchen/cmd/forget", {}))["ok"]
        await until(lambda: "kitchen: forgotten" in house.notices)
        await house.say(KITCHEN, three_lines[:20])
        await asyncio.sleep(0.3)
        latecomer = Connection(read(mosquitto.url), "late", on_message=late.append, subscriptions=[("#", 1)])
        running = asyncio.create_task(latecomer.run())
        await until(lambda: latecomer.connected)
        await asyncio.sleep(0.3)
        await latecomer.close()
        await running
        assert (await house.ask("emotrack/kitchen/cmd/start", {}))["ok"]
        await until(lambda: len(house.on("emotrack/kitchen/session", "session_started")) == 2)

    house = live(House(mosquitto, engine), story)
    assert [message.topic for message in late if message.retain] == []
    device = [message for message in house.got if message.topic == "homeassistant/device/emotrack_kitchen/config"]
    assert [bool(message.payload) for message in device] == [True, False, True]


def test_a_dead_microphone_and_a_pause_are_told_at_once(
    mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_source, "STALL_S", 0.3)

    def source(house: House) -> tuple[bool, bool]:
        latest = house.on("emotrack/kitchen/source")[-1]
        return latest["lost"], latest["paused"]

    async def story(house: House) -> None:
        await house.say(KITCHEN, three_lines[:50])
        await until(lambda: house.on("emotrack/kitchen/session", "source_lost"))
        await until(lambda: source(house) == (True, False), 1.0)
        await house.say(KITCHEN, three_lines[:50])
        await until(lambda: any(not told["lost"] for told in house.on("emotrack/kitchen/source")[2:]))
        assert (await house.ask("emotrack/kitchen/cmd/pause", {"paused": True}))["ok"]
        await until(lambda: source(house)[1], 1.0)

    house = live(House(mosquitto, engine), story)
    first = house.on("emotrack/kitchen/source")[0]
    assert (first["lost"], first["paused"]) == (False, False)
    assert house.status("kitchen") == [b"online", b"offline"]  # a lost microphone is no lost tracker


def test_the_status_is_the_sites_and_no_stray_will_says_otherwise(mosquitto: Mosquitto, engine: Engine) -> None:
    async def story(house: House) -> None:
        house.tell("emotrack/kitchen/cmd/start", {})
        await until(lambda: house.status("kitchen"))
        house.person.publish(Message("emotrack/kitchen/status", b"offline", qos=1, retain=True))
        await until(lambda: house.status("kitchen") == [b"online", b"offline", b"online"])

    house = live(House(mosquitto, engine), story)
    assert house.status("kitchen")[-1] == b"offline"


def test_a_site_without_audio_is_closed_and_opens_again(
    mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_source, "STALL_S", 0.2)

    async def story(house: House) -> None:
        for sessions in (1, 2):
            await house.say(KITCHEN, three_lines[:150])
            await until(lambda sessions=sessions: house.status("kitchen").count(b"offline") == sessions)  # type: ignore[misc]
            await asyncio.sleep(0.2)
            assert not house.sites.open.sites

    house = live(House(mosquitto, engine, idle_s=0.6), story)
    ended = house.on("emotrack/kitchen/session", "session_ended")
    assert [event["reason"] for event in ended] == ["end_of_source"] * 2
    assert [event["turns"] for event in ended] == [2, 2]  # the line that broke off is finished
    assert house.on("emotrack/kitchen/session", "source_lost")


def test_a_site_that_floods_does_not_slow_the_others(
    mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes]
) -> None:
    async def story(house: House) -> None:
        is_done = False

        async def flood() -> None:
            for frame in cycle(three_lines[:20]):  # as many as the connection takes
                if is_done:
                    return
                await house.play(Message("hermes/audioServer/flood/audioFrame", frame), 0.0)

        flooding = asyncio.create_task(flood())
        began = time.monotonic()
        await house.say(KITCHEN, three_lines, speed=3.0)
        took_s = time.monotonic() - began
        await until(lambda: len(house.turns("kitchen")) == 3)
        is_done = True
        await flooding
        assert took_s < THREE_LINES_S

    house = live(House(mosquitto, engine), story)
    turns = house.turns("kitchen")
    assert max(turn["latency_ms"]["after_end"] for turn in turns) < 2000
    ended = house.on("emotrack/kitchen/session", "session_ended")[0]
    assert (ended["dropped_frames"], ended["dropped_turns"]) == (0, 0)
    assert house.on("emotrack/flood/session", "session_ended")  # what of the flood is dropped depends on the machine


def test_no_words_where_none_are_wanted_and_discovery_comes_again(
    mosquitto: Mosquitto, network: EmotionNetwork, three_lines: list[bytes]
) -> None:
    engine = Engine(network, Parrot())

    async def story(house: House) -> None:
        house.tell("hermes/asr/startListening", {"siteId": "kitchen"})
        await house.say(KITCHEN, three_lines)
        await until(lambda: len(house.turns("kitchen")) == 3)
        config = "homeassistant/device/emotrack_kitchen/config"
        assert len(house.on(config)) == 1
        house.tell("homeassistant/status", b"online")
        await until(lambda: len(house.on(config)) == 2)

    house = live(House(mosquitto, engine, with_text=False), story)
    engine.close()
    assert {turn["text"] for turn in house.turns("kitchen")} == {None}
    assert "Good morning" not in "".join(message.payload.decode() for message in house.got)
    assert not house.on("hermes/asr/textCaptured")


def test_audio_from_topics_of_ones_own(mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes]) -> None:
    async def story(house: House) -> None:
        await house.say("sensors/cellar/mic/left", three_lines[:150])
        await house.say(KITCHEN, three_lines[:10])
        await until(lambda: house.status("cellar"))

    house = live(House(mosquitto, engine, audio_topic="sensors/+/mic/#"), story)
    assert not house.status("kitchen")


def properties_of(message: Message) -> dict[str, Any]:
    return dict(message.user)


def test_turns_carry_their_properties(mosquitto: Mosquitto, engine: Engine, three_lines: list[bytes]) -> None:
    async def story(house: House) -> None:
        await house.say(KITCHEN, three_lines[:130])
        await until(lambda: house.turns("kitchen"))

    house = live(House(mosquitto, engine), story)
    (message,) = [message for message in house.got if message.topic == "emotrack/kitchen/turn"]
    turn = json.loads(message.payload)
    assert (message.content_type, message.is_text, message.qos, message.retain) == ("application/json", True, 1, False)
    assert message.expiry_s
    assert properties_of(message)["id"] == f"{turn['session']}/1/0"
    assert properties_of(message)["type"] == "emotrack.turn"
