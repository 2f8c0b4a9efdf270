"""A microphone as a source: never waits for its reader, survives being unplugged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat

from emotrack.tracker.audio import (
    FRAME_SAMPLES,
    MAX_CHANNELS,
    AudioChunk,
    Samples,
    SourceItem,
    SourceLost,
    SourceRestored,
)
from emotrack.tracker.errors import SourceError
from emotrack.tracker.messages.notices import lasting, over
from emotrack.tracker.sources import ONE_CHANNEL, Channels, usual_speakers
from emotrack.tracker.sources.capture import Block, Capture
from emotrack.tracker.sources.devices import InputDevice, find_again, find_device, list_devices
from emotrack.tracker.sources.mixing import Mixer
from emotrack.tracker.sources.pulse import PulseCapture, all_inputs, find_monitor, list_pulse_devices
from emotrack.tracker.sources.resampler import Chunker, usable

_log = logging.getLogger(__name__)

WATCHDOG_S = 1.0  # without a callback the device counts as lost
START_S = 5.0  # a sound server may take seconds to wake a sleeping device
RETRY_S = (0.25, 0.5, 1.0, 2.0)  # between attempts to reopen; the last one for ever
MUTED_S = 5.0  # of exact zeros before somebody is told
CONVERTED_CHANNELS = 2  # asked of a device that offers more than MAX_CHANNELS: a sound server that converts


class Microphone:
    """An input device by name. Of PortAudio's only one can be open at a time: reopening restarts PortAudio."""

    elsewhere = ""
    lossless = False
    realtime = True

    def __init__(
        self,
        device: str | InputDevice | None = None,
        channels: Channels = "mix",
    ) -> None:
        """``device`` is a name or a part of one, or what was found; None for the system's default.

        Raises SourceError without PortAudio or any input, and when the name fits none or several.
        """
        self._device = device if isinstance(device, InputDevice) else find_device(device, all_inputs())
        self.name = self._device.name
        self._recorded = self._device.channels if self._device.channels <= MAX_CHANNELS else CONVERTED_CHANNELS
        self._mix = channels == "mix"
        self.channels = 1 if self._mix else self._recorded
        self.speakers = usual_speakers(self.channels)
        self.dropped_frames = 0
        """Blocks that were thrown away, and times that the device itself lost audio."""
        self.late_s = 0.0
        self.holds_quiet = True
        """Quiet sound comes in longer pieces."""
        self._chunker = Chunker(self.channels, FRAME_SAMPLES, holds_quiet=self.holds_quiet)
        self._mixer = Mixer()
        self._next_number = self._next_frame = 0  # of the block that follows, if none is dropped
        self._silent_s = 0.0
        self._told_muted = False

    async def items(self) -> AsyncGenerator[SourceItem, None]:
        """Chunks of 32 ms, longer ones of what is quiet, until it is closed.

        Raises SourceError when the device cannot be opened at the start.

        When the device falls silent: what was heard, ``SourceLost``, and ``SourceRestored`` once it delivers again,
        on a clock that has gone on meanwhile.
        """
        loop = asyncio.get_running_loop()
        worker = ThreadPoolExecutor(1, thread_name_prefix="portaudio")  # its calls block; all in one thread
        self._chunker = Chunker(self.channels, FRAME_SAMPLES, holds_quiet=self.holds_quiet)
        self._capture = self._new_capture(loop)
        self._next_number = self._next_frame = 0
        try:
            await loop.run_in_executor(worker, self._capture.open, self._device, self._recorded)
            first = await self._capture.blocks.get(START_S)
            if first is None:
                raise SourceError(f"{self.name!r} delivers no audio")
            if not self._mix and self.channels == 1:
                _log.warning("%r: %s", self.name, ONE_CHANNEL)
            while True:
                heard_until = first.heard_at
                async for block in self._blocks_from(first):
                    for chunk in self._hear(block):
                        yield chunk
                    heard_until = block.heard_at
                for chunk in self._chunker.flush():
                    yield chunk
                silence = "delivers no audio" if self._capture.running else "was disconnected"
                yield SourceLost(f"{self.name!r} {silence}")
                first = await self._recover(worker)
                opened_at = first.heard_at - (first.first_frame + len(first.samples)) / self._capture.rate
                lost_s = max(0.0, opened_at - heard_until)
                self._chunker.skip(lost_s)
                yield SourceRestored(lost_s)
        finally:
            self._chunker.flush()  # lets go of the resampler, native memory, though the source may be kept
            await loop.run_in_executor(worker, self._capture.close)
            worker.shutdown(wait=False)

    def _new_capture(self, loop: asyncio.AbstractEventLoop) -> Capture | PulseCapture:
        return PulseCapture(loop) if self._device.server_name else Capture(loop)

    async def _blocks_from(self, block: Block | None) -> AsyncIterator[Block]:
        """``block`` and what follows, until none comes for ``WATCHDOG_S``."""
        while block is not None:
            self.late_s = time.monotonic() - block.heard_at
            yield block
            block = await self._capture.blocks.get(WATCHDOG_S)
        self.late_s = 0.0

    async def _recover(self, worker: ThreadPoolExecutor) -> Block:
        """The first block that the device delivers once it is back, however long that takes."""
        loop = asyncio.get_running_loop()
        for pause_s in chain(RETRY_S, repeat(RETRY_S[-1])):
            await loop.run_in_executor(worker, self._capture.close)
            await asyncio.sleep(pause_s)
            self._capture = self._new_capture(loop)
            self._next_number = self._next_frame = 0
            if await loop.run_in_executor(worker, self._reopen, self._capture):
                block = await self._capture.blocks.get(START_S)
                if block is not None:
                    return block
        raise AssertionError("unreachable: the pauses never end")

    def _reopen(self, capture: Capture | PulseCapture) -> bool:
        """Whether the device is there again and recording; runs in the worker thread."""
        try:
            there = list_pulse_devices() if self._device.server_name else list_devices(refresh=True)
            device = find_again(self.name, there)
            if device is None:
                return False
            capture.open(device, self._recorded)
        except SourceError:
            return False
        return True

    def _hear(self, block: Block) -> list[AudioChunk]:
        rate = self._capture.rate
        self.dropped_frames += block.number - self._next_number + block.overflowed
        missing = block.first_frame - self._next_frame
        self._next_number, self._next_frame = block.number + 1, block.first_frame + len(block.samples)
        chunks = self._chunker.skip(missing / rate) if missing else []
        if not self._device.is_monitor:
            self._watch_for_silence(block.samples, rate)
        samples, _ = usable(block.samples)
        if self._mix:
            samples = self._mixer.mix(samples, rate)
            if self._mixer.remark:
                _log.warning("%r: %s", self.name, self._mixer.remark)
        return chunks + self._chunker.push(samples, rate)

    def _watch_for_silence(self, samples: Samples, rate: int) -> None:
        """Exact zeros never come from a microphone that is on: tell, and when there is sound again."""
        self._silent_s = 0.0 if samples.any() else self._silent_s + len(samples) / rate
        if self._silent_s >= MUTED_S and not self._told_muted:
            self._told_muted = True
            _log.warning("%r delivers only silence; is it muted?", self.name, extra=lasting("muted"))
        elif not self._silent_s and self._told_muted:
            self._told_muted = False
            _log.info("%r is heard again", self.name, extra=over("muted"))


class SystemSound(Microphone):
    """What this computer plays, in one channel."""

    def __init__(self, output: str | None = None) -> None:
        """``output`` is a name of the sound server or a part of one, None for its default.

        Raises SourceError where neither PulseAudio nor PipeWire runs, and when the name fits none or several.
        """
        super().__init__(find_monitor(output))
