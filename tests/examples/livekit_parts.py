"""Audio and words for an agent of LiveKit, in place of a room and a recogniser."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from livekit import rtc
from livekit.agents import stt
from livekit.agents.voice.io import AudioInput

RATE = 16_000
PACE_S = 0.002  # a block, which lasts ten times as long


class Recording(AudioInput):
    """Blocks of 16-bit samples, then silence for ever."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        super().__init__(label="a recording")
        self._left = iter(blocks)

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(PACE_S)
        block = next(self._left, None)
        if block is None:
            await asyncio.Event().wait()
        assert block is not None
        return rtc.AudioFrame(block, RATE, 1, len(block) // 2)


class Recogniser(stt.STT):
    """Hears the same words in whatever is said, ``after`` so many blocks."""

    def __init__(self, after: int) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))
        self.after = after

    async def _recognize_impl(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def stream(self, *, conn_options: Any, **_: Any) -> _Recognition:
        return _Recognition(self, conn_options)


class _Recognition(stt.RecognizeStream):
    def __init__(self, recogniser: Recogniser, conn_options: Any) -> None:
        super().__init__(stt=recogniser, conn_options=conn_options)
        self._after = recogniser.after

    async def _run(self) -> None:
        kinds = stt.SpeechEventType
        self._event_ch.send_nowait(stt.SpeechEvent(kinds.START_OF_SPEECH))
        heard = 0
        async for _ in self._input_ch:
            heard += 1
            if heard == self._after:
                words = [stt.SpeechData(language="en", text="I got the job!")]
                self._event_ch.send_nowait(stt.SpeechEvent(kinds.FINAL_TRANSCRIPT, alternatives=words))
                self._event_ch.send_nowait(stt.SpeechEvent(kinds.END_OF_SPEECH))
