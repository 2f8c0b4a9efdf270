"""A stream that a program has in its own hands: blocks of samples go in, events come out.

    python examples/track_stream.py

Here a recording plays the stream: blocks of 20 ms, int16, as a sound card or a WebSocket would hand them over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

import emotrack

CONVERSATION = Path(__file__).parent / "kitchen-table.flac"
RATE = 48_000  # Hz
BLOCK = RATE // 50  # 20 ms


async def blocks() -> AsyncIterator[NDArray[np.int16]]:
    """(samples, channels) each."""
    converter = av.AudioResampler(format="s16", layout="stereo", rate=RATE, frame_size=BLOCK)
    with av.open(str(CONVERSATION)) as container:
        for frame in container.decode(audio=0):
            for piece in converter.resample(frame):
                yield piece.to_ndarray().reshape(-1, 2).astype(np.int16)


async def main() -> None:
    async with emotrack.Tracker(recogniser="none") as tracker:
        async for event in tracker.track(emotrack.Blocks(blocks(), rate=RATE, channels="split")):
            match event:
                case emotrack.Turn():
                    print(
                        f"{event.start_s:6.1f} s  {event.speaker}: {event.emotion} {event.confidence:.2f}", flush=True
                    )
                case emotrack.SessionEnded():
                    print(f"{event.turns} turns; the mood is {event.mood}")


if __name__ == "__main__":
    asyncio.run(main())
