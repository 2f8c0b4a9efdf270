"""The blueprints for Home Assistant, by what it documents of them; they were tried in Home Assistant 2025.4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.mqtt.publishing.discovery import discovery
from tests.tracker.kitchen_table import EXAMPLES

BLUEPRINTS = sorted((EXAMPLES / "home_assistant").glob("*.yaml"))
KEYS = {
    *("blueprint", "mode", "max_exceeded", "variables", "trigger_variables"),
    *("triggers", "conditions", "actions"),
}
SELECTORS = {"action", "entity", "number", "object", "select"}


class _Input(str):
    """The name of an input where it stands."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!input", lambda loader, node: _Input(loader.construct_scalar(node)))


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text(), _Loader)
    return found


def used(part: object) -> set[str]:
    match part:
        case _Input():
            return {str(part)}
        case dict():
            return set().union(*map(used, part.values()))
        case list():
            return set().union(*map(used, part))
    return set()


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_a_blueprint_has_what_home_assistant_documents(path: Path) -> None:
    blueprint = read(path)
    assert set(blueprint) <= KEYS
    about = blueprint.pop("blueprint")
    assert set(about) == {"name", "description", "domain", "author", "homeassistant", "input"}
    assert about["domain"] == "automation"
    assert used(blueprint) == set(about["input"]), "every input is used, and each that is used is there"
    for given in about["input"].values():
        assert set(given) <= {"name", "description", "default", "selector"}
        assert len(set(given["selector"])) == 1
        assert set(given["selector"]) <= SELECTORS
    assert all("trigger" in trigger for trigger in blueprint["triggers"])


def test_they_speak_of_what_emotrack_publishes(network: EmotionNetwork) -> None:
    light, notice = (read(path)["blueprint"]["input"] for path in BLUEPRINTS)
    assert set(light["colours"]["default"]) == set(network.labels)
    assert all(len(colour) == 3 and max(colour) <= 255 for colour in light["colours"]["default"].values())
    assert set(notice["emotions"]["default"]) < set(network.labels)
    announced = json.loads(discovery("kitchen", network.labels, "mini", "1").payload)["components"].values()
    (mood,) = [each for each in announced if each.get("name") == "Mood"]
    assert mood["platform"] == "sensor"
