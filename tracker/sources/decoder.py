"""Reading an audio file piece by piece, whatever its format, and noticing when it is damaged or incomplete."""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import av
import numpy as np
from av.container import InputContainer

from emotrack.tracker.audio import Samples
from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources.caf import caf_seconds
from emotrack.tracker.sources.wav import A_LAW, FLOAT, MU_LAW, PCM, WavError, WavHeader, read_wav_header

INCOMPLETE_S = 0.25  # a file that ends this much earlier than its header says has broken off
SHORTEST_GAP_S = 0.1  # time stamps are coarser than samples; less than this is no gap
LONGEST_GAP_S = 60.0  # a time stamp further ahead, in a file of unknown length, is rubbish
RATES = range(1_000, 1_000_001)  # Hz; what a damaged header says beyond this is not believed
_STATED_DURATION = re.compile(r"(\d{2,6}):(\d{2}):(\d{2}(?:\.\d{1,12})?)")  # where a Matroska track ends
MAX_TRACKS_SHOWN = 8
MAX_TITLE_CHARS = 40

# Tags that are no UTF-8 are no reason to refuse a file. From version 19 on, av reads them without being told.
_ANY_TAGS: Final[dict[str, Any]] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

EXACT_DURATION = {"aiff", "au", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "ogg", "w64"}
"""Formats whose header tells the exact length; others are guessed from the bit rate."""
STARTS_ANYWHERE = {"mpeg", "mpegts"}
"""Formats whose clock has no zero: the file begins with the earliest of its tracks."""
_RAW = {
    (PCM, 1): "u8",
    (PCM, 2): "s16le",
    (PCM, 3): "s24le",
    (PCM, 4): "s32le",
    (PCM, 8): "s64le",
    (FLOAT, 4): "f32le",
    (FLOAT, 8): "f64le",
    (A_LAW, 1): "alaw",
    (MU_LAW, 1): "mulaw",
}
"""FFmpeg's names for samples without a header, by encoding and bytes."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Consecutive samples of the file, (samples, channels), full scale 1.0, not yet checked for NaN."""

    samples: Samples
    rate: int
    """Hz"""


@dataclass(frozen=True, slots=True)
class Missing:
    """A stretch of the container's clock without samples that can be decoded, with more after it."""

    seconds: float
    why: Literal["late", "gap", "damage", "early"]
    """``late``: the audio begins later than its container, which may hold pictures from its beginning on. ``gap``: its
    time stamps leave something out. ``damage``: it could not be decoded. ``early``: these samples lie before the
    container's beginning and are left out; the clock stands still."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A packet that could not be decoded."""

    error: Exception
    seconds: float


