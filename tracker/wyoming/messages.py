"""The Wyoming protocol as others speak it: nothing in a message is believed unseen, and everything is bounded.

A message is a line of JSON (``type``, ``data``, ``data_length``, ``payload_length``), then so many bytes of JSON that
belong to ``data``, then so many of payload: https://github.com/OHF-Voice/wyoming. The library's own reader takes
whatever length a stranger names.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from wyoming.event import Event

from emotrack.tracker.audio import Samples

MAX_LINE_BYTES: Final = 65_536
MAX_DATA_BYTES: Final = 65_536
MAX_PAYLOAD_BYTES: Final = 262_144
"""8 s of 16-bit mono at 16 kHz; Home Assistant sends some 60 ms at a time."""
_FULL_SCALE: Final = 32_768.0  # of int16


class WyomingError(Exception):
    """A message that is none, or cannot be followed, in one line that repeats nothing of it."""

    def __init__(self, code: str, line: str) -> None:
        super().__init__(line)
        self.code = code


class PcmFormat(BaseModel):
    """How the samples of an utterance are laid out."""

    model_config = ConfigDict(frozen=True)

    rate: Annotated[int, Field(ge=4_000, le=192_000)]
    """Hz"""
    width: Literal[2]
    """Bytes of a sample; every Wyoming client sends 16 bits."""
    channels: Annotated[int, Field(ge=1, le=8)]


async def read_message(reader: asyncio.StreamReader) -> Event | None:
    """The next message; None where the connection has ended, also in the middle of one. Raises ``WyomingError``."""
    try:
        line = await reader.readuntil(b"\n")
        header = _object(line)
        kind = header.get("type")
        if not isinstance(kind, str):
            raise WyomingError("bad_message", "a message has no type")
        data = header.get("data") or {}
        if not isinstance(data, dict):
            raise WyomingError("bad_message", "the data of a message is no object")
        if length := _length(header, "data_length", MAX_DATA_BYTES):
            data |= _object(await reader.readexactly(length))
        length = _length(header, "payload_length", MAX_PAYLOAD_BYTES)
        return Event(kind, data, await reader.readexactly(length) if length else None)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except asyncio.LimitOverrunError:
        raise WyomingError("too_large", f"a line of more than {MAX_LINE_BYTES} bytes") from None


def pcm_format(data: dict[str, Any]) -> PcmFormat:
    """What ``audio-start`` and ``audio-chunk`` say of their samples. Raises ``WyomingError``."""
    try:
        return PcmFormat.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise WyomingError("bad_audio", f"{found['loc'][0]}: {found['msg']}") from None


class PcmReader:
    """The samples of one utterance. A chunk need not end where a sample does: Home Assistant's web API cuts anywhere.

    What is left of a sample at the end is no sound.
    """

    def __init__(self, layout: PcmFormat) -> None:
        self._layout = layout
        self._frame = layout.width * layout.channels
        self._half = b""

    def samples(self, payload: bytes) -> Samples:
        """Those that are whole with the ``payload`` of an ``audio-chunk``, (samples, channels), full scale 1."""
        payload = self._half + payload
        whole = len(payload) - len(payload) % self._frame
        self._half = payload[whole:]
        pcm = np.frombuffer(payload[:whole], "<i2").reshape(-1, self._layout.channels)
        return pcm.astype(np.float32) / np.float32(_FULL_SCALE)


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise WyomingError("bad_message", "a message is no JSON") from None
    if not isinstance(found, dict):
        raise WyomingError("bad_message", "a message is no JSON object")
    return found


def _length(header: dict[str, Any], key: str, most: int) -> int:
    length = header.get(key) or 0
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise WyomingError("bad_message", f"{key} is no number of bytes")
    if length > most:
        raise WyomingError("too_large", f"{key} is {length}; at most {most} can be")
    return length
