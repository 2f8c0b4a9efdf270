"""A call on this computer: the microphone is you, what the computer plays is the others; neither is heard twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

import numpy as np

from emotrack.tracker.audio import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    AudioChunk,
    Samples,
    SourceItem,
    SourceLost,
    SourceRestored,
)
from emotrack.tracker.sources import ChannelSpeakers, Source
from emotrack.tracker.sources.echo import EchoCanceller
from emotrack.tracker.sources.microphone import Microphone

YOU: Final = "you"
OTHERS: Final = "others"
HEAD_START_S: Final = 0.064  # of what is played before the microphone: it may come through the sound server later
PATIENCE_S: Final = 1.5  # that one device waits for the other, longer than until it counts as lost
BEHIND_S: Final = 0.2  # by which a device must be behind the other one, without ever being less, ...
BEHIND_FOR_S: Final = 10.0  # ... for so long, to have a slower clock


class Call:
    """Two devices as two channels on one clock, without what comes from the loudspeakers into the microphone."""

    channels = 2
    speakers: tuple[ChannelSpeakers, ...] = (ChannelSpeakers(YOU, several=False), ChannelSpeakers(OTHERS, several=True))
    elsewhere = ""
    lossless = False
    realtime = True

    def __init__(self, microphone: Source, system: Source) -> None:
        """Both have one channel; ``system`` is what the computer plays."""
        self.name = f"{microphone.name} and {system.name}"
        self._sources = (microphone, system)
        for source in self._sources:
            if isinstance(source, Microphone):
                source.holds_quiet = False  # what one holds, the other would wait for

    @property
    def dropped_frames(self) -> int:
        """Blocks of either device that were thrown away."""
        return sum(source.dropped_frames for source in self._sources)

    @property
    def late_s(self) -> float:
        """Of the device that is heard later."""
        return max(source.late_s for source in self._sources)

    async def items(self) -> AsyncGenerator[SourceItem, None]:
        """Chunks of whole frames until it is closed. Raises SourceError when a device cannot be opened at the start.

        A device that is lost is silent until it is back, while the other one is heard.
        """
        streams = [source.items() for source in self._sources]
        tracks = _Track(round(HEAD_START_S * SAMPLE_RATE)), _Track(0)
        echo = EchoCanceller()
        position = in_step_at = 0
        awaited = {asyncio.ensure_future(anext(stream)): place for place, stream in enumerate(streams)}
        try:
            while True:
                done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    place = awaited.pop(task)
                    item = task.result()
                    awaited[asyncio.ensure_future(anext(streams[place]))] = place
                    if isinstance(item, AudioChunk):
                        tracks[place].put(item)
                    else:
                        yield tracks[place].on_this_clock(item)
                lengths = [track.length for track in tracks]
                behind = max(lengths) - min(lengths)
                if behind < BEHIND_S * SAMPLE_RATE:
                    in_step_at = position
                elif position - in_step_at > BEHIND_FOR_S * SAMPLE_RATE:
                    tracks[lengths.index(min(lengths))].catch_up(behind)
                    in_step_at = position
                ready = max(min(lengths), max(lengths) - round(PATIENCE_S * SAMPLE_RATE))
                if ready >= FRAME_SAMPLES:
                    heard, played = (track.take(ready - ready % FRAME_SAMPLES) for track in tracks)
                    yield AudioChunk(np.stack([echo.remove(heard, played), played], axis=1), position)
                    position += len(heard)
        finally:
            for task in awaited:
                task.cancel()
            await asyncio.gather(*awaited, return_exceptions=True)
            for stream in streams:
                await stream.aclose()


class _Track:
    """What one device has delivered and is still to be passed on, on the clock of the call."""

    def __init__(self, delay: int) -> None:
        """``delay``: samples of silence before it."""
        self._delay = delay
        self._ahead: int | None = None  # of the device's own clock, in samples
        self._passed = self._lost_at = 0
        self._waiting: Samples = np.zeros(0, np.float32)

    @property
    def length(self) -> int:
        """Samples that can be taken."""
        return len(self._waiting)

    def put(self, chunk: AudioChunk) -> None:
        """Add a chunk of one channel where its start says: what is missing is silence, what comes too late is left out.

        A chunk that comes too late as a whole sets its clock anew.
        """
        if self._ahead is None or chunk.end + self._ahead <= self._passed:
            self._ahead = self._passed + self._delay - chunk.start
        start = chunk.start + self._ahead
        missing = start - (self._passed + self.length)
        silence = np.zeros(max(missing, 0), np.float32)
        self._waiting = np.concatenate([self._waiting, silence, chunk.samples[max(-missing, 0) :, 0]])

    def on_this_clock(self, item: SourceItem) -> SourceItem:
        """What the device says of itself: the clock of the call goes on while it is lost."""
        if isinstance(item, SourceLost):
            self._lost_at = self._passed
        elif isinstance(item, SourceRestored):
            passed_s = (self._passed - self._lost_at) / SAMPLE_RATE
            return replace(item, passed_s=min(passed_s, item.seconds_lost))
        return item

    def catch_up(self, samples: int) -> None:
        """Set the device's clock forward; there is silence in between."""
        if self._ahead is not None:
            self._ahead += samples

    def take(self, samples: int) -> Samples:
        """The next ``samples``, (samples,); silence where they have not come."""
        taken, self._waiting = self._waiting[:samples], self._waiting[samples:]
        self._passed += samples
        return np.concatenate([taken, np.zeros(samples - len(taken), np.float32)])
