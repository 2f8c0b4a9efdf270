"""The reason that is given where no speech was found."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import Listener
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.hearing.silence import SoundHeard, why_no_speech
from tests.tracker.kitchen_table import TRUTH, samples
from tests.tracker.scripted import Recorder, ScriptedSource, chunks, mono, session


def heard(audio: Samples, options: SegmenterOptions) -> SoundHeard:
    """What a listener makes of (samples,) in which it finds no turn."""
    listener = Listener(0, options)
    turns = [turn for at in range(0, len(audio), 1600) for turn in listener.push(audio[at : at + 1600], at)]
    assert turns + listener.flush() == []
    return listener.heard


def padded(audio: Samples) -> Samples:
    return np.pad(audio, SAMPLE_RATE)


VOICE = samples()[: 7 * SAMPLE_RATE].mean(axis=1)
WORD = VOICE[round((TRUTH[0]["start"] + 0.1) * SAMPLE_RATE) :][: SAMPLE_RATE // 4]
NOISE = np.random.default_rng(0).normal(0, 0.05, 5 * SAMPLE_RATE).astype(np.float32)


@pytest.mark.parametrize(
    ("audio", "options", "reason"),
    [
        (np.zeros(3 * SAMPLE_RATE, np.float32), {}, "digital silence"),
        (VOICE / 1000, {}, "the sound is too quiet: the loudest moment has -83 dBFS, and --min-level is -60"),
        (NOISE / 50, {}, "the sound is very quiet: the loudest moment has -5"),
        (NOISE, {}, "the loudest moment has -25 dBFS, but nothing sounds like speech; this may be music or noise"),
        (VOICE[:3000], {}, "too short"),
        (VOICE[:0], {}, "too short"),
        (padded(WORD), {"min_speech_s": 0.6}, "shorter than --min-speech, 0.6 s"),
        (VOICE, {"min_level_dbfs": -25.0}, "on average quieter than -25 dBFS"),
    ],
)
def test_the_likeliest_reason(audio: Samples, options: dict[str, float], reason: str) -> None:
    segmenter = SegmenterOptions(**options)
    assert reason in why_no_speech(heard(audio, segmenter), 0.0, segmenter, "")


def test_a_pause_and_another_track() -> None:
    options, silence = SegmenterOptions(), SoundHeard(2.0, -120.0, 0.0)
    assert why_no_speech(silence, 9.0, options, "") == "listening was paused for 9.0 s of that"
    assert why_no_speech(silence, 1.0, options, "--track 2, --track 3").endswith(
        "digital silence, every sample is zero; another track may have it: --track 2, --track 3"
    )


def test_a_session_counts_what_it_was_paused_for(network: EmotionNetwork) -> None:
    live = session(ScriptedSource(chunks(mono(samples()[: 4 * SAMPLE_RATE]))), network, Recorder())
    live.controls.toggle_pause()
    asyncio.run(live.run())
    assert live.live.hearing.why_no_speech == "listening was paused for 4.0 s of that"
