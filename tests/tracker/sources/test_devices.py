"""Finding an input by its name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources.devices import InputDevice, find_again, find_device


def device(index: int, name: str, is_default: bool = False) -> InputDevice:
    return InputDevice(index, name, "ALSA", 2, 48_000, is_default)


DEVICES = [
    device(0, "HD Webcam: USB Audio (hw:1,0)"),
    device(2, "Desk: USB Audio (hw:2,0)"),
    device(3, "pulse"),
    device(4, "pulse 2", is_default=True),
]


@pytest.mark.parametrize(
    ("name", "index"), [(None, 4), ("webcam", 0), ("DESK", 2), ("pulse", 3), ("Pulse 2", 4), ("hw:2,0", 2)]
)
def test_found(name: str | None, index: int) -> None:
    assert find_device(name, DEVICES).index == index


def test_not_found() -> None:
    with pytest.raises(SourceError, match=r"'kitchen'.*HD Webcam.*Desk.*pulse"):
        find_device("kitchen", DEVICES)
    with pytest.raises(SourceError, match=r"several.*HD Webcam.*Desk") as caught:
        find_device("usb audio", DEVICES)
    assert "pulse" not in str(caught.value)
    for name in (None, "desk"):
        with pytest.raises(SourceError, match="no microphone found"):
            find_device(name, [])


def test_found_again_under_another_card_number() -> None:
    back = [device(0, "pulse"), device(1, "Desk: USB Audio (hw:5,0)")]
    found = find_again("Desk: USB Audio (hw:2,0)", back)
    assert found is not None
    assert found.index == 1
    assert find_again("HD Webcam: USB Audio (hw:1,0)", back) is None


def test_without_portaudio_the_package_is_named() -> None:
    script = """
import ctypes.util
ctypes.util.find_library = lambda name: None
from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources.microphone import Microphone
try:
    Microphone(None, "mix")
except SourceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "apt-get install libportaudio2" in done.stdout
    assert done.stderr == ""


def test_portaudio_is_loaded_only_when_needed() -> None:
    script = (
        "import sys, emotrack.tracker.sources.microphone; sys.exit('sounddevice' in sys.modules or 'av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
