"""The sound server's own devices: PulseAudio, and PipeWire in its place.

PortAudio knows the server as one device. Its single microphones, and the monitors of its outputs, which hold what the
computer plays, are reached with ``pactl`` and ``parec`` (package pulseaudio-utils), which both servers understand.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import threading
from typing import IO, Annotated, Final, TypeVar

import numpy as np
from pydantic import BaseModel, StringConstraints, TypeAdapter, ValidationError

from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources.capture import BLOCK_S, BlockQueue
from emotrack.tracker.sources.devices import InputDevice, find_device, list_devices

NO_SERVER: Final = (
    "--system needs PulseAudio or PipeWire, and the package pulseaudio-utils (pactl 16 or newer and parec); elsewhere "
    "give --mic a device that records what the computer plays"
)
HOST_API: Final = "PulseAudio"
_ANSWER_S: Final = 3.0  # a server that has not answered by then is none
_MAX_LATENCY_MS: Final = 30
_BYTES: Final = 4  # of a float32 sample
_MOVED: Final = re.compile(rb"Stream moved to device (\S+) \(")
_MESSAGE_BYTES: Final = 4096  # longer than any


class _Server(BaseModel):
    default_source_name: str
    default_sink_name: str


class _ServerSource(BaseModel):
    index: int
    name: str
    description: str
    sample_specification: Annotated[str, StringConstraints(pattern=r"^\S+ [1-9]\d?ch [1-9]\d{3,5}Hz$")]


_Answer = TypeVar("_Answer")
_SERVER = TypeAdapter(_Server)
_SOURCES = TypeAdapter(list[_ServerSource])


def list_pulse_devices() -> list[InputDevice]:
    """The microphones of the sound server, then its monitors; none where there is no server or no ``pactl``."""
    server, sources = _ask(_SERVER, "info"), _ask(_SOURCES, "list", "sources")
    if server is None or sources is None:
        return []
    defaults = (server.default_source_name, f"{server.default_sink_name}.monitor")
    devices = [
        InputDevice(
            index=source.index,
            name=source.description,
            host_api=HOST_API,
            channels=int(channels.removesuffix("ch")),
            default_rate=int(rate.removesuffix("Hz")),
            is_default=source.name in defaults,
            server_name=source.name,
            is_monitor=source.name.endswith(".monitor"),
        )
        for source in sources
        for _, channels, rate in [source.sample_specification.split()]
    ]
    return sorted(devices, key=lambda device: device.is_monitor)


def all_inputs() -> list[InputDevice]:
    """PortAudio's devices, then the sound server's own. Raises SourceError when there is no PortAudio and no server."""
    own = list_pulse_devices()
    try:
        return list_devices() + own
    except SourceError:
        if not own:
            raise
        return own


def find_monitor(name: str | None) -> InputDevice:
    """What records the output called ``name``, or the only one whose name contains it; the default one for None.

    Raises SourceError where there is no sound server, and when the name fits none or several.
    """
    monitors = [device for device in list_pulse_devices() if device.is_monitor]
    if not monitors:
        raise SourceError(NO_SERVER)
    return find_device(name, monitors, "output")


def _ask(answer: TypeAdapter[_Answer], *words: str) -> _Answer | None:
    """What ``pactl`` answers; None without an answer of that kind."""
    command = ["pactl", "--format=json", *words]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, ValidationError):
        done = subprocess.run(  # noqa: S603 - words of our own
            command, env=_in_english(), stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
        )
        return answer.validate_json(done.stdout)
    return None


def _in_english() -> dict[str, str]:
    """An environment in which numbers have no commas, and messages are those that are looked for."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


class PulseCapture:
    """One device of the sound server, recorded by ``parec``. As ``Capture`` is used.

    Where a device goes, the server lets its recordings go on with another one: what was the others' sound would be the
    microphone's. Then the recording ends, as one of a device does that was unplugged.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.blocks = BlockQueue(loop)
        self.rate = 0
        """Hz, known once open."""
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, device: InputDevice, channels: int) -> None:
        """Start recording at the device's default rate. Raises SourceError."""
        command = shutil.which("parec")
        if command is None:
            raise SourceError(
                f"cannot record from {device.name!r}: parec is missing (apt-get install pulseaudio-utils)"
            )
        self.rate = device.default_rate
        options = {
            "device": device.server_name,
            "format": "float32ne",
            "rate": str(self.rate),
            "channels": str(channels),
            "latency-msec": str(_MAX_LATENCY_MS),
            "client-name": "emotrack",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        self._process = subprocess.Popen(  # noqa: S603 - the names are arguments of their own
            [command, "--raw", "--verbose", *arguments],
            env=_in_english(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us alone: what was heard is still to be read
        )
        reading = (self._process.stdout, channels)
        threading.Thread(target=self._read, args=reading, name="parec", daemon=True).start()
        watching = (self._process, device.server_name)
        threading.Thread(target=_end_when_moved, args=watching, name="parec's messages", daemon=True).start()

    @property
    def running(self) -> bool:
        """False once the recorder has given up by itself."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Stop recording; does nothing when it is not."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _read(self, recorded: IO[bytes], channels: int) -> None:
        frame = channels * _BYTES
        with recorded:
            while block := recorded.read(round(self.rate * BLOCK_S) * frame):
                whole = np.frombuffer(block, np.float32, len(block) // frame * channels)
                self.blocks.put(whole.reshape(-1, channels), overflowed=False)


def _end_when_moved(process: subprocess.Popen[bytes], device: str) -> None:
    """Kill the recorder once it records another device than the one of that name."""
    assert process.stderr is not None  # noqa: S101
    latest = b""
    with process.stderr as messages:
        while said := os.read(messages.fileno(), _MESSAGE_BYTES):  # no lines: the time is said all the while, in one
            moved = _MOVED.search(latest + said)
            if moved and moved[1] != device.encode():
                process.kill()
            latest = (latest + said)[-_MESSAGE_BYTES:]
