"""What a tracker takes when nobody speaks and when somebody does: share of a core, memory, time to be ready."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from benchmarks.figures import Benchmark, Figure, Found, Note, Settings
from benchmarks.processes import EMOTRACK, SCRIPT, help_s, watch
from benchmarks.speech import CONVERSATION, mono
from emotrack.tracker.audio import SAMPLE_RATE, Samples

TRACKERS: dict[str, tuple[list[str], list[str]]] = {
    "emotrack": (EMOTRACK, []),
    "without telling speakers apart": (EMOTRACK, ["--speakers", "off"]),
    "straight-line script": (SCRIPT, []),
}  # a command and its options
NOISE = 3e-4  # of a quiet room and its microphone: -70 dBFS


def measure(settings: Settings) -> Found:
    """Yield shares of a core in per cent, memory in MiB, times in seconds."""
    repeats = 2 if settings.quick else 5
    seconds = 8 if settings.quick else 30
    silence = np.random.default_rng(0).normal(0.0, NOISE, seconds * SAMPLE_RATE).astype(np.float32)  # (samples,)
    rooms = {"a silent room": silence, "a talking room": mono(CONVERSATION)[: seconds * SAMPLE_RATE]}
    for room, audio in rooms.items():
        recording = settings.workspace / f"{room.replace(' ', '-')}.wav"
        _write(recording, audio)
        for tracker, (command, options) in TRACKERS.items():
            run = watch([*command, str(recording), "--asr", "none", *options])
            yield Figure(f"{room}, of one core", tracker, "%", (100 * run.share_of_core,))
            yield Figure(f"{room}, memory", tracker, "MiB", (run.resident_mib,))
    recording = settings.workspace / "half-a-second.wav"
    _write(recording, silence[: SAMPLE_RATE // 2])
    for _ in range(repeats):
        yield Figure("--help", "emotrack", "s", (help_s(),))
        yield Figure("start to ready", "emotrack", "s", (watch([*EMOTRACK, str(recording), "--asr", "none"]).ready_s,))
    yield Note("No recogniser; the rooms are played at their own pace, one process at a time.")


def _write(path: Path, audio: Samples) -> None:
    """(samples,) as 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((audio * 32767.0).astype("<i2").tobytes())


BENCHMARK = Benchmark("footprint", "Idle and talk", measure)
