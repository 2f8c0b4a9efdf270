"""One audio message: a small WAV, or raw samples that its content type describes.

Nothing in a message is believed before it has been compared with the bytes that are there, and what it may ask for in
memory and time is bounded by the rates, channels and lengths allowed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import Samples
from emotrack.tracker.resampler import mixed, usable

MAX_AUDIO_BYTES: Final = 262_144
"""Of one message: 8 s of 16-bit mono at 16 kHz, 1.3 s of stereo at 48 kHz."""
MAX_AUDIO_S: Final = 10.0
RATES: Final = range(4_000, 192_001)  # Hz
MAX_CHANNELS: Final = 8

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # WAVE_FORMAT_…
_UNKNOWN_LENGTH: Final = {0, 0xFFFF_FFFF, 0x7FFF_FFFF}  # what a header that was written before the audio says
_WAV_TYPES: Final = {"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"}
_RAW_TYPE: Final = "audio/x-raw"
_RAW_FORMATS: Final = {"S16LE": (_PCM, 16), "S24LE": (_PCM, 24), "S32LE": (_PCM, 32), "F32LE": (_FLOAT, 32)}
_REMEDY: Final = (
    "begin each message with a WAV header (44 bytes), or send it over MQTT 5 with the content type "
    "audio/x-raw;format=S16LE;rate=16000;channels=1"
)


class AudioPayloadError(ValueError):
    """A message that is no audio we can use; ``unsupported`` when it may well be audio of another kind."""

    def __init__(self, message: str, *, unsupported: bool = False) -> None:
        super().__init__(message)
        self.unsupported = unsupported


@dataclass(frozen=True, slots=True)
class _Format:
    """How samples are laid out in bytes."""

    encoding: int
    bits: int
    channels: int
    rate: int  # Hz

    def __post_init__(self) -> None:
        if (self.encoding, self.bits) not in {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32)}:
            raise AudioPayloadError(f"samples of encoding {self.encoding}, {self.bits} bits", unsupported=True)
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise AudioPayloadError(f"{self.channels} channels; 1 to {MAX_CHANNELS} can be")
        if self.rate not in RATES:
            raise AudioPayloadError(f"a sample rate of {self.rate} Hz; {RATES[0]} to {RATES[-1]} can be")


def decode_audio(payload: bytes, content_type: str | None) -> tuple[Samples, int]:
    """The message's samples, (samples, 1), all channels mixed, and their rate in Hz.

    ``content_type`` is ``audio/wav`` or ``audio/x-raw;format=S16LE;rate=16000;channels=1`` (S24LE, S32LE and F32LE
    too); without one the payload must be a WAV. Samples that are no numbers become silence.

    Raises ``AudioPayloadError``, with one line that quotes nothing of the payload.
    """
    if len(payload) > MAX_AUDIO_BYTES:
        raise AudioPayloadError(f"{len(payload)} bytes of audio in one message; at most {MAX_AUDIO_BYTES} can be")
    kind, _, parameters = (content_type or "audio/wav").partition(";")
    kind = kind.strip().lower()
    if kind in _WAV_TYPES:
        layout, data = _read_wav(payload)
    elif kind == _RAW_TYPE:
        layout, data = _read_raw_type(parameters), memoryview(payload)
    else:
        raise AudioPayloadError(f"the content type is neither audio/wav nor audio/x-raw: {_REMEDY}", unsupported=True)
    samples = _samples(layout, data)
    if len(samples) > MAX_AUDIO_S * layout.rate:
        raise AudioPayloadError(f"{len(samples) / layout.rate:.0f} s in one message; at most {MAX_AUDIO_S:.0f} can be")
    clean, _ = usable(mixed(samples) if layout.channels > 1 else samples)
    return clean, layout.rate


def _read_raw_type(parameters: str) -> _Format:
    given: dict[str, str] = {}
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        given[name.strip().lower()] = value.strip()
    encoding = _RAW_FORMATS.get(given.get("format", "").upper())
    if encoding is None:
        raise AudioPayloadError(f"audio/x-raw needs a format: {', '.join(_RAW_FORMATS)}", unsupported=True)
    try:
        rate, channels = int(given["rate"]), int(given.get("channels", "1"))
    except (KeyError, ValueError):
        raise AudioPayloadError("audio/x-raw needs rate= and channels= in whole numbers") from None
    return _Format(*encoding, channels, rate)


def _read_wav(payload: bytes) -> tuple[_Format, memoryview]:
    """The format and the sample bytes of a RIFF file (Microsoft, "Multiple Channel Audio Data and WAVE Files")."""
    if len(payload) < 12 or payload[:4] != b"RIFF" or payload[8:12] != b"WAVE":
        raise AudioPayloadError(f"neither a WAV nor described by a content type: {_REMEDY}")
    layout: _Format | None = None
    at = 12
    while at + 8 <= len(payload):
        name, length = payload[at : at + 4], struct.unpack_from("<I", payload, at + 4)[0]
        at += 8
        if name == b"data":
            if layout is None:
                raise AudioPayloadError("a WAV whose samples come before their format")
            there = len(payload) - at
            if length in _UNKNOWN_LENGTH:
                length = there
            if length > there:
                raise AudioPayloadError(f"a WAV that promises {length} bytes and holds {there}")
            return layout, memoryview(payload)[at : at + length]
        if name == b"fmt ":
            layout = _read_format(payload[at : at + min(length, 40)])
        at += length + length % 2
    raise AudioPayloadError("a WAV without samples")


def _read_format(chunk: bytes) -> _Format:
    if len(chunk) < 16:
        raise AudioPayloadError("a WAV with a format that breaks off")
    encoding, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", chunk)
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        encoding = struct.unpack_from("<H", chunk, 24)[0]  # the beginning of the sub-format's GUID
    layout = _Format(encoding, bits, channels, rate)
    if block != channels * bits // 8:
        raise AudioPayloadError(f"a WAV with blocks of {block} bytes for {channels} samples of {bits} bits")
    return layout


def _samples(layout: _Format, data: memoryview) -> Samples:
    """(samples, channels), full scale 1."""
    block = layout.channels * layout.bits // 8
    if len(data) % block:
        raise AudioPayloadError(f"{len(data)} bytes are no whole number of blocks of {block}")
    found: Samples
    if layout.encoding == _FLOAT:
        found = np.frombuffer(data, "<f4")
    elif layout.bits == 8:
        found = _scaled(np.frombuffer(data, np.uint8).astype(np.int16) - 128, layout.bits)
    elif layout.bits == 24:
        high = np.zeros((len(data) // 3, 4), np.uint8)
        high[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)  # into the upper bytes of a 32-bit number
        found = _scaled(high.view("<i4").ravel(), 32)
    else:
        found = _scaled(np.frombuffer(data, f"<i{layout.bits // 8}"), layout.bits)
    return found.reshape(-1, layout.channels)


def _scaled(numbers: NDArray[Any], bits: int) -> Samples:
    return numbers.astype(np.float32) * np.float32(2.0 ** (1 - bits))
