"""The AsyncAPI 3 document of the page's WebSockets, generated from the classes of their messages.

``asyncapi.json`` beside this file is written by ``python -m emotrack.tracker.web.asyncapi``. It is AsyncAPI 3.0.0 with
the WebSocket bindings 0.1.0; that of the MQTT topics is ``tracker/mqtt/format/asyncapi.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from emotrack.tracker.web.messages import SENT, AudioFormat, Enter, Listening, Wish

_DESCRIPTION: Final = """\
What the page of `emotrack live --web` and `emotrack watch --web` uses, for programs too. To `/events` a viewer first
sends `enter`; `welcome` is the answer, and events follow, those of before first. Whoever comes back with `last_event`
is told what came since. Wishes are answered by what comes of them, or by `refused`. To `/audio` a program sends `audio`
and, once the answer is there, samples at the pace at which they are spoken; who sends faster is made to wait. A
message has at most 64 KiB, and of text 4096 characters. A connection that is closed has a code: 4400 for what cannot be
understood, 4401 for who may not come in, 4429 for too much.
"""

Json = dict[str, Any]


def document() -> Json:
    """The whole document."""
    wishes = get_args(get_args(Wish)[0])
    events = _channel("/events", "Events and figures out, wishes in.", (*SENT, Enter, *wishes))
    audio = _channel("/audio", "Audio in; with `emotrack live --web-mic`.", (AudioFormat, Listening))
    audio["messages"]["Samples"] = {
        "name": "Samples",
        "summary": "Whole frames, as `audio` declared them.",
        "contentType": "audio/x-raw;format=S16LE",
        "payload": {"type": "string", "format": "binary"},
    }
    leaving: tuple[type[BaseModel], ...] = (*SENT, Listening)
    sent: list[tuple[type[BaseModel], JsonSchemaMode]] = [(each, "serialization") for each in leaving]
    heard: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (each, "validation") for each in (Enter, AudioFormat, *wishes)
    ]
    _, schema = models_json_schema([*sent, *heard], by_alias=True, ref_template="#/components/schemas/{model}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "emotrack in the browser",
            "version": "1.0.0",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "page": {
                "host": "{host}",
                "protocol": "ws",
                "description": "Where `--web` says; `wss` with a certificate.",
                "variables": {"host": {"default": "localhost:8717", "description": "The page's host and port."}},
            }
        },
        "channels": {"events": events, "audio": audio},
        "operations": {
            "send_events": _operation("send", "events", _names(SENT)),
            "receive_wishes": _operation("receive", "events", _names((Enter, *wishes))),
            "receive_audio": _operation("receive", "audio", ["AudioFormat", "Samples"]),
            "send_listening": _operation("send", "audio", ["Listening"]),
        },
        "components": {"schemas": schema["$defs"]},
    }


def as_json() -> str:
    """The document as kept in ``asyncapi.json``."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _channel(address: str, description: str, messages: Iterable[type[BaseModel]]) -> Json:
    binding = {"ws": {"method": "GET", "bindingVersion": "0.1.0"}}
    found = {each.__name__: _message(each) for each in messages}
    return {"address": address, "description": description, "messages": found, "bindings": binding}


def _message(message: type[BaseModel]) -> Json:
    name = message.__name__
    summary = (message.__doc__ or "").strip().partition("\n")[0].replace("``", "`")
    return {"name": name, "summary": summary, "payload": {"$ref": f"#/components/schemas/{name}"}}


def _operation(action: str, channel: str, messages: list[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _names(messages: Iterable[type[BaseModel]]) -> list[str]:
    return [each.__name__ for each in messages]


if __name__ == "__main__":
    sys.stdout.write(as_json())
