"""Keeping the audio of turns, for those who ask for it: one FLAC file per turn beside the saved session."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.messages.plain import unicode

_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class KeepingError(EmotrackError):
    """The audio of a turn cannot be written."""


def audio_folder(saved: Path) -> Path:
    """Where the voices of the sessions saved to a file lie."""
    return saved.with_name(unicode(saved.with_suffix(".audio").name))  # as events can name it


class AudioKeeper:
    """Writes turns to ``NAME.audio/SESSION/TURN.flac`` for the saved session ``NAME.jsonl``."""

    def __init__(self, saved: Path) -> None:
        self._beside = saved.parent
        self._folder = audio_folder(saved)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")

    async def keep(self, session: str, turn_id: int, samples: Samples) -> str:
        """Write ``samples``, (samples,) at 16 kHz; returns the path relative to the session's file.

        Raises ``KeepingError``.
        """
        path = self._folder / _folder_name(session) / f"{turn_id}.flac"
        await asyncio.get_running_loop().run_in_executor(self._thread, _write_flac, path, samples)
        return path.relative_to(self._beside).as_posix()

    def close(self) -> None:
        self._thread.shutdown(wait=False)


def _folder_name(session: str) -> str:
    """The session's own id, if it is one as we make them; nothing else may name a folder, and lead elsewhere."""
    return (
        session if _SESSION_ID.fullmatch(session) else hashlib.sha256(session.encode(errors="replace")).hexdigest()[:32]
    )


def _write_flac(path: Path, samples: Samples) -> None:
    pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16).reshape(1, -1)  # (1, samples)
    frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    try:
        for folder in (path.parents[1], path.parent):  # voices are nobody else's business
            folder.mkdir(mode=0o700, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, av.open(file, "w", format="flac") as container:
            stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except (OSError, av.FFmpegError) as error:
        with contextlib.suppress(OSError):  # half a file is worse than none
            path.unlink()
        raise KeepingError(f"cannot keep the audio in {path}: {error.strerror or error}") from error
