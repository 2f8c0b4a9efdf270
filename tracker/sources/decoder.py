"""Reading an audio file piece by piece, whatever its format, and noticing when it is damaged or incomplete."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import av
import numpy as np
from av.container import InputContainer

from emotrack.tracker.audio import Samples
from emotrack.tracker.errors import SourceError

INCOMPLETE_S = 0.25  # a file that ends this much earlier than its header says has broken off
SHORTEST_GAP_S = 0.1  # time stamps are coarser than samples; less than this is no gap
LONGEST_GAP_S = 60.0  # a time stamp further ahead, in a file of unknown length, is rubbish
RATES = range(1_000, 1_000_001)  # Hz; what a damaged header says beyond this is not believed
WAV_UNKNOWN_BYTES = 0x7FFF_0000  # programs that write a WAV file to a pipe give at least this as its length

# Tags that are no UTF-8 are no reason to refuse a file. From version 19 on, av reads them without being told.
_ANY_TAGS: Final[dict[str, Any]] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

EXACT_DURATION = {"aiff", "caf", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "ogg", "w64"}
"""Formats whose header tells the exact length; others are guessed from the bit rate."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Consecutive samples of the file, (samples, channels), full scale 1.0, not yet checked for NaN."""

    samples: Samples
    rate: int
    """Hz"""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A stretch that is missing or could not be decoded, with more after it."""

    seconds: float


@dataclass(frozen=True, slots=True)
class _Failure:
    """A packet that could not be decoded."""

    error: Exception
    seconds: float


class AudioFile:
    """An open audio file; a context manager. Not safe for use by two threads at once."""

    def __init__(self, path: Path) -> None:
        """Raises SourceError, with one line that names the file, when there is nothing to decode."""
        self._path = path
        _check_readable(path)
        try:
            self._container = open_container(path)
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(f"{path}: not a file that can be decoded ({_reason(error)})") from error
        stream = self._container.streams.best("audio")
        if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
            self._container.close()
            raise SourceError(f"{path}: contains no audio" + ("" if stream is None else " of a known kind"))
        self._stream = stream
        self._converter = av.AudioResampler(format="flt")
        self._converts: tuple[str, str, int] | None = None
        self._first_time: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def read(self) -> Iterator[Decoded | Damaged]:
        """Decode from the start, holding no more than one packet.

        Everything that can be decoded comes out first; then SourceError, if the file breaks off.
        """
        promised_s = self._promised_s()
        heard_s = 0.0
        damaged_s = 0.0  # that could not be decoded since the last good frame
        failure: Exception | None = None
        for item in self._frames():
            if isinstance(item, _Failure):
                failure = item.error
                damaged_s += item.seconds
                continue
            samples = self._to_float(item)
            if not len(samples):
                continue
            gap_s = self._gap_s(item, heard_s, promised_s)
            if gap_s or failure is not None:
                lost_s = gap_s or (damaged_s if item.time is None else 0.0)
                yield Damaged(lost_s)
                heard_s += lost_s
                failure, damaged_s = None, 0.0
            heard_s += len(samples) / item.sample_rate
            yield Decoded(samples, item.sample_rate)
        incomplete = failure is not None if promised_s is None else heard_s < promised_s - INCOMPLETE_S
        if incomplete:
            of = f" of {promised_s:.1f} s" if promised_s else ""
            raise SourceError(f"{self._path}: breaks off after {heard_s:.1f} s{of}") from failure

    def _frames(self) -> Iterator[av.AudioFrame | _Failure]:
        """The frames in order, and a failure in the place of each packet that cannot be decoded."""
        packets = self._container.demux(self._stream)
        while True:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = self._stream.decode(packet)
            except av.EOFError:
                return
            except (av.FFmpegError, OSError) as error:
                if packet is None:  # the container itself is broken: nothing follows
                    yield _Failure(error, 0.0)
                    return
                yield _Failure(error, float((packet.duration or 0) * (packet.time_base or 0)))
                continue
            yield from frames

    def _gap_s(self, frame: av.AudioFrame, heard_s: float, promised_s: float | None) -> float:
        """How much is missing before ``frame`` by its time stamp; 0 where it is in place or cannot be believed."""
        if frame.time is None:
            return 0.0
        if self._first_time is None:
            self._first_time = frame.time - heard_s
        gap_s = frame.time - self._first_time - heard_s
        most_s = LONGEST_GAP_S if promised_s is None else promised_s - heard_s
        return gap_s if SHORTEST_GAP_S < gap_s <= most_s else 0.0

    def _to_float(self, frame: av.AudioFrame) -> Samples:
        """(samples, channels) as interleaved float, whatever the sample format."""
        # Converted by FFmpeg, as AudioFrame.to_ndarray reads beyond its planes when there are 8 of them.
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._converts:  # also in the middle of a file
            if frame.sample_rate not in RATES:
                raise SourceError(f"{self._path}: a sample rate of {frame.sample_rate} Hz is not audio")
            self._converter = av.AudioResampler(format="flt")
            self._converts = kind
        parts = []
        for converted in self._converter.resample(frame):
            channels = converted.layout.nb_channels
            flat = np.frombuffer(memoryview(converted.planes[0]), np.float32, converted.samples * channels)
            parts.append(flat.reshape(-1, channels))
        return np.concatenate(parts) if parts else np.empty((0, frame.layout.nb_channels), np.float32)

    def _promised_s(self) -> float | None:
        """The length that the header gives; None where it gives none that can be relied on."""
        name = self._container.format.name
        duration, time_base = self._stream.duration, self._stream.time_base
        if name == "wav":
            return _promised_by_wav(self._path)
        if name == "matroska,webm" and len(self._container.streams) == 1 and self._container.duration:
            return self._container.duration / av.time_base
        # An MP3 file starts later than 0 only where its header counts the samples; else the length is an estimate.
        exact = name in EXACT_DURATION or (name == "mp3" and bool(self._stream.start_time))
        return float(duration * time_base) if exact and duration and time_base else None


def open_container(path: Path) -> InputContainer:
    """Open a file for decoding, and nothing but this file. Raises ``av.FFmpegError``, ``ValueError``."""
    # "file:" keeps a colon in the name from being read as a protocol; the white list keeps a playlist from reaching out
    # to the network.
    return av.open(f"file:{path}", "r", container_options={"protocol_whitelist": "file"}, **_ANY_TAGS)


def _check_readable(path: Path) -> None:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SourceError(f"{path}: is a folder, not an audio file")
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{path}: is not a regular file")
        if status.st_size == 0:
            raise SourceError(f"{path}: is empty")
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise SourceError(f"{path}: cannot be read ({_reason(error)})") from error


def _promised_by_wav(path: Path) -> float | None:
    """Seconds that the header of a WAV file gives where the file is too short for them, else None.

    Read here because FFmpeg quietly believes the size of the file instead.
    """
    size = path.stat().st_size
    byte_rate = 0
    with path.open("rb") as file:
        file.seek(12)  # "RIFF", size, "WAVE"
        while len(head := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                short = length < WAV_UNKNOWN_BYTES and file.tell() + length > size
                return length / byte_rate if short and byte_rate else None
            body = file.tell()
            if name == b"fmt " and len(fmt := file.read(12)) == 12:
                byte_rate = struct.unpack("<8xI", fmt)[0]
            file.seek(body + length + length % 2)
    return None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
