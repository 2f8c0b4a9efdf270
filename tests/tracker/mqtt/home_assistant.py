"""Home Assistant's rules for a device discovery message, as far as this tracker's entities touch them.

Written down from the documentation of its MQTT integration and of its sensors; every finding is one line.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

ROOT_KEYS = {
    *("device", "origin", "components", "state_topic", "command_topic", "qos", "encoding", "availability"),
    *("availability_mode", "availability_topic", "availability_template", "payload_available", "payload_not_available"),
}
DEVICE_KEYS = {
    *("identifiers", "connections", "name", "manufacturer", "model", "model_id", "hw_version", "sw_version"),
    *("serial_number", "via_device", "suggested_area", "configuration_url"),
}
AVAILABILITY_KEYS = {"topic", "payload_available", "payload_not_available", "value_template"}
ENTITY_KEYS = {
    *("platform", "unique_id", "name", "icon", "device_class", "state_topic", "value_template", "expire_after"),
    *("json_attributes_topic", "json_attributes_template", "qos", "enabled_by_default", "entity_category"),
    *("availability", "availability_topic", "force_update", "default_entity_id"),
}
PLATFORM_KEYS = {
    "sensor": {"options", "state_class", "unit_of_measurement", "suggested_display_precision"},
    "binary_sensor": {"payload_on", "payload_off", "off_delay"},
}
BINARY_SENSOR_CLASSES = {"sound", "occupancy", "presence", "motion", "connectivity", "problem", "running"}
STATE_CLASSES = {"measurement", "total", "total_increasing"}


def problems(topic: str, payload: dict[str, Any], *, retained: bool) -> list[str]:
    """What Home Assistant would refuse, or what the project's own conventions ask for beyond that."""
    found = []
    if not re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic):
        found.append(f"topic {topic}")
    if not retained:
        found.append("not retained")
    found += [f"unknown key {key}" for key in payload.keys() - ROOT_KEYS]
    found += _device(payload.get("device", {}))
    origin = payload.get("origin", {})
    found += [f"origin.{key} is missing" for key in ("name", "sw_version", "support_url") if not origin.get(key)]
    if urlsplit(origin.get("support_url", "")).scheme not in {"http", "https"}:
        found.append("origin.support_url is no address")
    found += [f"unknown key origin.{key}" for key in origin.keys() - {"name", "sw_version", "support_url"}]
    if ("availability" in payload) == ("availability_topic" in payload):
        found.append("one of availability and availability_topic")
    for place in payload.get("availability", []):
        found += _topic(place.get("topic"), "availability")
        found += [f"unknown key availability.{key}" for key in place.keys() - AVAILABILITY_KEYS]
    if payload.get("availability_mode", "all") not in {"all", "any", "latest"}:
        found.append("availability_mode is unknown")
    components = payload.get("components", {})
    if not components:
        found.append("no components")
    identifiers = [component.get("unique_id") for component in components.values()]
    if len(set(identifiers)) < len(identifiers):
        found.append("unique_id is not unique")
    for name, component in components.items():
        found += [f"{name}: {problem}" for problem in _component(component, payload)]
    return found


def _device(device: dict[str, Any]) -> list[str]:
    found = [f"unknown key device.{key}" for key in device.keys() - DEVICE_KEYS]
    if not device.get("identifiers") and not device.get("connections"):
        found.append("device has neither identifiers nor connections")
    wanted = ("name", "manufacturer", "model", "sw_version")
    return found + [f"device.{key} is missing" for key in wanted if not isinstance(device.get(key), str)]


def _component(component: dict[str, Any], payload: dict[str, Any]) -> list[str]:
    platform = component.get("platform", "")
    if platform not in PLATFORM_KEYS:
        return [f"platform {platform!r}"]
    if component.keys() == {"platform"}:  # takes the entity back
        return []
    found = [f"unknown key {key}" for key in component.keys() - ENTITY_KEYS - PLATFORM_KEYS[platform]]
    if not component.get("unique_id"):
        found.append("no unique_id")
    found += _topic(component.get("state_topic", payload.get("state_topic")), "state_topic")
    if "json_attributes_topic" in component:
        found += _topic(component["json_attributes_topic"], "json_attributes_topic")
    if "expire_after" in component and not (
        isinstance(component["expire_after"], int) and component["expire_after"] > 0
    ):
        found.append("expire_after is no positive number of seconds")
    found += _template(component.get("value_template", ""))
    if platform == "binary_sensor":
        if component.get("device_class", "sound") not in BINARY_SENSOR_CLASSES:
            found.append("device_class is unknown")
        return found
    return found + _sensor(component)


def _sensor(component: dict[str, Any]) -> list[str]:
    found = []
    is_enum = component.get("device_class") == "enum"
    options = component.get("options")
    if is_enum != (options is not None):
        found.append("device_class enum and options go together")
    if options is not None and (not options or len(set(options)) < len(options)):
        found.append("options are empty or repeat themselves")
    if is_enum and component.keys() & {"state_class", "unit_of_measurement", "suggested_display_precision"}:
        found.append("an enum has no state_class, unit or precision")
    if component.get("state_class", "measurement") not in STATE_CLASSES:
        found.append("state_class is unknown")
    return found


def _topic(topic: object, what: str) -> list[str]:
    if not isinstance(topic, str) or not 0 < len(topic.encode()) <= 65_535 or re.search(r"[+#\x00]", topic):
        return [f"{what} is no topic"]
    return []


def _template(template: str) -> list[str]:
    if template.count("{{") != template.count("}}") or "value_json" not in template:
        return ["value_template reads nothing"]
    return []
