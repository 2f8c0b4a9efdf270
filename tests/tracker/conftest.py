"""What the tests of the tracker share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator

import pytest

from emotrack.models.bundle import load_bundle
from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import Samples
from tests.tracker.kitchen_table import samples
from tests.tracker.terminal import Terminal
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


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A shell of 80 by 24 in tmux. Skips where tmux is missing."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: nothing can be tried on a real terminal")
    # Short, as the path of a socket must be.
    with tempfile.TemporaryDirectory(prefix="emotrack-") as folder:
        shell = Terminal(folder, 80, 24)
        yield shell
        shell.close()


@pytest.fixture(scope="module")
def network() -> EmotionNetwork:
    """The bundle that ships, anew for every module."""
    return load_bundle("mini")


@pytest.fixture(scope="module")
def stereo() -> Samples:
    """The bundled conversation, a speaker a channel: (samples, 2)."""
    return samples()
