"""The audio inputs that PortAudio knows. The only place that loads PortAudio, and only when it is needed."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import re
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from emotrack.tracker.errors import SourceError

NO_INPUT = (
    "no microphone found: nothing that PortAudio can record from "
    "(for PulseAudio or PipeWire it needs the package libasound2-plugins)"
)


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A device that can record."""

    index: int
    """PortAudio's number, good until the list is made anew."""
    name: str
    host_api: str
    channels: int
    """Most channels at once; 32 or more where a sound server converts to whatever is asked for."""
    default_rate: int
    """Hz"""
    is_default: bool
    server_name: str = ""
    """What the sound server calls it, if it is one of its own."""
    is_monitor: bool = False
    """It records what the computer plays."""


@functools.cache
def portaudio() -> Any:
    """The sounddevice module. Raises SourceError when the PortAudio library is not installed."""
    _silence_c_stderr()
    try:
        import sounddevice  # here, as it loads the library
    except OSError as error:
        raise SourceError(
            "sound needs the PortAudio library, which is not installed (apt-get install libportaudio2)"
        ) from error
    return sounddevice


def list_devices(refresh: bool = False) -> list[InputDevice]:
    """All devices with an input.

    PortAudio makes its list when it starts. ``refresh`` starts it anew, which closes every stream that is open.
    Raises SourceError when the PortAudio library is not installed or does not start.
    """
    audio = portaudio()
    try:
        if refresh:
            while audio._initialized:  # noqa: SLF001 - sounddevice has no other way; 0 if it could not start last time
                audio._terminate()  # noqa: SLF001
            audio._initialize()  # noqa: SLF001
        default = audio.default.device[0]
        host_apis = audio.query_hostapis()
        return [
            InputDevice(
                index=index,
                name=device["name"],
                host_api=host_apis[device["hostapi"]]["name"],
                channels=device["max_input_channels"],
                default_rate=round(device["default_samplerate"]),
                is_default=index == default,
            )
            for index, device in enumerate(audio.query_devices())
            if device["max_input_channels"] > 0
        ]
    except audio.PortAudioError as error:
        raise SourceError(f"PortAudio does not start: {error}") from error


def find_device(name: str | None, devices: list[InputDevice], kind: str = "microphone") -> InputDevice:
    """The device called ``name``, or the only one whose name contains it; the default one for None.

    Case makes no difference. Where PortAudio's devices fit, the sound server's own do not count, and where microphones
    fit, monitors do not. Raises SourceError, which calls the devices ``kind``, when there is none at all and when the
    name fits none or several.
    """
    if not devices:
        raise SourceError(NO_INPUT)
    alike = [
        list(group) for _, group in groupby(devices, key=lambda device: (device.server_name != "", device.is_monitor))
    ]
    if name is None:
        return next((device for device in alike[0] if device.is_default), devices[0])
    wanted = name.casefold()
    for group in alike:
        exact = [device for device in group if wanted in (device.name.casefold(), device.server_name.casefold())]
        found = exact or [device for device in group if wanted in f"{device.name}\n{device.server_name}".casefold()]
        if exact or len(found) == 1:
            return found[0]
        if found:
            raise SourceError(f"several {kind}s match {name!r}: {_names(found)}")
    raise SourceError(f"no {kind} matches {name!r}; there are: {_names(devices)}")


def find_again(name: str, devices: list[InputDevice]) -> InputDevice | None:
    """The device that was called ``name`` before it was unplugged: ALSA may give it another card number."""
    return next(
        (device for device in devices if device.name == name),
        next((device for device in devices if _without_card(device.name) == _without_card(name)), None),
    )


def _without_card(name: str) -> str:
    return re.sub(r"\s*\(hw:\d+,\d+\)$", "", name)


def _names(devices: list[InputDevice]) -> str:
    return ", ".join(repr(device.name) for device in devices)


def _silence_c_stderr() -> None:
    """PortAudio, ALSA and JACK print their inner workings to C's stderr, some from the real-time thread.

    Pointing glibc's ``stderr`` at /dev/null stops them for the life of the process and leaves file descriptor 2, and
    so everything that Python prints, alone.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):  # another C library: then they are printed
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        sink = libc.fopen(b"/dev/null", b"w")
        if sink:
            ctypes.c_void_p.in_dll(libc, "stderr").value = sink