class AudioFile:
    """An open audio file; a context manager. Not safe for use by two threads at once."""

    def __init__(self, path: Path, track: int | None = None) -> None:
        """``track`` counts the file's audio tracks from 1; without one it is the file's default.

        Raises SourceError, with one line that names the file, when there is nothing to decode or no such track.
        """
        self._path = path
        self._status = _check_readable(path)
        self._wav = _wav_header(path, self._status.st_size)
        reading, options = _how_to_read(self._wav)
        try:
            self._container = open_container(path, reading, options)
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(f"{path}: not a file that can be decoded ({_reason(error)})") from error
        try:
            self._stream = self._choose(track)
        except SourceError:
            self._container.close()
            raise
        self._converter = av.AudioResampler(format="flt")
        self._converts: tuple[str, str, int] | None = None
        end_s = self._wav.promised_s if self._wav else None
        self._last_s = math.inf if end_s is None else end_s
        self._zero_s: float | None = None  # the container's time of the first sample on the stream's clock

    def _choose(self, track: int | None) -> av.AudioStream:
        tracks = list(self._container.streams.audio)
        if track is not None and track > len(tracks):
            there = f"its audio tracks are {self._tracks()}" if tracks else "it contains no audio"
            raise SourceError(f"{self._path}: has no audio track {track}; {there}")
        stream = self._container.streams.best("audio") if track is None else tracks[track - 1]
        if not isinstance(stream, av.AudioStream) or stream.codec_context is None:
            raise SourceError(f"{self._path}: contains no audio" + ("" if stream is None else " of a known kind"))
        return stream

    @property
    def track(self) -> int:
        """Which audio track is read, counted from 1."""
        return [stream.index for stream in self._container.streams.audio].index(self._stream.index) + 1

    @property
    def tracks(self) -> int:
        """How many audio tracks the file has."""
        return len(self._container.streams.audio)

    def remarks(self, *, chosen: bool) -> list[str]:
        """What should be known of the file before it is read, a line each; ``chosen``: the track was asked for."""
        found = []
        if self.tracks > 1 and not chosen:
            found.append(f"track {self.track} of {self.tracks} is heard; --track chooses: {self._tracks()}")
        if self._wav and self._wav.byte_rate and self._wav.unannounced > INCOMPLETE_S * self._wav.byte_rate:
            seconds = (self._wav.length - self._wav.unannounced) / self._wav.byte_rate
            whole_s = self._wav.length / self._wav.byte_rate
            found.append(
                f"its header tells of {seconds:.1f} s of audio, but it goes on to {whole_s:.1f} s; all is heard"
            )
        return found

    def _tracks(self) -> str:
        """The audio tracks in a few words each."""
        described = [
            f"{number} ({', '.join(_describe(stream))})"
            for number, stream in enumerate(self._container.streams.audio[:MAX_TRACKS_SHOWN], start=1)
        ]
        return ", ".join(described) + (f" to {self.tracks}" if self.tracks > MAX_TRACKS_SHOWN else "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def read(self) -> Iterator[Decoded | Missing]:
        """Decode from the start, holding no more than one packet.

        Everything that can be decoded comes out first; then SourceError, if the file breaks off, or became shorter or
        longer meanwhile. Samples and what is missing together keep the container's clock.
        """
        end_s = self._promised_s()
        position_s = 0.0  # of the next sample, on the container's clock
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
            for missing in self._missing(item, position_s, end_s, damaged_s if failure is not None else None):
                yield missing
                position_s += missing.seconds if missing.why != "early" else -missing.seconds
            failure, damaged_s = None, 0.0
            if len(heard := self._within(samples, position_s, item.sample_rate)):
                yield Decoded(heard, item.sample_rate)
            position_s = min(position_s + len(samples) / item.sample_rate, self._last_s)
            if position_s == self._last_s:
                break  # what follows is no audio, or is only being written
        if (size := self._size_now()) != self._status.st_size:
            were = f"it had {self._status.st_size} bytes and has {size}"
            raise SourceError(f"{self._path}: changed while it was read, {were}; heard up to {position_s:.1f} s")
        is_short = self._wav is not None and self._wav.missing > INCOMPLETE_S * self._wav.byte_rate
        incomplete = failure is not None or is_short if end_s is None else position_s < end_s - INCOMPLETE_S
        if incomplete:
            of = f" of {end_s:.1f} s" if end_s else ""
            raise SourceError(f"{self._path}: breaks off after {position_s:.1f} s{of}") from failure

    def _promised_by_matroska(self) -> float | None:
        """The track's end, where it is stated and no later than the file's; else that of the file's only track."""
        whole_s = (self._container.duration or 0) / av.time_base
        stated = _STATED_DURATION.fullmatch(self._stream.metadata.get("DURATION", ""))
        if stated is not None:
            hours, minutes, seconds = map(float, stated.groups())
            if 0 < (track_s := 3600 * hours + 60 * minutes + seconds) <= whole_s:
                return track_s
        return whole_s if whole_s and len(self._container.streams) == 1 else None

    def _within(self, samples: Samples, position_s: float, rate: int) -> Samples:
        """Those of ``samples`` that lie after the beginning of the clock and before the end of the audio."""
        first = max(0, round(-position_s * rate))
        last = len(samples) if self._last_s == math.inf else round((self._last_s - position_s) * rate)
        return samples[first:last]

    def _size_now(self) -> int:
        """The file's size; that at the start where another file has its name by now, or none."""
        try:
            status = self._path.stat()
        except OSError:
            return self._status.st_size
        return status.st_size if os.path.samestat(status, self._status) else self._status.st_size

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

    def _missing(
        self, frame: av.AudioFrame, position_s: float, end_s: float | None, damaged_s: float | None
    ) -> Iterator[Missing]:
        """What lies between ``position_s`` and ``frame``; ``damaged_s`` could not be decoded, None for nothing."""
        gap_s = self._gap_s(frame, position_s, end_s)
        if damaged_s is not None:
            yield Missing(damaged_s if frame.time is None else max(0.0, gap_s), "damage")
        elif gap_s:
            yield Missing(abs(gap_s), "early" if gap_s < 0 else "gap" if position_s else "late")

    def _gap_s(self, frame: av.AudioFrame, position_s: float, end_s: float | None) -> float:
        """How far ``frame`` lies behind its place by its time stamp; 0 where it is in place or cannot be believed."""
        if frame.time is None:
            return 0.0
        is_first = self._zero_s is None
        zero_s = self._container_zero_s() if self._zero_s is None else self._zero_s
        gap_s = frame.time - zero_s - position_s
        most_s = self._latest_s(zero_s, position_s, end_s) - position_s
        is_believed = SHORTEST_GAP_S < gap_s <= most_s or (is_first and -LONGEST_GAP_S <= gap_s < -SHORTEST_GAP_S)
        if is_first:
            self._zero_s = zero_s if is_believed else frame.time - position_s
        return gap_s if is_believed else 0.0

    def _container_zero_s(self) -> float:
        """The container's time with which its clock begins."""
        if self._container.format.name in STARTS_ANYWHERE:
            return (self._container.start_time or 0) / av.time_base
        if self._container.format.name == "mp3":  # what the encoder put in front is gone, and counted
            return float((self._stream.start_time or 0) * (self._stream.time_base or 0))
        return 0.0

    def _latest_s(self, zero_s: float, position_s: float, end_s: float | None) -> float:
        """Up to where a time stamp is believed."""
        if self._container.duration:
            whole_s = ((self._container.start_time or 0) + self._container.duration) / av.time_base - zero_s
            return max(whole_s, end_s or 0.0)
        return position_s + LONGEST_GAP_S if end_s is None else end_s

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
        """Where the header says that the audio ends, on the container's clock; None where it cannot be relied on."""
        name = self._container.format.name
        duration, time_base, start = self._stream.duration, self._stream.time_base, self._stream.start_time
        if self._wav:
            return self._wav.promised_s
        if name == "caf":
            with contextlib.suppress(OSError):  # it is gone meanwhile
                return caf_seconds(self._path)
            return None
        if name == "matroska,webm":
            return self._promised_by_matroska()
        # An MP3 file starts later than 0 only where its header counts the samples; else the length is an estimate.
        exact = name in EXACT_DURATION or (name == "mp3" and bool(start))
        if not (exact and duration and time_base):
            return None
        # Opus in Ogg counts its length from the clock's zero, Vorbis from its start: the former is the less.
        return float((duration + (0 if name in {"ogg", "mp3"} else max(0, start or 0))) * time_base)


def open_container(path: Path, reading: str | None = None, options: dict[str, str] | None = None) -> InputContainer:
    """Open a file for decoding, and nothing but this file. Raises ``av.FFmpegError``, ``ValueError``.

    ``reading`` is FFmpeg's reader and ``options`` are the reader's options; by itself FFmpeg chooses.
    """
    # "file:" keeps a colon in the name from being read as a protocol; the white list keeps a playlist from reaching out
    # to the network.
    only_files = {"protocol_whitelist": "file"}
    container: InputContainer = av.open(
        f"file:{path}", "r", format=reading, options=options, container_options=only_files, **_ANY_TAGS
    )
    return container


def _how_to_read(wav: WavHeader | None) -> tuple[str | None, dict[str, str]]:
    """FFmpeg's reader and its options, where what it makes of the header would be wrong; else it chooses by itself."""
    if wav is None:
        return None, {}
    if wav.is_exact and (wav.is_padded or not wav.is_believed):
        # It takes padded samples for floating-point numbers of its own or for fewer bytes than they have.
        layout = {"sample_rate": str(wav.rate), "ch_layout": f"{wav.channels}C"}
        return _RAW[wav.encoding, wav.sample_bytes], {**layout, "skip_initial_bytes": str(wav.start)}
    return None, {} if wav.is_believed else {"ignore_length": "1"}


def _wav_header(path: Path, size: int) -> WavHeader | None:
    """The header of a WAV; None for any other file, and where FFmpeg may find more in it."""
    try:
        with path.open("rb") as file:
            return read_wav_header(file, size)
    except (WavError, OSError):
        return None


def _describe(stream: av.AudioStream) -> Iterator[str]:
    """A track's title and language, where it says so, and what it is."""
    for name in ("title", "language"):
        if (said := stream.metadata.get(name, "").strip()) and said != "und":
            yield said[:MAX_TITLE_CHARS]
    kind = stream.codec_context
    yield f"{kind.name} {kind.layout.name} {stream.rate} Hz" if kind else "of an unknown kind"


def _check_readable(path: Path) -> os.stat_result:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SourceError(f"{path}: is a folder, not an audio file")
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{path}: is not a regular file")
        if status.st_size == 0:
            raise SourceError(f"{path}: is empty")
        with path.open("rb"):
            return status
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise SourceError(f"{path}: cannot be read ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
