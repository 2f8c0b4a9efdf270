"""The AsyncAPI document of the page's WebSockets: current, and whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

import emotrack.tracker.web.asyncapi
from emotrack.tracker.web.asyncapi import as_json, document
from emotrack.tracker.web.messages import SENT, MessageError, Wish, read_audio_format, read_enter, read_wish

ROOT = Path(__file__).parents[3]


def test_the_file_is_current() -> None:
    file = Path(emotrack.tracker.web.asyncapi.__file__).with_name("asyncapi.json")
    assert file.read_text(encoding="utf-8") == as_json(), "run make schema"


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        found = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return found + [each for value in part.values() for each in references(value)]
    return [each for value in part for each in references(value)] if isinstance(part, list) else []


def test_every_reference_leads_somewhere() -> None:
    whole = document()
    for reference in references(whole):
        part = whole
        for key in reference.removeprefix("#/").split("/"):
            part = part[key]
        assert part, reference


def test_every_message_is_sent_or_received() -> None:
    whole = document()
    for name, channel in whole["channels"].items():
        operated = {
            reference["$ref"].rpartition("/")[2]
            for operation in whole["operations"].values()
            if operation["channel"]["$ref"].endswith(f"/{name}")
            for reference in operation["messages"]
        }
        assert operated == set(channel["messages"])
    wishes = {wish.__name__ for wish in get_args(get_args(Wish)[0])}
    assert set(whole["channels"]["events"]["messages"]) == {message.__name__ for message in SENT} | wishes | {"Enter"}


def test_the_messages_that_the_document_shows_are_taken() -> None:
    shown = [text.partition("```")[0] for text in (ROOT / "docs" / "web.md").read_text().split("```json\n")[1:]]
    enter, audio = shown
    assert read_enter(enter).last_event is None
    assert read_audio_format(audio).rate == json.loads(audio)["rate"]
    for wish in ("rename", "correct", "mark", "pause", "stop"):
        with pytest.raises(MessageError) as refused:
            read_wish(json.dumps({"type": wish, "more": 0}))
        assert "expected tags" not in str(refused.value)
