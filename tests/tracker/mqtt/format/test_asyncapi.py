"""The AsyncAPI document: current, complete, and by the rules of AsyncAPI 3.0.0 and its MQTT bindings 0.2.0."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

import emotrack.tracker.mqtt.format.asyncapi
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.asyncapi import as_json, document
from emotrack.tracker.mqtt.format.channels import CHANNELS
from emotrack.tracker.mqtt.format.payloads import COMMANDS

Json = dict[str, Any]

# Fixed fields of each object: those that must be there, and those that may.
FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "root": ({"asyncapi", "info"}, {"id", "servers", "defaultContentType", "channels", "operations", "components"}),
    "info": ({"title", "version"}, {"description", "termsOfService", "contact", "license", "tags", "externalDocs"}),
    "server": (
        {"host", "protocol"},
        {
            *("protocolVersion", "pathname", "description", "title", "summary", "variables", "security", "tags"),
            *("externalDocs", "bindings"),
        },
    ),
    "channel": (
        set(),
        {
            *("address", "messages", "title", "summary", "description", "servers", "parameters", "tags"),
            *("externalDocs", "bindings"),
        },
    ),
    "parameter": (set(), {"enum", "default", "description", "examples", "location"}),
    "message": (
        set(),
        {
            *("headers", "payload", "correlationId", "contentType", "name", "title", "summary", "description", "tags"),
            *("externalDocs", "bindings", "examples", "traits"),
        },
    ),
    "operation": (
        {"action", "channel"},
        {
            *("title", "summary", "description", "security", "tags", "externalDocs", "bindings", "traits", "messages"),
            "reply",
        },
    ),
    "reply": (set(), {"address", "channel", "messages"}),
    "operation binding": (set(), {"qos", "retain", "messageExpiryInterval", "bindingVersion"}),
    "message binding": (
        set(),
        {"payloadFormatIndicator", "correlationData", "contentType", "responseTopic", "bindingVersion"},
    ),
}
KEY = re.compile(r"[A-Za-z0-9_.-]+")
RUNTIME_EXPRESSION = re.compile(r"\$message\.(header|payload)#(/[^~]*)?")


class Reader:
    """Walks a document and notes what the specification does not allow."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.problems: list[str] = []

    def check(self) -> list[str]:
        document = self.document
        self._fields("root", document, "root")
        self._fields("info", document.get("info", {}), "info")
        if document.get("asyncapi") != "3.0.0":
            self.problems.append("asyncapi: version")
        for name, server in document["servers"].items():
            self._fields("server", server, name)
            if set(re.findall(r"\{(\w+)\}", server["host"])) != set(server.get("variables", {})):
                self.problems.append(f"{name}: variables")
        for name, channel in document["channels"].items():
            self._channel(name, channel)
        for name, operation in document["operations"].items():
            self._operation(name, operation)
        for reference in re.findall(r'"\$ref": "([^"]*)"', json.dumps(document)):
            self._resolve(reference)
        return self.problems

    def _fields(self, kind: str, found: Json, where: str) -> None:
        needed, allowed = FIELDS[kind]
        self.problems += [f"{where}: {kind} lacks {key}" for key in sorted(needed - found.keys())]
        self.problems += [f"{where}: {kind} has no {key}" for key in sorted(found.keys() - needed - allowed)]

    def _resolve(self, reference: str) -> Json | None:
        place: Any = self.document
        for key in reference.removeprefix("#/").split("/"):
            place = place.get(key) if isinstance(place, dict) else None
        if place is None:
            self.problems.append(f"{reference} is nowhere")
        return place

    def _channel(self, name: str, channel: Json) -> None:
        self._fields("channel", channel, name)
        if not KEY.fullmatch(name):
            self.problems.append(f"{name}: key")
        parameters = channel.get("parameters", {})
        if set(re.findall(r"\{(\w+)\}", channel["address"] or "")) != set(parameters):
            self.problems.append(f"{name}: parameters are not those of the address")
        for parameter in parameters.values():
            self._fields("parameter", parameter, name)
        for key, message in channel["messages"].items():
            where = f"{name}.{key}"
            self._fields("message", message, where)
            self._binding("message binding", message.get("bindings", {}), where)
            if message.get("bindings", {}).get("mqtt", {}).get("payloadFormatIndicator", 0) not in {0, 1}:
                self.problems.append(f"{where}: payloadFormatIndicator")
            self._expression(message.get("correlationId"), where)

    def _operation(self, name: str, operation: Json) -> None:
        self._fields("operation", operation, name)
        if operation.get("action") not in {"send", "receive"}:
            self.problems.append(f"{name}: action")
        self._messages(name, operation)
        self._binding("operation binding", operation.get("bindings", {}), name)
        binding = operation.get("bindings", {}).get("mqtt", {})
        if binding.get("qos") not in {0, 1, 2} or not isinstance(binding.get("retain"), bool):
            self.problems.append(f"{name}: qos and retain")
        if not 0 <= binding.get("messageExpiryInterval", 0) <= 2**32 - 1:
            self.problems.append(f"{name}: messageExpiryInterval")
        if reply := operation.get("reply"):
            self._fields("reply", reply, name)
            self._expression(reply["address"], name)
            self._messages(name, reply)
            channel = self._resolve(reply["channel"]["$ref"])
            if channel and channel["address"] is not None:
                self.problems.append(f"{name}: a reply has two addresses")

    def _messages(self, name: str, operation: Json) -> None:
        """An operation's messages are those of its channel, by reference into it."""
        prefix = operation["channel"]["$ref"] + "/messages/"
        self.problems += [
            f"{name}: {message['$ref']} is not the channel's"
            for message in operation["messages"]
            if not message["$ref"].startswith(prefix)
        ]

    def _binding(self, kind: str, bindings: Json, where: str) -> None:
        for protocol, binding in bindings.items():
            self._fields(kind, binding, where)
            if protocol != "mqtt" or binding.get("bindingVersion") != "0.2.0":
                self.problems.append(f"{where}: binding")

    def _expression(self, found: Json | None, where: str) -> None:
        if found is not None and not RUNTIME_EXPRESSION.fullmatch(found["location"]):
            self.problems.append(f"{where}: location")


