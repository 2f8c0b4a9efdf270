"""One audio message: a small WAV, or raw samples that its content type describes.

Nothing in a message is believed before it has been compared with the bytes that are there, and what it may ask for in
memory and time is bounded by the rates, channels and lengths allowed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import Samples
from emotrack.tracker.sources.mixing import Mixer
from emotrack.tracker.sources.resampler import usable
from emotrack.tracker.sources.wav import FLOAT, PCM, WavError, read_wav_header

MAX_AUDIO_BYTES: Final = 262_144
"""Of one message: 8 s of 16-bit mono at 16 kHz, 1.3 s of stereo at 48 kHz."""
MAX_AUDIO_S: Final = 10.0
RATES: Final = range(4_000, 192_001)  # Hz
MAX_CHANNELS: Final = 8

_WAV_TYPES: Final = {"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"}
_RAW_TYPE: Final = "audio/x-raw"
_RAW_FORMATS: Final = {"S16LE": (PCM, 16), "S24LE": (PCM, 24), "S32LE": (PCM, 32), "F32LE": (FLOAT, 32)}
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
        if (self.encoding, self.bits) not in {(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32)}:
            raise AudioPayloadError(f"samples of encoding {self.encoding}, {self.bits} bits", unsupported=True)
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise AudioPayloadError(f"{self.channels} channels; 1 to {MAX_CHANNELS} can be")
        if self.rate not in RATES:
            raise AudioPayloadError(f"a sample rate of {self.rate} Hz; {RATES[0]} to {RATES[-1]} can be")


def decode_audio(payload: bytes, content_type: str | None, mixer: Mixer | None = None) -> tuple[Samples, int]:
    """The message's samples, (samples, 1), all channels mixed, and their rate in Hz.

    ``mixer`` knows the messages before this one of the same stream.

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
    clean, _ = usable(samples)
    return (mixer or Mixer()).mix(clean, layout.rate) if layout.channels > 1 else clean, layout.rate


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
    """The format and the sample bytes; a sample that is there in part is left out, as at the end of a file."""
    try:
        header = read_wav_header(io.BytesIO(payload), len(payload))
    except WavError as error:
        described = (
            str(error) if payload[:4] == b"RIFF" else f"neither a WAV nor described by a content type: {_REMEDY}"
        )
        raise AudioPayloadError(described) from None
    if header.missing and header.length < header.block:
        raise AudioPayloadError(f"a WAV that promises {header.length + header.missing} bytes and holds {header.length}")
    # A sample's bits are the uppermost of its bytes, so that those count which it takes.
    bits = 8 * header.sample_bytes if header.encoding in {PCM, FLOAT} else header.bits
    layout = _Format(header.encoding, bits, header.channels, header.rate)
    whole = header.length - header.length % header.block
    return layout, memoryview(payload)[header.start : header.start + whole]


def _samples(layout: _Format, data: memoryview) -> Samples:
    """(samples, channels), full scale 1."""
    block = layout.channels * layout.bits // 8
    if len(data) % block:
        raise AudioPayloadError(f"{len(data)} bytes are no whole number of blocks of {block}")
    found: Samples
    if layout.encoding == FLOAT:
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
