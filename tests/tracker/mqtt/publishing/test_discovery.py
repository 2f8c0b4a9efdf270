"""Home Assistant's discovery: by its rules, and templates that read what is really sent."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.channels import to_message
from emotrack.tracker.mqtt.format.payloads import SourceState, State, Vad
from emotrack.tracker.mqtt.publishing.discovery import discovery
from emotrack.tracker.mqtt.publishing.state import SiteState
from tests.tracker.dashboard.made_up import HEAD, LABELS, started, turn
from tests.tracker.mqtt.home_assistant import problems


def announced(site: str = "kitchen", **options: Any) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(discovery(site, LABELS, "mini", "0.1.0", **options).payload)
    return payload


def found(payload: dict[str, Any]) -> list[str]:
    return problems(topics.discovery("kitchen"), payload, retained=True)


@given(st.text(min_size=1, max_size=300))
def test_every_site_is_announced_by_the_rules(site: str) -> None:
    message = discovery(site, LABELS, "mini", "0.1.0")
    assert problems(message.topic, json.loads(message.payload), retained=message.retain) == []
    assert message.expiry_s is None, "it is valid until it is replaced"


def test_there_is_an_entity_for_everything_that_was_promised() -> None:
    turn, room = {"emotion", "confidence", "valence", "arousal", "speaker"}, {"mood", "paused", "speaking"}
    assert set(announced()["components"]) == turn | room
    assert announced()["components"]["emotion"]["options"] == [*LABELS, "uncertain"]


def test_where_nothing_is_said_of_voices_the_entity_is_taken_back() -> None:
    payload = announced(with_vad=False)
    assert found(payload) == []
    assert payload["components"]["speaking"] == {"platform": "binary_sensor"}
    assert payload["components"].keys() == announced()["components"].keys()


def test_support_is_the_projects_and_no_entity_chooses_its_own_id() -> None:
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    assert announced()["origin"]["support_url"] == project["urls"]["Homepage"]
    assert "object_id" not in discovery("kitchen", LABELS, "mini", "0.1.0").payload.decode()


def test_sites_do_not_share_an_entity() -> None:
    identifiers = [
        component["unique_id"] for site in ("a b", "a_b", "a/b") for component in announced(site)["components"].values()
    ]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda p: p["components"]["emotion"].pop("options"), "emotion: device_class enum and options go together"),
        (lambda p: p["components"]["mood"].update(state_class="measurement"), "mood: an enum has no state_class"),
        (lambda p: p["components"]["speaker"].update(options=["Ana"]), "speaker: device_class enum and options"),
        (lambda p: p["components"]["mood"].update(unique_id="emotrack_kitchen_emotion"), "unique_id is not unique"),
        (lambda p: p["components"]["mood"].pop("platform"), "mood: platform"),
        (lambda p: p["device"].pop("identifiers"), "device has neither"),
        (lambda p: p["origin"].pop("support_url"), "origin.support_url is missing"),
        (lambda p: p.pop("availability"), "one of availability"),
        (lambda p: p.update(state_topic="emotrack/+/state"), "emotion: state_topic is no topic"),
    ],
)
def test_the_rules_are_rules(change: Any, problem: str) -> None:
    payload = announced()
    change(payload)
    assert any(line.startswith(problem) for line in found(payload)), found(payload)


def rendered(name: str, payload: State | Vad | SourceState) -> str:
    """What Home Assistant makes of a payload; the filters and tests in use are Jinja's own."""
    return read(announced()["components"][name]["value_template"], payload)


def read(template: str, payload: State | Vad | SourceState) -> str:
    return jinja2.Environment(autoescape=True).from_string(template).render(value_json=json.loads(payload.to_json()))


def state(**changes: Any) -> State:
    payload = SiteState("kitchen").apply(turn(1, **changes))[0]
    assert isinstance(payload, State)
    return payload


def test_the_templates_read_a_state() -> None:
    assert rendered("emotion", state(emotion="anger")) == "anger"
    assert rendered("emotion", state(emotion="anger", uncertain=True)) == "uncertain"
    assert rendered("confidence", state(confidence=0.8123)) == "81.2"
    assert rendered("valence", state(valence=-0.5123)) == "-0.51"
    assert rendered("arousal", state(arousal=0.0)) == "0.0"
    assert rendered("arousal", state()) == "None", "unknown: the labels do not tell"
    assert rendered("speaker", state()) == "Ana"
    assert len(rendered("speaker", state(speaker="x" * 256))) <= 255
    assert rendered("mood", state(start_s=0.0, end_s=9.0, probabilities={"fear": 0.9, "joy": 0.1})) == "fear"
    assert rendered("mood", state(start_s=0.0, end_s=7.0)) == "None", "unknown: too little was heard"


def test_before_the_first_turn_everything_is_unknown() -> None:
    (empty,) = SiteState("kitchen").apply(started())
    assert isinstance(empty, State)
    for name in ("emotion", "confidence", "valence", "arousal", "speaker", "mood"):
        assert rendered(name, empty) == "None"


@pytest.mark.parametrize(("speaking", "expected"), [(True, "ON"), (False, "OFF")])
def test_the_template_reads_who_speaks(speaking: bool, expected: str) -> None:
    vad = Vad(**HEAD, at_s=1.0, speaking=speaking, channels=(speaking,), levels_dbfs=(-20.0,))
    assert rendered("speaking", vad) == expected
    assert announced()["components"]["speaking"]["state_topic"] == to_message(vad).topic


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("paused", [True, False])
def test_a_dead_microphone_makes_every_entity_unavailable_and_a_pause_shows(lost: bool, paused: bool) -> None:
    source, payload = SourceState(**HEAD, lost=lost, paused=paused), announced()
    assert payload["availability_mode"] == "all"
    status, microphone = payload["availability"]
    assert status == {"topic": "emotrack/kitchen/status"}
    assert microphone["topic"] == to_message(source).topic
    assert to_message(source).retain
    available = read(microphone["value_template"], source)
    assert available == (payload["payload_not_available"] if lost else payload["payload_available"])
    assert rendered("paused", source) == ("ON" if paused else "OFF")
    assert payload["components"]["paused"]["state_topic"] == to_message(source).topic