def test_the_document_is_current() -> None:
    kept = Path(emotrack.tracker.mqtt.format.asyncapi.__file__).with_name("asyncapi.json").read_text()
    assert kept == as_json(), "run: make schema"


def test_the_document_keeps_the_rules() -> None:
    assert Reader(document()).check() == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("asyncapi",), "2.6.0", "asyncapi: version"),
        (("publish",), {}, "root: root has no publish"),
        (("channels", "turn", "address"), "emotrack/{place}/turn", "turn: parameters are not those of the address"),
        (("channels", "turn", "messages", "Turn", "payload", "$ref"), "#/nowhere", "#/nowhere is nowhere"),
        (("channels", "reply", "address"), "replies", "receive_cmd_stop: a reply has two addresses"),
        (("operations", "send_turn", "action"), "publish", "send_turn: action"),
        (
            ("operations", "send_turn", "messages", 0, "$ref"),
            "#/channels/vad/messages/Vad",
            "send_turn: #/channels/vad",
        ),
        (("operations", "send_turn", "bindings", "mqtt", "qos"), 3, "send_turn: qos and retain"),
        (("operations", "send_turn", "bindings", "mqtt", "bindingVersion"), "0.1.0", "send_turn: binding"),
    ],
)
def test_the_rules_are_rules(path: tuple[str | int, ...], value: object, problem: str) -> None:
    broken = copy.deepcopy(document())
    place: Any = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    found = Reader(broken).check()
    assert any(line.startswith(problem) for line in found), found


def test_every_topic_is_described() -> None:
    addresses = {channel["address"] for channel in document()["channels"].values()}
    published = {channel.topic(*(f"{{{name}}}" for name in channel.parameters)) for channel in CHANNELS}
    assert published <= addresses
    assert {topics.command("{site}", command) for command in COMMANDS} <= addresses
    assert {
        *("emotrack/{site}/audio", "emotrack/{site}/status", "hermes/audioServer/{site}/audioFrame"),
        *("hermes/audioServer/{site}/{session}/audioSessionFrame", "hermes/asr/startListening"),
    } <= addresses


def test_what_is_retained_is_told() -> None:
    operations = document()["operations"]
    retained = {name for name, operation in operations.items() if operation["bindings"]["mqtt"]["retain"]}
    assert retained == {
        *("send_state", "send_speaker_state", "send_session_retained", "send_snapshot"),
        *("send_status", "send_source", "send_worker", "send_owner"),
    }


def test_every_payload_has_its_schema_and_the_bounds_are_in_it() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["Turn"]["properties"]["schema"]["const"] == 1
    assert schemas["LabelTurn"]["required"] == ["turn_id", "emotion"]
    assert schemas["NameSpeaker"]["required"] == ["speaker", "name"]
    assert schemas["NameSpeaker"]["properties"]["name"]["maxLength"] == 80
    assert schemas["StartListening"]["properties"]["siteId"]["maxLength"] == 256
    assert "oneOf" not in json.dumps(schemas), "no union needs a discriminator, which AsyncAPI writes differently"
