"""The AsyncAPI 3 document of every topic, generated from the payload classes and the table of channels.

``asyncapi.json`` beside this file is written by ``python -m emotrack.tracker.mqtt.format.asyncapi``. It is AsyncAPI
3.0.0 with the MQTT bindings 0.2.0; the user properties of a message are its headers there.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.channels import CHANNELS, JSON, PLAIN, Channel
from emotrack.tracker.mqtt.format.payloads import COMMANDS, Claim, Hermes, Reply, StartListening, StopListening

_DESCRIPTION: Final = """\
How the people in a room sound, turn by turn. In a topic, `site` and `speaker` are names in which characters that MQTT
reserves or refuses, blanks and `%` are written as `%XX`; the payload has the name as it is. A turn that is sent twice
has the same `turn_id` and `revision` both times. An empty retained payload says that there is nothing any more. Home
Assistant finds the sites by itself, through the retained `homeassistant/device/<id>/config`.
"""
_PARAMETERS: Final = {
    "site": "The name of the site, as one level of a topic.",
    "speaker": "The name of the speaker, as one level of a topic.",
    "session": "The id of the Hermes session.",
    "group": "The name of a group of workers that share sites.",
    "worker": "The name of a worker.",
}
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_WAV: Final = {"wav": "audio/wav"}
_AUDIO_TYPES: Final = _WAV | {"pcm": "audio/x-raw;format=S16LE;rate=16000;channels=1"}
_AUDIO_EXPIRY_S: Final = 2
_STATUS: Final = {"type": "string", "enum": ["online", "offline"]}
_BINDING: Final = {"bindingVersion": "0.2.0"}

Json = dict[str, Any]


def document() -> Json:
    """The whole document."""
    channels: Json = {}
    operations: Json = {}
    for channel in CHANNELS:
        address = channel.topic(*(f"{{{parameter}}}" for parameter in channel.parameters))
        _add(channels, channel.name, address, channel.description, _messages(channel))
        operations |= _sending(channel)
    status = {"status": _plain_message("status", _STATUS)}
    _add(
        channels,
        "status",
        topics.status("{site}"),
        "Whether the site is served, by whichever worker; a Last Will says offline.",
        status,
    )
    operations["send_status"] = _operation("send", "status", ["status"], {"qos": 1, "retain": True})
    _add_group(channels, operations)
    _add_audio(channels, operations)
    _add_commands(channels, operations)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "emotrack",
            "version": "1.0.0",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {"broker": _server()},
        "channels": channels,
        "operations": operations,
        "components": {"schemas": _schemas()},
    }


def as_json() -> str:
    """The document as kept in ``asyncapi.json``."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _server() -> Json:
    return {
        "host": "{host}",
        "protocol": "mqtt",
        "protocolVersion": "5.0",
        "description": "Any broker of MQTT 5, with or without TLS.",
        "variables": {"host": {"default": "localhost:1883", "description": "The broker's host and port."}},
    }


def _add(channels: Json, name: str, address: str, description: str, messages: Mapping[str, Json]) -> None:
    channels[name] = {"address": address, "description": description, "messages": messages}
    if parameters := _PARAMETER.findall(address):
        channels[name]["parameters"] = {parameter: {"description": _PARAMETERS[parameter]} for parameter in parameters}


# -- what the tracker sends ------------------------------------------------------------------------------------------


def _messages(channel: Channel) -> dict[str, Json]:
    return {payload.__name__: _json_message(payload) for payload in channel.payloads}


def _sending(channel: Channel) -> Json:
    """One operation for what the broker retains and one for what it does not, where a channel has both."""
    operations = {}
    for retain in (False, True):
        names = [payload.__name__ for payload in channel.payloads if (payload in channel.retained) == retain]
        if names:
            binding = {"qos": channel.qos, "retain": retain, "messageExpiryInterval": channel.expiry_s}
            suffix = "_retained" if retain and len(names) < len(channel.payloads) else ""
            operations[f"send_{channel.name}{suffix}"] = _operation("send", channel.name, names, binding)
    return operations


def _json_message(payload: type[BaseModel]) -> Json:
    message = {
        "name": payload.__name__,
        "summary": _summary(payload),
        "contentType": JSON,
        "payload": {"$ref": f"#/components/schemas/{payload.__name__}"},
        "bindings": {"mqtt": {"payloadFormatIndicator": 1, **_BINDING}},
    }
    if payload not in {*COMMANDS.values(), Claim} and not issubclass(payload, Hermes):
        message["headers"] = {"$ref": "#/components/schemas/CloudEvent"}
    return message


def _plain_message(name: str, schema: Json) -> Json:
    binding = {"payloadFormatIndicator": 1, **_BINDING}
    return {"name": name, "contentType": PLAIN, "payload": schema, "bindings": {"mqtt": binding}}


def _summary(payload: type[BaseModel]) -> str:
    return (payload.__doc__ or "").strip().partition("\n")[0].replace("``", "`")


