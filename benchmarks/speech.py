"""Speech to measure with: the bundled conversation, whole, in turns, and as a room in which people never stop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from functools import cache
from pathlib import Path

import numpy as np
import soxr

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, AudioChunk, Samples
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.sources import ROOM
from emotrack.tracker.sources.decoder import AudioFile, Decoded
from emotrack.tracker.sources.mixing import mixed

CONVERSATION = Path(__file__).parents[1] / "examples" / "kitchen-table.flac"
CAPTIONS = CONVERSATION.with_suffix(".vtt")


def mono(path: Path) -> Samples:
    """The whole of a recording at 16 kHz, channels mixed: (samples,)."""
    with AudioFile(path) as file:
        pieces = [piece for piece in file.read() if isinstance(piece, Decoded)]
    (rate,) = {piece.rate for piece in pieces}
    whole: Samples = soxr.resample(mixed(np.concatenate([piece.samples for piece in pieces]))[:, 0], rate, SAMPLE_RATE)
    return whole


@cache
def turns() -> list[SpeechTurn]:
    """The bundled conversation's turns, as the tracker cuts them: 12 of 2.5 to 5.3 s."""
    listener = Listener(0, SegmenterOptions())
    return listener.push(mono(CONVERSATION), 0) + listener.flush()


def words() -> list[str]:
    """What is said in each of them."""
    return [turn["text"] for turn in json.loads(CONVERSATION.with_suffix(".json").read_text())["turns"]]


class Room:
    """A source: people who go on talking, paced as a microphone would be. Audio that is not read in time waits."""

    name = "a room"
    channels = 1
    speakers = ROOM
    elsewhere = ""
    lossless = False
    dropped_frames = 0
    late_s = 0.0
    realtime = False

    def __init__(self, audio: Samples, seconds: float) -> None:
        """``audio``, (samples,), is played over and over for ``seconds``."""
        self._length = len(audio)
        self._audio = np.concatenate([audio, audio[:FRAME_SAMPLES]])
        self.seconds = seconds
        self.began = 0.0
        """When its stream time was zero: seconds, ``time.monotonic``."""

    async def items(self) -> AsyncGenerator[AudioChunk]:
        self.began = time.monotonic()
        for start in range(0, round(self.seconds * SAMPLE_RATE), FRAME_SAMPLES):
            due = self.began + (start + FRAME_SAMPLES) / SAMPLE_RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            place = start % self._length
            yield AudioChunk(self._audio[place : place + FRAME_SAMPLES, None], start)
