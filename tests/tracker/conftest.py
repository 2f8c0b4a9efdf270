"""What the tests of the tracker share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tracker.virtual_microphone import VirtualMicrophone, missing


@pytest.fixture
def virtual_microphone(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualMicrophone]:
    """A running virtual microphone; this process and its children use it. Skips where it cannot be had."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    microphone = VirtualMicrophone()
    try:
        microphone.start()
        for name, value in microphone.environment.items():
            monkeypatch.setenv(name, value)
        yield microphone
    finally:
        microphone.remove()
