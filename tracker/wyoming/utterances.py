"""What is said to one site, one utterance after the other, as a source: whoever speaks says when an utterance ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final

from emotrack.tracker.audio import FRAME_SAMPLES, Samples, SourceItem, UtteranceEnded
from emotrack.tracker.hearing.listener import MAX_BRIDGED_GAP_S
from emotrack.tracker.sources import ROOM
from emotrack.tracker.sources.mixing import Mixer
from emotrack.tracker.sources.resampler import Chunker

MAX_WAITING: Final = 16  # messages of audio that wait for the session; then whoever sends waits
APART_S: Final = MAX_BRIDGED_GAP_S + 0.1  # that utterances are apart at least on the stream clock: no turn spans two

_Block = tuple[Samples, int]  # (samples, channels), and their rate in Hz
_Over = asyncio.Future[None]  # that the utterance has ended, and all its turns are known


class UtteranceSource:
    """A source that never ends by itself; utterances do not overlap."""

    channels = 1
    speakers = ROOM
    elsewhere = ""
    lossless = True  # who sends too fast waits
    realtime = True
    dropped_frames = 0
    late_s = 0.0

    def __init__(self, name: str) -> None:
        self.name = name
        self._waiting: asyncio.Queue[_Block | _Over] = asyncio.Queue(MAX_WAITING)

    async def put(self, samples: Samples, rate: int) -> None:
        """Take (samples, channels) of the utterance under way, at ``rate`` Hz, once there is room."""
        await self._waiting.put((samples, rate))

    async def end(self) -> None:
        """The utterance is over. Returns when it is known how many turns it had."""
        over: _Over = asyncio.get_running_loop().create_future()
        await self._waiting.put(over)
        await over

    async def items(self) -> AsyncGenerator[SourceItem, None]:
        """Chunks of 64 ms, and where each utterance ends."""
        chunker = Chunker(self.channels, 2 * FRAME_SAMPLES)
        mixer, ended_s = Mixer(), time.monotonic()
        is_new = True
        while True:
            item = await self._waiting.get()
            if isinstance(item, asyncio.Future):
                for chunk in chunker.flush():
                    yield chunk
                with _told(item):
                    yield UtteranceEnded()  # whoever asks for what comes after it has counted the turns before it
                is_new, ended_s = True, time.monotonic()
                continue
            if is_new:
                chunker.skip(max(APART_S, time.monotonic() - ended_s))
                mixer, is_new = Mixer(), False
            samples, rate = item
            for chunk in chunker.push(mixer.mix(samples, rate), rate):
                yield chunk


@contextmanager
def _told(over: _Over) -> Iterator[None]:
    try:
        yield
    finally:
        if not over.done():  # nobody waits for it where the client has gone
            over.set_result(None)
