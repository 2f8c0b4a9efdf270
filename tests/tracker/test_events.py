"""The events' format: the schema file is current, and JSON comes out as promised."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import emotrack.tracker.events
from emotrack.tracker.events import EVENT, Latency, Turn, json_schema, to_json
from emotrack.tracker.session.event_making import versions

TURN: dict[str, Any] = {
    "site": "default",
    "session": "s",
    "time": datetime(2026, 1, 2, 4, 5, 6, 789_000, tzinfo=timezone(timedelta(hours=1))),
    "turn_id": 12,
    "start_s": 31.4200001,
    "end_s": 33.9,
    "speaker": None,
    "text": "hello",
    "text_source": "captions",
    "emotion": "joy",
    "confidence": 0.812345,
    "uncertain": False,
    "probabilities": {"joy": 0.812345, "neutral": 0.187655},
    "modalities": ("speech", "text"),
    "truncated": False,
    "latency_ms": Latency(end_of_turn=608, queued=0, recognition=0, encoding=20.55, context=0.3, after_end=21),
}


def test_the_schema_file_is_current() -> None:
    kept = Path(emotrack.tracker.events.__file__).with_name("events.schema.json").read_text()
    assert kept == json_schema(), "run: python -m emotrack.tracker.events > tracker/events.schema.json"


def test_a_turn_as_json() -> None:
    line = to_json(Turn(**TURN))
    assert "\n" not in line
    assert line.startswith('{"type":"turn","schema":1,"site":"default"')
    event = json.loads(line)
    assert event["time"] == "2026-01-02T03:05:06.789Z"
    assert event["start_s"] == 31.42
    assert event["confidence"] == 0.8123
    assert event["speaker"] is None
    assert event["revision"] == 0
    assert set(event) == {
        *("type", "schema", "site", "session", "time", "turn_id", "revision", "start_s", "end_s", "speaker", "text"),
        *("text_source", "text_rejected", "emotion", "confidence", "uncertain", "probabilities", "modalities"),
        *("why", "audio", "truncated", "latency_ms", "overlap", "doubt", "valence", "arousal"),
    }


def test_an_event_survives_the_way_through_json() -> None:
    event = Turn(**TURN)
    assert EVENT.validate_json(to_json(event)) == EVENT.validate_json(to_json(EVENT.validate_json(to_json(event))))
    assert EVENT.validate_json(to_json(event)).time == datetime(2026, 1, 2, 3, 5, 6, 789_000, tzinfo=UTC)


@pytest.mark.parametrize("wrong", [{"modalities": ()}, {"confidence": 1.2}, {"turn_id": 0}, {"emotions": "joy"}])
def test_what_no_turn_can_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Turn(**{**TURN, **wrong})


def test_a_package_that_this_platform_has_not_is_left_out_of_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "emotrack.tracker.session.event_making._VERSIONS_OF", ("emotrack", "no-wheel-for-this-platform")
    )
    assert list(versions.__wrapped__()) == ["emotrack"]  # past its cache
