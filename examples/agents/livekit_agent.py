"""A LiveKit agent that hears how its user sounds (tried with livekit-agents 1.8).

    async with emotrack.Tracker(recogniser="none", speakers=None) as tracker:
        session = AgentSession(stt=..., llm=..., tts=...)
        await session.start(HearingAgent(tracker, instructions="You are a friendly host."), room=context.room)
        ...

LiveKit's recogniser has the words already; with emotrack's own (``recogniser="auto"``) the estimate rests on voice and
words, at a higher cost.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Any

from livekit import rtc
from livekit.agents import Agent, ModelSettings, llm, stt
from user_voice import EXPLANATION, UserVoice

import emotrack


class HearingAgent(Agent):
    """Overhears the user's audio, and puts how a turn sounded at the head of its message to the language model."""

    def __init__(self, tracker: emotrack.Tracker, *, instructions: str, wait_s: float = 1.0, **options: Any) -> None:
        """A message goes on unmarked after ``wait_s`` seconds."""
        super().__init__(instructions=f"{instructions}\n\n{EXPLANATION}", **options)
        self._voice = UserVoice(tracker)
        self._wait_s = wait_s

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[stt.SpeechEvent]:
        """LiveKit's own recognition, of audio that is overheard on its way."""
        async for event in Agent.default.stt_node(self, self._overheard(audio), model_settings):
            yield event

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002 - LiveKit's
        new_message: llm.ChatMessage,
    ) -> None:
        """Say how it sounded before the language model answers."""
        if reading := await self._voice.reading(self._wait_s):
            new_message.content.insert(0, reading)

    async def on_exit(self) -> None:
        """End the session."""
        await self._voice.close()

    async def _overheard(self, audio: AsyncIterable[rtc.AudioFrame]) -> AsyncIterable[rtc.AudioFrame]:
        async for frame in audio:
            self._voice.hear(bytes(frame.data), frame.sample_rate, frame.num_channels)
            yield frame
