"""The models at work for several conversations at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import torch

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.engine import SKIPPED, Engine
from emotrack.tracker.understanding.overload import LeftOut
from emotrack.tracker.understanding.recognisers import Transcript
from tests.tracker.kitchen_table import TRUTH, samples
from tests.tracker.scripted import ScriptedRecogniser


class HeldRecogniser(ScriptedRecogniser):
    """Works as long as it is held."""

    name = "held"

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[SpeechTurn] = []
        self.began = threading.Event()
        self.held = threading.Event()

    def transcribe(self, turn: SpeechTurn) -> Transcript:
        self.turns.append(turn)
        self.began.set()
        assert self.held.wait(10)
        return Transcript("Good morning.", "faster-whisper")

    def transcribe_batch(self, turns: Sequence[SpeechTurn]) -> list[Transcript]:
        return [self.transcribe(turn) for turn in turns]

    def close(self) -> None: ...


def turn(number: int) -> SpeechTurn:
    voice = np.zeros(SAMPLE_RATE, dtype=np.float32)
    start = number * SAMPLE_RATE
    return SpeechTurn(
        0, start, start + len(voice), start + len(voice), start + len(voice), voice, 0.9, 1.0, truncated=False
    )


def test_many_rooms_at_once_are_heard_and_read_as_each_would_be_alone(network: EmotionNetwork) -> None:
    audio = samples().mean(axis=1)
    voices = [audio[round(t["start"] * SAMPLE_RATE) : round(t["end"] * SAMPLE_RATE)] for t in TRUTH]
    said = [(t["text"], [TRUTH[0]["text"], None]) for t in TRUTH]
    engine, batches = Engine(network, None), list[int]()
    encode = engine._encoding_speech._run

    def counting(waveforms: Sequence[np.typing.NDArray[np.float32]]) -> Sequence[torch.Tensor]:
        batches.append(len(waveforms))
        return encode(waveforms)

    engine._encoding_speech._run = counting

    async def ask() -> list[torch.Tensor]:
        asked = [engine.embed_speech(voice) for voice in voices] + [engine.embed_text(*each) for each in said]
        return await asyncio.gather(*asked)

    together = asyncio.run(ask())
    engine.close()
    alone = [network.embed_speech(voice) for voice in voices] + [network.embed_text(*each) for each in said]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=3e-5 * float(other.abs().max()), rtol=1e-4)  # single precision
    assert sum(batches) == len(voices)
    assert len(batches) < len(voices), "some went together"


def test_words_that_are_left_out_are_so_for_those_who_wait(network: EmotionNetwork) -> None:
    recogniser = HeldRecogniser()
    engine = Engine(network, recogniser)

    async def ask() -> list[Transcript]:
        first = asyncio.ensure_future(engine.recognise(turn(0)))
        await asyncio.to_thread(recogniser.began.wait)
        rest = [asyncio.ensure_future(engine.recognise(turn(number))) for number in (1, 2, 3)]
        with engine.overload.watched_by(lambda _: None):
            await asyncio.sleep(0.01)
            assert engine.waiting == {"recognition": 3, "encoding": 0, "context": 0}
            assert engine._lateness().recognition_s > 0
            engine.overload._policy.level = LeftOut.WORDS
            recogniser.held.set()
            return await asyncio.gather(first, *rest)

    first, *rest = asyncio.run(ask())
    engine.close()
    assert first.text == "Good morning.", "what was begun is finished"
    assert [transcript.rejected for transcript in rest] == [SKIPPED] * 3
    assert len(recogniser.turns) == 1


def test_it_is_busy_when_extras_are_left_out(network: EmotionNetwork) -> None:
    engine = Engine(network, None)
    assert engine.is_idle
    assert not engine.is_busy
    engine.overload._policy.level = LeftOut.EXTRAS
    assert engine.is_busy
    assert not engine.is_idle
    engine.close()
