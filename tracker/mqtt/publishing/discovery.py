"""How Home Assistant finds a site: one device, with entities for emotion, confidence, speaker, mood and speaking, and
whether it is paused.

The message is a *device discovery* payload (Home Assistant 2024.11 and later, "Device discovery payload" in the
documentation of its MQTT integration). It is retained, and is sent again when ``homeassistant/status`` says online.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.channels import JSON

SUPPORT_URL: Final = "https://github.com/emotrack/emotrack"  # the project's, as in pyproject.toml
STATE_EXPIRES_S: Final = 900
"""A room that was quiet for so long has no emotion any more."""
VAD_EXPIRES_S: Final = 60
UNCERTAIN: Final = "uncertain"
"""Shown in place of an emotion that the tracker is not sure of."""
_NO_LONGER: Final = {"platform": "binary_sensor"}
"""With its platform alone an entity is taken back, if it had been announced before."""
_MAX_STATE_CHARS: Final = 255  # Home Assistant's bound
_MAX_DEVICE_NAME_CHARS: Final = 64


def discovery(site: str, labels: Sequence[str], model: str, version: str, *, with_vad: bool = True) -> Message:
    """Announce a site whose bundle ``model`` knows ``labels``; ``with_vad`` where its vad topic is published."""
    device = topics.object_id(site)
    payload = {
        "device": {
            "identifiers": [device],
            "name": site[:_MAX_DEVICE_NAME_CHARS],
            "manufacturer": "emotrack",
            "model": model,
            "sw_version": version,
        },
        "origin": {"name": "emotrack", "sw_version": version, "support_url": SUPPORT_URL},
        "components": _components(site, device, labels, with_vad=with_vad),
        "state_topic": topics.state(site),
        # Nothing is known of a room whose microphone is gone, nor of one that nobody serves.
        "availability": [
            {"topic": topics.status(site)},
            {
                "topic": topics.source(site),
                "value_template": "{{ 'offline' if value_json.lost else 'online' }}",
            },
        ],
        "availability_mode": "all",
        "payload_available": "online",
        "payload_not_available": "offline",
        "qos": 1,
    }
    body = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
    return Message(topics.discovery(site), body, qos=1, retain=True, content_type=JSON, is_text=True)


def _number(name: str, icon: str) -> dict[str, Any]:
    """The entity of a number of the state from -1 to 1."""
    value = f"value_json.{name.lower()}"
    return {
        "platform": "sensor",
        "name": name,
        "icon": icon,
        "state_class": "measurement",
        "suggested_display_precision": 2,
        "value_template": f"{{{{ {value} if {value} is none else {value} | round(2) }}}}",
        "expire_after": STATE_EXPIRES_S,
    }


def _components(site: str, device: str, labels: Sequence[str], *, with_vad: bool) -> dict[str, dict[str, Any]]:
    """The entities by id; null in a state is rendered as ``None``, which Home Assistant takes for unknown."""
    components: dict[str, dict[str, Any]] = {
        "emotion": {
            "platform": "sensor",
            "name": "Emotion",
            "icon": "mdi:emoticon-outline",
            "device_class": "enum",
            "options": [*labels, UNCERTAIN],
            "value_template": f"{{{{ '{UNCERTAIN}' if value_json.uncertain else value_json.emotion }}}}",
            "json_attributes_topic": topics.state(site),
            "expire_after": STATE_EXPIRES_S,
        },
        "confidence": {
            "platform": "sensor",
            "name": "Confidence",
            "icon": "mdi:percent-outline",
            "state_class": "measurement",
            "unit_of_measurement": "%",
            "suggested_display_precision": 0,
            "value_template": "{{ value_json.confidence if value_json.confidence is none"
            " else (value_json.confidence * 100) | round(1) }}",
            "expire_after": STATE_EXPIRES_S,
        },
        "valence": _number("Valence", "mdi:emoticon-happy-outline"),
        "arousal": _number("Arousal", "mdi:pulse"),
        "speaker": {
            "platform": "sensor",
            "name": "Speaker",
            "icon": "mdi:account-voice",
            "value_template": f"{{{{ (value_json.speaker | string)[:{_MAX_STATE_CHARS}] }}}}",
            "expire_after": STATE_EXPIRES_S,
        },
        "mood": {
            "platform": "sensor",
            "name": "Mood",
            "icon": "mdi:weather-partly-cloudy",
            "device_class": "enum",
            "options": [*labels],
            "value_template": "{{ value_json.mood }}",
            "expire_after": STATE_EXPIRES_S,
        },
        "paused": {
            "platform": "binary_sensor",
            "name": "Paused",
            "icon": "mdi:microphone-off",
            "entity_category": "diagnostic",
            "state_topic": topics.source(site),
            "value_template": "{{ 'ON' if value_json.paused else 'OFF' }}",
            "payload_on": "ON",
            "payload_off": "OFF",
        },
    }
    if with_vad:
        components["speaking"] = {
            "platform": "binary_sensor",
            "name": "Speaking",
            "device_class": "sound",
            "state_topic": topics.vad(site),
            "value_template": "{{ 'ON' if value_json.speaking else 'OFF' }}",
            "payload_on": "ON",
            "payload_off": "OFF",
            "expire_after": VAD_EXPIRES_S,
        }
    entities = {name: {**component, "unique_id": f"{device}_{name}"} for name, component in components.items()}
    return entities if with_vad else {**entities, "speaking": _NO_LONGER}
