"""What emotrack makes of a user's voice while a voice agent talks with them: the part that every framework needs.

A user's message then begins with how it sounded, as Pipecat's Real-time Context Standard writes it:

    ([emotion joy=0.71, surprise=0.20]) I got the job!

Only with users who know of it and agree: see docs/responsible-use.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

import emotrack

EXPLANATION: Final = (
    "A message of the user may begin with ([emotion ...]): a guess, by voice and words, at how it sounded. Let it "
    "colour the tone of your answer, do not mention it, and rely on what the user says where the two do not agree."
)
"""For the agent's instructions."""
MAX_WAITING: Final = 500  # blocks of audio, some 10 s; the oldest goes where the tracker is late
LIKELY: Final = 0.15  # what is less likely is not told


class UserVoice:
    """Feed it the user's audio with ``hear``, and ask with ``reading`` how the latest words sounded."""

    def __init__(self, tracker: emotrack.Tracker) -> None:
        """``tracker`` has been entered; any number of users share it."""
        self._tracker = tracker
        self._blocks: asyncio.Queue[NDArray[np.int16] | None] = asyncio.Queue(MAX_WAITING)
        self._following: asyncio.Task[None] | None = None
        self._latest: emotrack.Turn | emotrack.Provisional | None = None
        self._came = asyncio.Event()
        self._told_until_s = 0.0

    def hear(self, pcm: bytes, rate: int, channels: int) -> None:
        """Take 16-bit samples, all of one rate and number of channels."""
        if self._following is None:
            source = emotrack.Blocks(self._heard(), rate, realtime=True, name="the user")
            self._following = asyncio.create_task(self._follow(source))
        if self._blocks.full():
            self._blocks.get_nowait()
        self._blocks.put_nowait(np.frombuffer(pcm, np.int16).reshape(-1, channels))

    async def reading(self, within_s: float) -> str | None:
        """How the words since the last reading sounded; None where that is not known within so many seconds."""
        try:
            async with asyncio.timeout(within_s):
                await self._came.wait()
        except TimeoutError:
            return None
        self._came.clear()
        assert self._latest is not None
        self._told_until_s = _end_s(self._latest)
        return in_words(self._latest)

    async def close(self) -> None:
        """End the session."""
        if self._following is not None:
            if self._blocks.full():
                self._blocks.get_nowait()
            self._blocks.put_nowait(None)
            await self._following

    async def _heard(self) -> AsyncIterator[NDArray[np.int16]]:
        while (block := await self._blocks.get()) is not None:
            yield block

    async def _follow(self, source: emotrack.Blocks) -> None:
        async for event in self._tracker.track(source):
            if isinstance(event, emotrack.Turn | emotrack.Provisional) and event.start_s >= self._told_until_s:
                self._latest = event
                self._came.set()


def in_words(event: emotrack.Turn | emotrack.Provisional) -> str:
    """An estimate as the head of a message."""
    if event.uncertain:
        return "([emotion uncertain])"
    likely = sorted(
        ((chance, label) for label, chance in event.probabilities.items() if chance >= LIKELY), reverse=True
    )
    return f"([emotion {', '.join(f'{label}={chance:.2f}' for chance, label in likely)}])"


def _end_s(event: emotrack.Turn | emotrack.Provisional) -> float:
    return event.end_s if isinstance(event, emotrack.Turn) else event.at_s
