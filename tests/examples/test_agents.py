"""The examples for voice agents, each in the framework that it is for, which is no part of what tests install."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import emotrack
from emotrack.tracker.audio import SAMPLE_RATE
from tests.tracker.kitchen_table import TRUTH, samples

EXAMPLES = Path(__file__).parents[2] / "examples" / "agents"
BLOCK = SAMPLE_RATE // 50  # 20 ms, as both frameworks send them
MARKED = r"\(\[emotion (uncertain|\w+=[01]\.\d\d(, \w+=0\.\d\d)*)\]\)"


@pytest.fixture(autouse=True)
def _examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)


def blocks() -> list[bytes]:
    """The third turn of the bundled conversation, and a second in which nobody speaks."""
    turn = TRUTH[2]
    audio = samples().mean(axis=1)[int((turn["start"] - 0.2) * SAMPLE_RATE) : int(turn["end"] * SAMPLE_RATE)]
    pcm = (audio * 32767).astype("<i2").tobytes() + bytes(2 * SAMPLE_RATE)
    return [pcm[at : at + 2 * BLOCK] for at in range(0, len(pcm) - 2 * BLOCK, 2 * BLOCK)]


def tracker() -> emotrack.Tracker:
    return emotrack.Tracker(recogniser="none", speakers=None, device="cpu")


def test_a_pipecat_message_says_how_it_sounded() -> None:
    pytest.importorskip("pipecat", reason="pipecat-ai is not installed: it takes 500 MB with what it needs")
    from pipecat.frames.frames import InputAudioRawFrame, TranscriptionFrame
    from pipecat.tests.utils import run_test
    from pipecat_perception import EmotionPerception

    async def run() -> list[Any]:
        async with tracker() as loaded:
            frames = [InputAudioRawFrame(block, SAMPLE_RATE, 1) for block in blocks()]
            said = TranscriptionFrame("I got the job!", "ana", "2026-01-01T00:00:00Z")
            unheard = TranscriptionFrame("Hello?", "ana", "2026-01-01T00:00:09Z")
            perception = EmotionPerception(loaded, wait_s=20.0)
            down, _ = await run_test(perception, frames_to_send=[*frames, said])
            silent, _ = await run_test(EmotionPerception(loaded, wait_s=0.1), frames_to_send=[unheard])
        return [*down, *silent]

    passed = asyncio.run(run())
    assert sum(type(frame).__name__ == "InputAudioRawFrame" for frame in passed) == len(blocks())
    marked, unmarked = (frame.text for frame in passed if type(frame).__name__ == "TranscriptionFrame")
    assert re.fullmatch(MARKED + r" I got the job!", marked)
    assert unmarked == "Hello?"


def test_a_livekit_message_says_how_it_sounded() -> None:
    pytest.importorskip("livekit.agents", reason="livekit-agents is not installed: it takes 230 MB with what it needs")
    from livekit.agents import AgentSession
    from livekit_agent import HearingAgent

    from tests.examples.livekit_parts import Recogniser, Recording

    got: asyncio.Queue[Any] = asyncio.Queue()

    class Watched(HearingAgent):
        async def on_user_turn_completed(self, turn_ctx: Any, new_message: Any) -> None:
            await super().on_user_turn_completed(turn_ctx, new_message)
            got.put_nowait(new_message)

    async def run() -> tuple[Any, str]:
        async with tracker() as loaded:
            agent = Watched(loaded, instructions="You are a friendly host.", wait_s=20.0)
            session: AgentSession[None] = AgentSession(
                stt=Recogniser(after=len(blocks()) - 5), turn_detection="stt", vad=None
            )
            session.input.audio = Recording(blocks())
            await session.start(agent)
            async with asyncio.timeout(60):
                message = await got.get()
            await session.aclose()
            return message, agent.instructions

    message, instructions = asyncio.run(run())
    reading, words = message.content
    assert re.fullmatch(MARKED, reading)
    assert words == "I got the job!"
    assert instructions.startswith("You are a friendly host.\n\n")
    assert "([emotion ...])" in instructions
