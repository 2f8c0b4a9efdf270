"""Hearing the turns of a saved session whose audio was kept."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import soxr

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import Samples
from emotrack.tracker.errors import SourceError
from emotrack.tracker.sources.decoder import AudioFile, Decoded
from emotrack.tracker.sources.devices import portaudio
from emotrack.tracker.sources.mixing import mixed
from emotrack.tracker.sources.resampler import usable

_log = logging.getLogger(__name__)

LONGEST_S = 60.0  # more than any turn has; the rest of a file that is longer is not played


class NoOutputError(EmotrackError):
    """Nothing can be played on this machine."""


def audio_path(session_file: Path, audio: str) -> Path:
    """Where the audio of a turn lies. Raises ``SourceError`` for a path that leads away from the session's folder."""
    inside = PurePosixPath(audio)
    if not inside.parts or inside.is_absolute() or ".." in inside.parts or "\0" in audio:
        raise SourceError(f"{audio!r} is not beside the session and is not played")
    return session_file.parent / inside


def read_voice(path: Path) -> tuple[Samples, int]:
    """The sound in a file as (samples, 1), and its rate in Hz. Raises ``SourceError``."""
    parts: list[Samples] = []
    rate, missing = 0, LONGEST_S
    with AudioFile(path) as file:
        for piece in file.read():
            if isinstance(piece, Decoded) and rate in (0, piece.rate):
                rate = piece.rate
                parts.append(mixed(usable(piece.samples[: int(missing * rate)])[0]))
                missing -= len(parts[-1]) / rate
            if missing <= 1 / max(rate, 1):
                break
    if not parts:
        raise SourceError(f"{path}: contains no sound")
    return np.concatenate(parts), rate


class VoicePlayer:
    """Plays turns, one at a time; a newer one cuts off the one before. What goes wrong is said, never raised."""

    def __init__(self, session_file: Path) -> None:
        self._session_file = session_file
        self._worker = ThreadPoolExecutor(1, "emotrack-voices")  # opening a device may take a while
        self._wanted: str | None = None
        self._playing_until = 0.0
        self.is_mute = False
        """No sound comes out of this machine."""

    @property
    def is_playing(self) -> bool:
        return time.monotonic() < self._playing_until

    def play(self, audio: str | None) -> None:
        """Play a turn's file from its start; None for silence."""
        self._wanted, self._playing_until = audio, 0.0
        if not self.is_mute:
            self._worker.submit(self._play, audio)

    def close(self) -> None:
        """Fall silent."""
        self.play(None)
        self._worker.shutdown()

    def _play(self, audio: str | None) -> None:
        if audio is not self._wanted or self.is_mute:
            return  # the person has gone on meanwhile
        try:
            if audio is None:
                _stop()
                return
            samples, rate = read_voice(audio_path(self._session_file, audio))
            _start(samples, rate)
            self._playing_until = time.monotonic() + len(samples) / rate
        except NoOutputError as error:
            self.is_mute = True
            _log.warning("%s", error)
        except SourceError as error:
            _log.warning("%s", error)


def _start(samples: Samples, rate: int) -> None:
    try:
        sound = portaudio()
    except SourceError as error:
        raise NoOutputError("turns cannot be heard: the PortAudio library is not installed") from error
    try:
        device = sound.query_devices(kind="output")
        # Converted here, as a bare sound card plays neither 16 kHz nor one channel.
        device_rate = round(device["default_samplerate"])
        converted = soxr.resample(samples, rate, device_rate)
        sound.play(np.repeat(converted, min(2, device["max_output_channels"]), axis=1), device_rate)
    except (sound.PortAudioError, ValueError) as error:
        raise NoOutputError("turns cannot be heard: no audio output works here") from error


def _stop() -> None:
    if portaudio.cache_info().currsize:  # else nothing was ever played
        portaudio().stop()
