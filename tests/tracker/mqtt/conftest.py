"""What the tests of MQTT share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tracker.mqtt.mosquitto import Mosquitto, executable


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker of one's own. Skips where mosquitto is missing."""
    if executable() is None:
        pytest.skip("mosquitto is not installed: nothing can be tried on a real broker")
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()
