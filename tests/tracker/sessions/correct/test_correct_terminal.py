"""Correcting on a real terminal, and hearing the turns through a real sound server."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.events import to_json
from emotrack.tracker.sinks.audio_archive import AudioKeeper
from tests.tracker.dashboard.made_up import started, turn
from tests.tracker.kitchen_table import samples
from tests.tracker.sessions.correct.test_correct import saved, written
from tests.tracker.terminal import PATIENCE_S, Terminal
from tests.tracker.virtual_microphone import SINK, VirtualMicrophone

DRIVER = """\
import sys
from pathlib import Path
from emotrack.tracker.sessions.correct.correct import run_correct
from emotrack.tracker.sessions.reading.reader import read_session
sys.exit(run_correct(read_session(Path(sys.argv[1])), [], everything="--all" in sys.argv))
"""


def start(terminal: Terminal, folder: Path, path: Path, *options: str) -> None:
    (folder / "driver.py").write_text(DRIVER)
    terminal.type("BEFORE=$(stty -g); clear", "Enter")
    terminal.type(f"{sys.executable} {folder}/driver.py {path} {' '.join(options)}; echo exit $?", "Enter")


def test_two_labels_an_undo_and_a_skip(terminal: Terminal, tmp_path: Path) -> None:
    path = saved(tmp_path / "s.jsonl", half=True)
    before = path.read_bytes()
    start(terminal, tmp_path, path)
    screen = terminal.wait_for("1 of 3 uncertain turns")
    assert "Turn 5, 0:15 to 0:17" in screen
    assert "no audio was kept" in screen
    terminal.type("s")  # a label here, sadness
    terminal.wait_for("2 of 3")
    assert "Turn 5: sadness. ← takes it back" in terminal.screen()
    assert path.read_bytes() == before
    terminal.type("7")
    terminal.wait_for("3 of 3")
    terminal.wait_for("1 so far")
    assert written(path, before + b"\n") == [(5, "sadness")]
    terminal.type("Left")
    screen = terminal.wait_for("2 of 3")
    assert "fear✓" not in screen
    terminal.type("Enter")  # it was right
    terminal.wait_for("3 of 3")
    terminal.type("Right", "x", "Up")
    terminal.wait_for("These were all.")
    terminal.type("q")
    screen = terminal.wait_for("exit 0")
    assert "2 corrections written to" in screen
    assert written(path, before + b"\n") == [(5, "sadness"), (4, "joy")]
    terminal.type('[ "$(stty -g)" = "$BEFORE" ] && echo terminal un"changed"', "Enter")
    terminal.wait_for("terminal unchanged")
    start(terminal, tmp_path, path)
    terminal.wait_for("1 of 1 uncertain turn")


def test_an_interrupt_keeps_what_was_said(terminal: Terminal, tmp_path: Path) -> None:
    path = saved(tmp_path / "s.jsonl")
    before = path.read_bytes()
    start(terminal, tmp_path, path, "--all")
    terminal.wait_for("1 of 6 turns")
    terminal.type("2")
    terminal.wait_for("2 of 6 turns")
    terminal.type("C-c")
    assert "1 correction written" in terminal.wait_for("exit 0")
    assert written(path, before) == [(5, "joy")]


def test_a_closed_window_keeps_what_was_said(terminal: Terminal, tmp_path: Path) -> None:
    path = saved(tmp_path / "s.jsonl")
    before = path.read_bytes()
    start(terminal, tmp_path, path)
    terminal.wait_for("1 of 3")
    terminal.type("2")
    terminal.wait_for("2 of 3")
    terminal._tmux("new-session", "-d")  # the server is still needed
    terminal._tmux("kill-session", "-t", "0")
    deadline = time.monotonic() + PATIENCE_S
    while path.read_bytes() == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert written(path, before) == [(5, "joy")]


def test_when_all_is_done_there_is_nothing_to_ask(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(to_json(started()) + "\n" + to_json(turn(1)) + "\n")
    start(terminal, tmp_path, path)
    assert "no uncertain turn is waiting" in terminal.wait_for("exit 0")


def with_voice(folder: Path) -> Path:
    """A session with one kept turn: 2.5 s of the bundled conversation."""
    path = folder / "s.jsonl"
    keeper = AudioKeeper(path)
    voice = samples()[int(0.7 * SAMPLE_RATE) : int(3.2 * SAMPLE_RATE)].mean(axis=1)
    audio = asyncio.run(keeper.keep("s", 1, voice.astype(np.float32)))
    keeper.close()
    events = (started(), turn(1, uncertain=True, audio=audio), turn(2, uncertain=True, audio="s.audio/s/2.flac"))
    path.write_text("".join(to_json(event) + "\n" for event in events))
    return path


PLAYER = """\
import sys, time
from pathlib import Path
from emotrack.tracker.sessions.correct.audio_player import VoicePlayer
voices = VoicePlayer(Path(sys.argv[1]))
voices.play("s.audio/s/1.flac")
time.sleep(float(sys.argv[2]))
print("playing" if voices.is_playing else "silent")
voices.close()
"""


def test_a_turn_is_heard(virtual_microphone: VirtualMicrophone, tmp_path: Path) -> None:
    """PortAudio plays the FLAC into PulseAudio's null sink; what its monitor records is the turn."""
    (tmp_path / "alsa.conf").write_text(
        f'pcm.!default {{ type pulse device "{SINK}" }}\nctl.!default {{ type pulse }}\n'
    )
    environment = {**os.environ, "ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf")}
    path = with_voice(tmp_path)
    recording = [
        "parec",
        f"--device={SINK}.monitor",
        "--raw",
        "--format=s16le",
        f"--rate={SAMPLE_RATE}",
        "--channels=1",
    ]
    with (tmp_path / "heard").open("wb") as file, subprocess.Popen(recording, stdout=file, env=environment) as recorder:
        virtual_microphone.wait_for_listener()
        played = subprocess.run(
            [sys.executable, "-c", PLAYER, path, "4"], env=environment, capture_output=True, text=True, check=False
        )
        time.sleep(0.5)
        recorder.terminate()
    assert played.returncode == 0, played.stderr
    assert played.stdout == "silent\n", "four seconds later it is over, and nothing went wrong"
    heard = np.frombuffer((tmp_path / "heard").read_bytes(), "<i2").astype(np.float32) / 32768
    voice = samples()[int(0.7 * SAMPLE_RATE) : int(3.2 * SAMPLE_RATE)].mean(axis=1)
    size = 2 ** int(np.ceil(np.log2(len(heard) + len(voice))))
    correlation = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(voice, size)))
    assert 0.9 < correlation.max() / np.sum(voice**2) < 1.1


def test_without_a_device_it_is_said_once_and_goes_on(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "alsa.conf").write_text("pcm.nothing { type hw card 99 }")
    path = with_voice(tmp_path)
    terminal.type(f"export ALSA_CONFIG_PATH={tmp_path}/alsa.conf", "Enter")
    start(terminal, tmp_path, path)
    screen = terminal.wait_for("turns cannot be heard")
    assert "1 of 2" in screen
    terminal.type("2")
    terminal.wait_for("2 of 2")
    assert "cannot be heard" not in terminal.screen()
    terminal.type("2")
    terminal.wait_for("These were all")
    terminal.type("q")
    assert "2 corrections written" in terminal.wait_for("exit 0")


def test_audio_from_elsewhere_is_refused_and_said(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(to_json(started()) + "\n" + to_json(turn(1, uncertain=True, audio="../secret.flac")) + "\n")
    start(terminal, tmp_path, path)
    terminal.wait_for("is not beside the session")
    terminal.type("Right", "q")
    screen = terminal.wait_for("exit 0")
    assert re.search(r"0 corrections written to .*, 1 uncertain turn left", screen.replace("\n", ""))
