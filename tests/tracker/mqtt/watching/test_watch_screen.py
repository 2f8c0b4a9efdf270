"""``emotrack watch`` on a real terminal, over a real broker."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.strace import Tracer
from tests.tracker.kitchen_table import AUDIO
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.tracker_process import TrackerProcess
from tests.tracker.mqtt.waiting import until
from tests.tracker.terminal import Terminal, read_to_end

ROOT = Path(__file__).parents[4]
EMOTRACK = f"cd {ROOT} && {sys.executable} -m emotrack.command_line"


@pytest.fixture
def sites(mosquitto: Mosquitto) -> Iterator[subprocess.Popen[bytes]]:
    """Four made-up sites that publish."""
    playing = subprocess.Popen(
        [sys.executable, "-m", "tests.tracker.mqtt.playing_sites", str(mosquitto.port), "12"], cwd=ROOT
    )
    yield playing
    playing.kill()
    playing.wait()


def test_four_sites_are_watched_and_a_broker_that_restarts_is_survived(
    terminal: Terminal, mosquitto: Mosquitto, sites: subprocess.Popen[bytes]
) -> None:
    is_unchanged = '[ "$(stty -g)" = "$BEFORE" ] && echo terminal un"changed"'
    terminal.type(f"BEFORE=$(stty -g); clear; {EMOTRACK} watch {mosquitto.url}; {is_unchanged}", "Enter")
    screen = terminal.wait_for("12 turns")
    for words in ("4 sites", "1 kitchen", "2 meeting room", "3 nursery", "4 reception", "○ connected", "Mood", "Ana"):
        assert words in screen, words

    terminal.type("2")
    assert "meeting room (2 of 4)" in terminal.wait_for("Conversation")
    terminal.type("Right")
    terminal.wait_for("nursery (3 of 4)")
    terminal.type("Left", "Left")
    terminal.wait_for("kitchen (1 of 4)")
    terminal.type("BSpace")
    terminal.wait_for("4 sites")
    terminal.type("Down", "Enter")
    terminal.wait_for("nursery (3 of 4)")

    mosquitto.stop(kill=True)
    terminal.wait_for("! not connected")
    mosquitto.start()
    terminal.wait_for("● speaking")
    terminal.type("BSpace")
    assert "○ connected" in terminal.wait_for("4 sites")

    terminal.type("q")
    assert "4 sites" not in terminal.wait_for("terminal unchanged"), "the full screen is gone"


def test_one_site_alone_is_opened_at_once(
    terminal: Terminal, mosquitto: Mosquitto, sites: subprocess.Popen[bytes]
) -> None:
    terminal.type(f"{EMOTRACK} watch {mosquitto.url} --site 'meeting room'", "Enter")
    screen = terminal.wait_for("Conversation")
    assert " meeting room " in screen
    assert "(2 of 4)" not in screen
    assert "all sites" not in screen
    terminal.type("BSpace", "1", "Right")
    assert "Conversation" in terminal.wait_for("meeting room")


def test_a_speaker_of_a_watched_site_is_named(terminal: Terminal, mosquitto: Mosquitto, tmp_path: Path) -> None:
    terminal.type(f"{EMOTRACK} watch {mosquitto.url} --site desk", "Enter")
    terminal.wait_for("No site has said anything yet.")
    recording = ("--file", str(AUDIO), "--channels", "split", "--asr", "none")
    tracker = TrackerProcess(tmp_path, "tracker", *recording, "--publish", mosquitto.url, "--site", "desk")
    try:
        assert "n  name" in terminal.wait_for("2 turns")
        terminal.type("n")
        terminal.wait_for("Name whom?")
        terminal.type("1")
        terminal.wait_for("channel 1 is called _")
        terminal.type("Ana q", "Enter")
        terminal.wait_for("channel 1 is called Ana q ──")
        assert tracker.interrupt() == 0
    finally:
        tracker.kill()


def test_a_broker_that_is_not_there_is_waited_for(terminal: Terminal, mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    terminal.type(f"{EMOTRACK} watch {mosquitto.url}", "Enter")
    screen = terminal.wait_for("cannot be reached")
    assert "Waiting for the broker." in screen
    assert "! not connected" in screen
    mosquitto.start()
    terminal.wait_for("No site has said anything yet.")
    terminal.type("C-c")
    terminal.wait_for("READY> ")


def test_without_a_terminal_it_is_not_possible(mosquitto: Mosquitto) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emotrack.command_line", "watch", mosquitto.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr == "emotrack: watch needs a terminal, or --web; any MQTT client can read the topics emotrack/#\n"


def test_a_broker_that_turns_us_away_ends_it_with_one_line(terminal: Terminal, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, anonymous=False)
    broker.start()
    try:
        terminal.type(f"{EMOTRACK} watch {broker.url}; echo code $?", "Enter")
        screen = terminal.wait_for("code 1")
        assert "emotrack: " in screen
        assert "Traceback" not in screen
    finally:
        broker.stop()


def test_watching_speaks_to_the_broker_alone(tracer: Tracer, mosquitto: Mosquitto) -> None:
    screen, slave = pty.openpty()

    def look_and_quit() -> None:
        os.close(slave)
        shown = b""
        while b"quit" not in shown:  # before the keys are named, none is heard
            shown += os.read(screen, 65_536)
        threading.Thread(target=read_to_end, args=(screen,)).start()
        asyncio.run(until(lambda: "emotrack-watch" in mosquitto.log.read_text()))
        os.write(screen, b"q")

    def own_terminal() -> None:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)  # else it gets no keys

    terminal = {"stdin": slave, "stdout": slave, "start_new_session": True, "preexec_fn": own_terminal}
    seen = tracer.run("watch", mosquitto.url, use=look_and_quit, **terminal)
    assert seen.code == 0, seen.err
    assert (seen.hosts, seen.left) == (set(), [])
