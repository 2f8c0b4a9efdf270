"""How payloads are sent: retained or not, for how long, and what the properties say of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel

from emotrack.tracker.events import Correction, Event
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.channels import CHANNELS, to_deletion, to_message, to_reply, to_status
from emotrack.tracker.mqtt.format.payloads import (
    Hermes,
    HermesError,
    Reply,
    Shift,
    SitePayload,
    SourceState,
    TextCaptured,
    Vad,
)
from tests.tracker.dashboard.made_up import ended, lost, mark, merged, provisional, renamed, restored, started, turn

HEAD: dict[str, Any] = {"site": "kitchen", "session": "s", "time": datetime(2026, 1, 1, 12, 30, tzinfo=UTC)}
SHIFT = Shift(**HEAD, speaker=None, turn_id=3, at_s=9.0, before="joy", after="anger")
VAD = Vad(**HEAD, at_s=4.0, speaking=True, channels=(True,), levels_dbfs=(-20.0,))
TEXT = TextCaptured(text="hello", likelihood=1, seconds=1.0)
CORRECTION = Correction(**HEAD, turn_id=3, emotion="joy")
SENT: tuple[Event | SitePayload | Hermes, ...] = (
    turn(1),
    provisional(3.0, 4.0),
    started(),
    ended(1),
    mark(1.0),
    lost(1.0),
    restored(2.0),
    CORRECTION,
    renamed("speaker 1", "Ana"),
    merged("speaker 2", "Ana"),
    SHIFT,
    SourceState(**HEAD, lost=False, paused=True),
    VAD,
    TEXT,
    HermesError(error="no"),
)


@pytest.mark.parametrize("payload", SENT, ids=lambda payload: type(payload).__name__)
def test_json_is_marked_as_such_and_does_not_live_for_ever(payload: Event | SitePayload | Hermes) -> None:
    message = to_message(payload)
    assert isinstance(json.loads(message.payload), dict)
    assert (message.content_type, message.is_text) == ("application/json", True)
    assert message.expiry_s is not None
    assert message.topic.startswith("emotrack/kitchen/" if not isinstance(payload, Hermes) else "hermes/")


@pytest.mark.parametrize("payload", SENT, ids=lambda payload: type(payload).__name__)
def test_events_carry_the_attributes_of_a_cloud_event(payload: Event | SitePayload | Hermes) -> None:
    attributes = dict(to_message(payload).user)
    if isinstance(payload, Hermes):
        assert attributes == {}, "which knows of no such thing"
        return
    assert list(attributes) == ["specversion", "type", "source", "id", "time"]
    assert attributes["specversion"] == "1.0"
    assert attributes["type"] == f"emotrack.{payload.type}"
    assert urlsplit(attributes["source"]).path == attributes["source"]
    assert datetime.fromisoformat(attributes["time"]) == payload.time
    assert all(attributes.values())


def test_a_turns_id_is_that_of_its_revision_and_what_is_sent_twice_has_one_id() -> None:
    def identity(payload: Event | SitePayload) -> str:
        return dict(to_message(payload).user)["id"]

    assert identity(turn(12, revision=1)) == "s/12/1"
    assert identity(VAD) == identity(VAD)
    assert identity(VAD) != identity(VAD.model_copy(update={"speaking": False}))


def test_a_source_with_any_name_is_a_uri_reference() -> None:
    source = dict(to_message(turn(1).model_copy(update={"site": "Küche 1/2 #"})).user)["source"]
    assert source.isascii()
    assert not set(source) & set(' #?"<>')


def test_only_states_and_what_tells_of_a_session_are_retained() -> None:
    retained = {payload.__name__ for channel in CHANNELS for payload in channel.retained}
    assert retained == {"State", "SpeakerState", "SessionStarted", "SessionEnded", "Snapshot", "SourceState"}
    assert to_message(started()).retain
    assert not to_message(mark(1.0)).retain
    assert not to_message(turn(1)).retain
    assert (to_message(provisional(3.0, 4.0)).retain, to_message(provisional(3.0, 4.0)).qos) == (False, 0)


def test_every_event_has_a_channel() -> None:
    published = {payload for channel in CHANNELS for payload in channel.payloads}
    assert set(get_args(get_args(Event)[0])) <= published


def test_a_payload_belongs_to_one_channel() -> None:
    payloads: list[type[BaseModel]] = [payload for channel in CHANNELS for payload in channel.payloads]
    assert len(payloads) == len(set(payloads))
    assert len({channel.name for channel in CHANNELS}) == len(CHANNELS)


def test_a_reply_goes_where_it_was_asked_to_with_what_it_answers() -> None:
    reply = to_reply(Reply(**HEAD, command="stop", ok=False, error="no session runs"), "my/replies", b"\x01")
    assert (reply.topic, reply.correlation, reply.retain) == ("my/replies", b"\x01", False)
    assert json.loads(reply.payload)["error"] == "no session runs"


def test_a_status_is_plain_retained_and_without_end() -> None:
    message = to_status(topics.status("kitchen"), "offline")
    assert (message.topic, message.payload, message.retain, message.expiry_s) == (
        "emotrack/kitchen/status", b"offline", True, None,
    )  # fmt: skip


def test_a_deletion_is_empty_and_retained() -> None:
    message = to_deletion(topics.speaker_state("kitchen", "Ana"))
    assert (message.payload, message.retain) == (b"", True)
