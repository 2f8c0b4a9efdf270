"""The sketch for an ESP32, compiled for this machine with stand-ins for Arduino's libraries, and run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.mqtt.format.audio_topics import AudioTopics
from emotrack.tracker.mqtt.sites.audio_payload import decode_audio
from tests.tracker.kitchen_table import EXAMPLES

SKETCH = EXAMPLES / "esp32" / "emotrack_microphone"
STAND_INS = Path(__file__).parent / "arduino"
MAIN = "int main() { setup(); for (int i = 0; i < 20; i++) loop(); }"


def compiled(folder: Path, *options: str) -> Path:
    """The sketch as a program of this machine: 20 times what it does for ever."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler is installed")
    source, program = folder / "sketch.cpp", folder / "sketch"
    sketch = (SKETCH / "emotrack_microphone.ino").read_text()
    source.write_text(f'#include "Arduino.h"\n{sketch}\n{MAIN}\n')
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run(
        [compiler, *warnings, *options, f"-I{STAND_INS}", f"-I{SKETCH}", source, "-o", program], check=True, timeout=60
    )
    return program


def messages(output: bytes) -> list[tuple[str, bytes]]:
    found = []
    while output:
        line, _, output = output.partition(b"\n")
        topic, length = line.decode().split()
        found.append((topic, output[: int(length)]))
        output = output[int(length) :]
    return found


def test_what_it_sends_is_heard(tmp_path: Path) -> None:
    tone = np.round(np.sin(np.arange(20 * 512) / 5) * 2**27).astype("<i4")
    tone[:3] = [0, 2**31 - 1, -(2**31)]
    done = subprocess.run([compiled(tmp_path)], input=tone.tobytes(), capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    sent = messages(done.stdout)
    assert len(sent) == 20
    assert {topic for topic, _ in sent} == {"hermes/audioServer/kitchen/audioFrame"}
    assert AudioTopics(None).site(sent[0][0]) == "kitchen"
    assert all(len(payload) == 1068 for _, payload in sent)
    decoded = [decode_audio(payload, None) for _, payload in sent]
    assert {rate for _, rate in decoded} == {SAMPLE_RATE}
    heard = np.concatenate([samples[:, 0] for samples, _ in decoded])
    assert heard[:3].tolist() == [0.0, 32767 / 32768, -1.0]
    np.testing.assert_allclose(heard[3:], tone[3:] / 2**29, atol=1 / 32768)  # four times as loud


def test_it_compiles_for_a_broker_with_tls_and_passwords(tmp_path: Path) -> None:
    compiled(tmp_path, '-DBROKER_CA="-----BEGIN CERTIFICATE-----"')
