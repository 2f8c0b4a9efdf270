"""The audio messages of one site as a source, on a clock of its own.

Messages wait here, decoded and bounded; when too much waits the oldest go. What was lost on the way moves the clock
on, what only came late does not.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Final

from emotrack.tracker.audio import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    AudioChunk,
    Samples,
    SourceItem,
    SourceLost,
    SourceRestored,
)
from emotrack.tracker.mqtt.sites.arrival import LATE_S, Arrival, ArrivalClock, Pace
from emotrack.tracker.mqtt.sites.audio_payload import decode_audio
from emotrack.tracker.sources import ROOM
from emotrack.tracker.sources.mixing import Mixer
from emotrack.tracker.sources.resampler import Chunker

CHUNK_SAMPLES: Final = 2 * FRAME_SAMPLES  # 64 ms: half as many hops between threads as messages of 32 ms
MAX_WAITING_S: Final = 8.0  # of audio
SETTLE_S: Final = 0.1  # what only came late follows, in a burst, within this time
STALL_S: Final = 1.5  # without a message the turn under way ends
MAX_GAP_S: Final = 60.0  # a message numbered further ahead begins a new numbering ...
MAX_LATE_S: Final = 2.0  # ... and so does one further back


@dataclass(frozen=True, slots=True)
class _Piece:
    """One message, decoded."""

    samples: Samples  # (samples, 1)
    rate: int  # Hz
    sample: int | None  # the sender's number for the first of them
    arrival: Arrival
    put_at: float
    """Seconds, ``time.monotonic``."""


class SiteSource:
    """A microphone that sends over MQTT. ``put`` feeds it; it ends by itself after ``idle_s`` without a message."""

    channels = 1
    speakers = ROOM
    elsewhere = ""
    lossless = False
    realtime = True

    def __init__(self, site: str, idle_s: float, start_s: float = 0.0) -> None:
        """``start_s`` is where the stream clock stands already, for a session that goes on here."""
        self.name = f"mqtt:{site}"
        self.dropped: Counter[str] = Counter()
        """Messages that were not heard, by reason: ``overrun``, ``repeated`` or ``late``."""
        self.pace = Pace()
        self._idle_s = idle_s
        self._start = round(start_s * SAMPLE_RATE)
        self._mixer = Mixer()
        self._waiting: deque[_Piece] = deque()
        self._waiting_s = 0.0
        self._overrun_s = 0.0  # dropped before the oldest that waits
        self._arrived = asyncio.Event()
        self._clock = ArrivalClock()
        self._next_sample: int | None = None
        self._rate = 0

    @property
    def dropped_frames(self) -> int:
        return self.dropped["overrun"]

    @property
    def late_s(self) -> float:
        """For how many seconds the oldest message has been waiting."""
        return time.monotonic() - self._waiting[0].put_at if self._waiting else 0.0

    def put(self, payload: bytes, content_type: str | None, sample: int | None, at_s: float | None) -> None:
        """Take a message that arrived at ``at_s`` (monotonic seconds; None: unknown). Raises ``AudioPayloadError``."""
        samples, rate = decode_audio(payload, content_type, self._mixer)
        seconds, now_s = len(samples) / rate, time.monotonic()
        self.pace.take(seconds, now_s)
        self._waiting.append(_Piece(samples, rate, sample, Arrival(at_s, seconds, zlib.crc32(payload)), now_s))
        self._waiting_s += seconds
        while self._waiting_s > MAX_WAITING_S and len(self._waiting) > 1:
            self._overrun_s += self._take().arrival.seconds
            self.dropped["overrun"] += 1
        self._arrived.set()

    async def items(self) -> AsyncGenerator[SourceItem, None]:
        """Chunks of 64 ms; ``SourceLost`` when messages stop coming, ``SourceRestored`` when they come again."""
        chunker = Chunker(self.channels, CHUNK_SAMPLES)
        chunker.position = self._start
        if not await self._wait(self._idle_s):
            return
        while True:
            if not await self._wait(STALL_S):
                for chunk in chunker.flush():
                    yield chunk
                yield SourceLost(f"{self.name} sends no audio")
                if not await self._wait(self._idle_s - STALL_S):
                    return
                lost_s = await self._gap_s()
                self._skip(chunker, lost_s)
                yield SourceRestored(lost_s)
            elif (lost_s := await self._gap_s()) > 0:
                for chunk in self._skip(chunker, lost_s):
                    yield chunk
            for chunk in self._hear(chunker):
                yield chunk

    def _hear(self, chunker: Chunker) -> Iterator[AudioChunk]:
        piece = self._take()
        if self._next_sample is not None and piece.sample is not None and piece.sample < self._next_sample:
            self.dropped["late"] += 1
            return
        if piece.sample is None and self._clock.is_repeated(piece.arrival) and piece.samples.any():
            self.dropped["repeated"] += 1
            return
        self._clock.take(piece.arrival)
        self._rate = piece.rate
        self._next_sample = None if piece.sample is None else piece.sample + len(piece.samples)
        yield from chunker.push(piece.samples, piece.rate)

    async def _gap_s(self) -> float:
        """How much audio is missing before the oldest message that waits; 0 where it is in place or only late."""
        overrun_s, self._overrun_s = self._overrun_s, 0.0
        if overrun_s:
            return overrun_s
        behind_s, tolerated_s = self._behind_s()
        if behind_s <= tolerated_s:
            return 0.0
        await self._settle()
        if self._waiting[0].sample is not None:
            self._waiting = deque(sorted(self._waiting, key=lambda piece: piece.sample or 0))
        behind_s, tolerated_s = self._behind_s()
        if tolerated_s:  # by the clock: what a burst makes up for was only late
            behind_s = self._clock.behind_at_least_s(piece.arrival for piece in self._waiting)
        return behind_s if behind_s > tolerated_s else 0.0

    async def _settle(self) -> None:
        """Wait while more audio comes than time passes: somebody on the way is catching up."""
        gained_s = MAX_WAITING_S
        while gained_s > SETTLE_S and self._waiting_s < MAX_WAITING_S / 2:
            before_s = self._waiting_s
            await asyncio.sleep(SETTLE_S)
            gained_s = self._waiting_s - before_s - self._waiting[0].arrival.seconds

    def _behind_s(self) -> tuple[float, float]:
        """How long after the end of what was heard the oldest message that waits begins, and what of it is jitter."""
        piece = self._waiting[0]
        if piece.sample is not None and self._next_sample is not None and piece.rate == self._rate:
            gap_s = (piece.sample - self._next_sample) / piece.rate
            if -MAX_LATE_S <= gap_s <= MAX_GAP_S:
                return gap_s, 0.0
        self._next_sample = None
        return self._clock.behind_s(piece.arrival), LATE_S

    def _skip(self, chunker: Chunker, lost_s: float) -> list[AudioChunk]:
        self._clock.skip(lost_s)
        if self._next_sample is not None:
            self._next_sample += round(lost_s * self._rate)
        return chunker.skip(lost_s)

    def _take(self) -> _Piece:
        piece = self._waiting.popleft()
        self._waiting_s -= piece.arrival.seconds
        return piece

    async def _wait(self, timeout_s: float) -> bool:
        """Whether a message waits, or came within ``timeout_s``."""
        if not self._waiting:
            self._arrived.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                return False
        return True
