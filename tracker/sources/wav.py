"""The header of a WAV, of a file or of a message: one reader, and one tolerance for lengths that are wrong.

Microsoft, "Multiple Channel Audio Data and WAVE Files"; EBU Tech 3306 (RF64) and ITU-R BS.2088 (BW64); Sony's Wave64.
Many programs get the length of the audio wrong: one that writes to a pipe cannot know it, one that is killed cannot
write it, and beyond 4 GiB it does not fit. The length is believed where the file ends there, or a further chunk begins;
else everything that follows the header is audio.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

PCM: Final = 1  # WAVE_FORMAT_...
FLOAT: Final = 3
A_LAW: Final = 6
MU_LAW: Final = 7
_EXTENSIBLE: Final = 0xFFFE
_IN_DS64: Final = 0xFFFF_FFFF  # the length is in a chunk of its own
_CHUNK_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9_ ]{3}")
_SAMPLE_BYTES: Final = {PCM: {1, 2, 3, 4, 8}, FLOAT: {4, 8}, A_LAW: {1}, MU_LAW: {1}}  # of what needs no codec
_MAX_CHUNKS: Final = 1000  # before the audio


class WavError(ValueError):
    """No WAV, or one whose header cannot be; the message quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What a header says, as far as the bytes that are there bear it out."""

    encoding: int
    """PCM, FLOAT or another WAVE_FORMAT; of an extensible one, what it stands for."""
    channels: int
    rate: int
    """Hz"""
    block: int
    """Bytes of one sample of all channels."""
    bits: int
    """Of one sample; the uppermost ones where its bytes have room for more."""
    byte_rate: int
    """Bytes a second; 0 where it is not known."""
    start: int
    """Where the audio begins, in bytes from the start of the file."""
    length: int
    """Bytes of audio that are there."""
    is_believed: bool
    """Whether that is the length the header gives; else it is all that follows the header."""
    missing: int
    """Bytes of audio that the header promises and that are not there."""
    unannounced: int
    """Bytes of audio that are there although the header gives a smaller length, which is not 0."""

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of one channel."""
        return self.block // self.channels

    @property
    def is_padded(self) -> bool:
        """Whether whole numbers take more bytes than their bits need, as 24 bits in 32."""
        return self.encoding == PCM and self.sample_bytes > -(-self.bits // 8)

    @property
    def is_exact(self) -> bool:
        """Whether bytes tell the time to the sample; else there is a codec with an average at best."""
        return self.encoding in _SAMPLE_BYTES

    @property
    def promised_s(self) -> float | None:
        """The audio's length in seconds, also that of what is missing; None where it cannot be told."""
        return (self.length + self.missing) / self.byte_rate if self.is_exact and self.byte_rate else None


@dataclass(frozen=True, slots=True)
class _Chunks:
    """How chunks are laid out: RIFF's, or those of Sony's Wave64, where a GUID stands for a name."""

    name_bytes: int
    length_bytes: int
    counts_head: bool
    """Whether a length is that of the head too."""
    aligned: int
    """Chunks begin at multiples of so many bytes."""
    never_meant: int
    """Programs that write to a pipe give at least this as the length."""

    @property
    def head_bytes(self) -> int:
        return self.name_bytes + self.length_bytes

    def read(self, file: BinaryIO) -> tuple[bytes, int] | None:
        """The next chunk's name and length; None at the end, and for what is no chunk."""
        head = file.read(self.head_bytes)
        length = int.from_bytes(head[self.name_bytes :], "little") - self.counts_head * self.head_bytes
        is_chunk = len(head) == self.head_bytes and _CHUNK_NAME.fullmatch(head[:4]) and length >= 0
        return (head[:4], length) if is_chunk else None


_RIFF: Final = _Chunks(4, 4, counts_head=False, aligned=2, never_meant=0x7FFF_0000)
_WAVE64: Final = _Chunks(16, 8, counts_head=True, aligned=8, never_meant=2**62)


def read_wav_header(file: BinaryIO, size: int) -> WavHeader:
    """The header of a WAV of ``size`` bytes; ``file`` stands at its beginning. Raises ``WavError``."""
    first = file.read(4)
    chunks = _WAVE64 if first == b"riff" else _RIFF
    kind = file.read(2 * chunks.head_bytes - chunks.length_bytes - 4)[chunks.head_bytes - 4 :][:4]
    if first not in {b"RIFF", b"RF64", b"BW64", b"riff"} or kind.upper() != b"WAVE":
        raise WavError("no WAV")
    form: bytes | None = None
    long_length: int | None = None
    for _ in range(_MAX_CHUNKS):
        if (chunk := chunks.read(file)) is None:
            break
        name, length = chunk
        start = file.tell()
        if name == b"data":
            if form is None:
                raise WavError("a WAV whose samples come before their format")
            promised = long_length if long_length is not None and length == _IN_DS64 else length
            is_unknown = promised == 0 or promised >= (2**62 if long_length is not None else chunks.never_meant)
            is_believed = promised <= size - start and _ends_or_goes_on(file, chunks, start + promised, size)
            return _header(form, start, promised, size - start, is_believed=is_believed, is_unknown=is_unknown)
        if name == b"fmt ":
            form = file.read(min(length, 40))
            if len(form) < 16:
                raise WavError("a WAV with a format that breaks off")
        elif name == b"ds64" and len(sizes := file.read(min(length, 16))) == 16:
            long_length = struct.unpack("<8xQ", sizes)[0]
        file.seek(start + length + -length % chunks.aligned)
    raise WavError("a WAV without samples")


def _ends_or_goes_on(file: BinaryIO, chunks: _Chunks, after: int, size: int) -> bool:
    """Whether the file ends where the audio does, or a further chunk follows."""
    if size - after < chunks.head_bytes:
        return True
    for padding in {0, -after % chunks.aligned}:  # not every program fills up
        file.seek(after + padding)
        if (chunk := chunks.read(file)) is not None and file.tell() + chunk[1] <= size:
            return True
    return False


def _header(form: bytes, start: int, promised: int, there: int, *, is_believed: bool, is_unknown: bool) -> WavHeader:
    encoding, channels, rate, stated, block, bits = struct.unpack_from("<HHIIHH", form)
    if encoding == _EXTENSIBLE and len(form) >= 26:
        valid, encoding = struct.unpack_from("<H4xH", form, 18)  # the latter begins the sub-format's GUID
        bits = valid if encoding == PCM and 0 < valid <= bits else bits
    if encoding in _SAMPLE_BYTES:
        sample_bytes, odd = divmod(block, channels) if channels else (0, 0)
        if odd or sample_bytes not in _SAMPLE_BYTES[encoding] or not 0 < bits <= 8 * sample_bytes:
            raise WavError(f"a WAV with blocks of {block} bytes for {channels} channels of {bits} bits")
    return WavHeader(
        encoding=encoding,
        channels=channels,
        rate=rate,
        block=block,
        bits=bits,
        byte_rate=rate * block if encoding in _SAMPLE_BYTES else stated,
        start=start,
        length=promised if is_believed else there,
        is_believed=is_believed,
        missing=0 if is_unknown else max(0, promised - there),
        unannounced=0 if is_believed or is_unknown else max(0, there - promised),
    )
