"""A Pipecat processor that puts how the user sounded at the head of what they said (tried with pipecat-ai 1.14).

    async with emotrack.Tracker(recogniser="none", speakers=None) as tracker:
        pipeline = Pipeline([
            transport.input(), stt, EmotionPerception(tracker), aggregators.user(), llm, tts, transport.output(),
            aggregators.assistant(),
        ])

``EXPLANATION`` of ``user_voice.py`` belongs into the instructions of the language model. Pipecat's recogniser has the
words already; with emotrack's own (``recogniser="auto"``) the estimate rests on voice and words, at a higher cost.
"""

from __future__ import annotations

from typing import Any

from pipecat.frames.frames import Frame, InputAudioRawFrame, TranscriptionFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from user_voice import UserVoice

import emotrack


class EmotionPerception(FrameProcessor):
    """Overhears the user's audio; each transcription waits for its reading, which is usually there before it."""

    def __init__(self, tracker: emotrack.Tracker, *, wait_s: float = 1.0, **options: Any) -> None:
        """A transcription goes on unmarked after ``wait_s`` seconds."""
        super().__init__(**options)
        self._voice = UserVoice(tracker)
        self._wait_s = wait_s

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass every frame on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self._voice.hear(frame.audio, frame.sample_rate, frame.num_channels)
        elif isinstance(frame, TranscriptionFrame) and (reading := await self._voice.reading(self._wait_s)):
            frame.text = f"{reading} {frame.text}"
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """End the session with the pipeline."""
        await super().cleanup()
        await self._voice.close()
