"""The loaded models at work, each in one thread of its own; any number of conversations share them.

Every conversation asks for one thing at a time, and each thread serves in the order of asking: nobody waits for more
than one turn of every other conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from torch import Tensor

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import Samples
from emotrack.tracker.listener import SpeechTurn
from emotrack.tracker.recognisers import Recogniser, Transcript

T = TypeVar("T")


class Engine:
    """The network, the recogniser and their threads. Close it when no conversation uses it any more."""

    def __init__(self, network: EmotionNetwork, recogniser: Recogniser | None) -> None:
        self.network = network
        self.recogniser = recogniser
        self._listening = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vad")
        self._recognising = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recogniser")
        self._encoding_text = ThreadPoolExecutor(max_workers=1, thread_name_prefix="text")
        self._encoding_speech = ThreadPoolExecutor(max_workers=1, thread_name_prefix="speech")

    async def listen(self, hear: Callable[[], T]) -> T:
        """Run ``hear``, which looks for turns in new audio."""
        return await asyncio.get_running_loop().run_in_executor(self._listening, hear)

    async def recognise(self, turn: SpeechTurn) -> Transcript:
        """The words of ``turn``; none without a recogniser. Raises what the recogniser's own engine raises."""
        if self.recogniser is None:
            return Transcript(None, None)
        return await asyncio.get_running_loop().run_in_executor(self._recognising, self.recogniser.transcribe, turn)

    async def embed_text(self, text: str, before: Sequence[str | None]) -> Tensor:
        """The words of a turn, read with those of the turns before it, oldest first."""
        return await asyncio.get_running_loop().run_in_executor(
            self._encoding_text, self.network.embed_text, text, before
        )

    async def embed_speech(self, samples: Samples) -> Tensor:
        """The voice in ``samples``, (samples,) at 16 kHz."""
        return await asyncio.get_running_loop().run_in_executor(
            self._encoding_speech, self.network.embed_speech, samples
        )

    def close(self) -> None:
        """End the threads, and the recogniser with them."""
        for thread in (self._listening, self._recognising, self._encoding_text, self._encoding_speech):
            thread.shutdown(wait=False, cancel_futures=True)
        if self.recogniser is not None:
            self.recogniser.close()
