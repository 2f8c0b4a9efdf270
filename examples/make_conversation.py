"""Make the bundled example: two synthetic voices at a kitchen table, one per channel.

    python examples/make_conversation.py

needs the speech synthesiser Flite (``apt-get install flite``) and writes ``kitchen-table.flac``, its captions and the
truth about its turns beside this file. No person's voice or words are in it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
SAMPLE_RATE = 16_000
LEAD_S = 1.0  # silence before the first line


@dataclass(frozen=True, slots=True)
class Line:
    """One thing said, and how: pitch in Hz, its spread in Hz, length relative to neutral, gain."""

    speaker: str
    text: str
    pause_s: float
    pitch: float
    spread: float
    stretch: float
    gain: float


VOICES = {"Ana": "slt", "Ben": "rms"}

LINES = [
    Line("Ana", "Good morning. Did you sleep well?", 0.9, 170, 15, 1.0, 0.5),
    Line("Ben", "I did, thank you. The coffee is on the table.", 0.9, 95, 10, 1.0, 0.5),
    Line("Ana", "Listen to this! I got the job! I am so happy!", 1.0, 230, 45, 0.88, 0.9),
    Line("Ben", "Wow! Really? I can't believe it, that is amazing!", 0.8, 140, 35, 0.88, 0.9),
    Line("Ana", "They called yesterday evening. I start on Monday.", 1.0, 175, 18, 1.0, 0.5),
    Line("Ben", "Yesterday? Why didn't you tell me? I hate finding out last.", 0.9, 130, 35, 0.85, 1.0),
    Line("Ana", "Don't shout at me! You were the one who went out without a word!", 0.8, 235, 45, 0.85, 1.0),
    Line("Ben", "I'm sorry. I was at the hospital. My father is ill again.", 1.2, 82, 6, 1.25, 0.35),
    Line("Ana", "Oh no. I'm so sorry. I had no idea.", 1.1, 150, 8, 1.2, 0.35),
    Line("Ben", "I'm afraid it is serious this time. I am really scared.", 1.0, 105, 20, 1.1, 0.4),
    Line("Ana", "Then we go and see him together. Today.", 1.0, 170, 12, 1.05, 0.5),
    Line("Ben", "Thank you. I love you.", 1.0, 95, 12, 1.1, 0.45),
]


def main() -> None:
    pieces: list[NDArray[np.float64]] = []
    turns: list[dict[str, Any]] = []
    at = round(LEAD_S * SAMPLE_RATE)
    for line in LINES:
        voice = speak(line)
        turns.append(
            {
                "speaker": line.speaker,
                "start": round(at / SAMPLE_RATE, 3),
                "end": round((at + len(voice)) / SAMPLE_RATE, 3),
                "text": line.text,
            }
        )
        pieces.append(np.pad(voice, (at, 0)))
        at += len(voice) + round(line.pause_s * SAMPLE_RATE)
    stereo = np.random.default_rng(0).normal(0.0, 1e-4, (2, at))  # the hiss of a quiet room
    for line, piece in zip(LINES, pieces, strict=True):
        stereo[list(VOICES).index(line.speaker), : len(piece)] += piece
    write_flac(HERE / "kitchen-table.flac", stereo)
    document = {"audio": "kitchen-table.flac", "seconds": round(at / SAMPLE_RATE, 3), "turns": turns}
    (HERE / "kitchen-table.json").write_text(json.dumps(document, indent=1) + "\n")
    cues = [f"{stamp(t['start'])} --> {stamp(t['end'])}\n<v {t['speaker']}>{t['text']}</v>\n" for t in turns]
    (HERE / "kitchen-table.vtt").write_text("\n".join(["WEBVTT\n", *cues]))


def speak(line: Line) -> NDArray[np.float64]:
    """One line as (samples,), without the silence around it."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        settings = {
            "int_f0_target_mean": line.pitch,
            "int_f0_target_stddev": line.spread,
            "duration_stretch": line.stretch,
        }
        options = [part for name, value in settings.items() for part in ("--setf", f"{name}={value}")]
        command = ["flite", "-voice", VOICES[line.speaker], *options, "-t", line.text, "-o", file.name]
        subprocess.run(command, check=True)
        with wave.open(file.name) as reader:
            samples = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2") / 32768.0
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    samples = samples[loud[0] : loud[-1] + 1]
    return samples / np.abs(samples).max() * 0.6 * line.gain


def write_flac(path: Path, stereo: NDArray[np.float64]) -> None:
    """Write (2, samples) as 16-bit FLAC."""
    pcm = (np.clip(stereo, -1.0, 1.0) * 32767.0).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="stereo", format="s16")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm.T.reshape(1, -1)), format="s16", layout="stereo")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def stamp(seconds: float) -> str:
    """Seconds as WebVTT writes them."""
    return f"00:{int(seconds // 60):02d}:{seconds % 60:06.3f}"


if __name__ == "__main__":
    main()