def _add_group(channels: Json, operations: Json) -> None:
    """What workers tell each other."""
    worker = {"worker": _plain_message("worker", _STATUS)}
    _add(channels, "worker", topics.worker("{group}", "{worker}"), "Whether a worker is there.", worker)
    operations["send_worker"] = _operation("send", "worker", ["worker"], {"qos": 1, "retain": True})
    echo = {"echo": _plain_message("echo", {"type": "string", "maxLength": 0})}
    _add(
        channels, "echo", topics.echo("{worker}"), "A worker to itself, to know that it has heard what is older.", echo
    )
    operations["send_echo"] = _operation("send", "echo", ["echo"], {"qos": 1, "retain": False})
    claim = {"Claim": _json_message(Claim)}
    _add(channels, "owner", topics.owner("{site}"), "Which worker serves the site, of a group or not.", claim)
    operations["send_owner"] = _operation("send", "owner", ["Claim"], {"qos": 1, "retain": True})


# -- what the tracker listens to -------------------------------------------------------------------------------------


def _add_audio(channels: Json, operations: Json) -> None:
    session_frame = topics.hermes_audio_session_frame("{site}", "{session}")
    for name, address, types, description in (
        ("audio", topics.audio("{site}"), _AUDIO_TYPES, "A microphone's audio, in pieces of any rate and channels."),
        ("audio_frame", topics.hermes_audio_frame("{site}"), _WAV, "Hermes: a microphone's audio, each piece a WAV."),
        ("audio_session_frame", session_frame, _WAV, "Hermes: the same within a session."),
    ):
        payload = {"type": "string", "format": "binary"}
        messages = {key: {"name": key, "contentType": kind, "payload": payload} for key, kind in types.items()}
        _add(channels, name, address, description, messages)
        binding = {"qos": 0, "retain": False, "messageExpiryInterval": _AUDIO_EXPIRY_S}
        operations[f"receive_{name}"] = _operation("receive", name, list(types), binding)


def _add_commands(channels: Json, operations: Json) -> None:
    for name, address, payload in (
        ("start_listening", topics.HERMES_START_LISTENING, StartListening),
        ("stop_listening", topics.HERMES_STOP_LISTENING, StopListening),
    ):
        _add_receiving(channels, operations, name, address, payload)
    correlation = {"location": "$message.header#/correlationData", "description": "As the command had it."}
    channels["reply"] = {
        "address": None,
        "description": "The response topic of a command: `emotrack/NAME/reply/…` with any NAME, and no other.",
        "messages": {"Reply": _json_message(Reply) | {"correlationId": correlation}},
    }
    for command, wish in COMMANDS.items():
        name = f"cmd_{command}"
        _add_receiving(channels, operations, name, topics.command("{site}", command), wish)
        operations[f"receive_{name}"]["reply"] = {
            "address": {"location": "$message.header#/responseTopic", "description": "Answered where there is one."},
            "channel": {"$ref": "#/channels/reply"},
            "messages": [{"$ref": "#/channels/reply/messages/Reply"}],
        }


def _add_receiving(channels: Json, operations: Json, name: str, address: str, payload: type[BaseModel]) -> None:
    _add(channels, name, address, _summary(payload), {payload.__name__: _json_message(payload)})
    operations[f"receive_{name}"] = _operation("receive", name, [payload.__name__], {"qos": 1, "retain": False})


def _operation(action: str, channel: str, messages: list[str], binding: Json) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
        "bindings": {"mqtt": binding | _BINDING},
    }


# -- schemas ---------------------------------------------------------------------------------------------------------


def _schemas() -> Json:
    """The payloads as JSON Schema: as they leave, or as they may come in."""
    sent: list[type[BaseModel]] = [payload for channel in CHANNELS for payload in channel.payloads] + [Claim, Reply]
    heard: list[type[BaseModel]] = [StartListening, StopListening, *COMMANDS.values()]
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(payload, "serialization") for payload in sent]
    models += [(payload, "validation") for payload in heard]
    _, schema = models_json_schema(models, by_alias=True, ref_template="#/components/schemas/{model}")
    return {**schema["$defs"], "CloudEvent": _cloud_event()}


def _cloud_event() -> Json:
    text = {"type": "string", "minLength": 1}
    attributes = {
        "specversion": {"type": "string", "const": "1.0"},
        "type": text | {"description": "`emotrack.` and the type of the payload."},
        "source": text | {"format": "uri-reference", "description": "The topic."},
        "id": text | {"description": "The same for what is sent twice: session, number and revision for a turn."},
        "time": text | {"format": "date-time"},
    }
    return {
        "title": "CloudEvent",
        "description": "The context attributes of CloudEvents 1.0, as MQTT 5 user properties.",
        "type": "object",
        "properties": attributes,
        "required": list(attributes),
    }


if __name__ == "__main__":
    sys.stdout.write(as_json())
