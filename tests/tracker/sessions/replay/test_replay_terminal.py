"""A replay on a real terminal: keys seek, pause and change the speed, and the terminal is as it was afterwards."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.tracker.sessions.replay.test_replay import DRIVER, saved
from tests.tracker.terminal import Terminal


def position_s(screen: str) -> int:
    found = re.search(r"(\d+):(\d\d) / 2:05", screen)
    assert found, screen
    return 60 * int(found[1]) + int(found[2])


def test_keys_act_and_the_summary_stays(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    terminal.type("BEFORE=$(stty -g); clear", "Enter")
    command = f"{sys.executable} {tmp_path}/driver.py {saved(tmp_path / 's.jsonl')} 20"
    terminal.type(f"{command}; echo exit $?", "Enter")
    terminal.wait_for("Turn 6 of")
    terminal.type("p")
    screen = terminal.wait_for("‖ paused")
    assert "anger✓" in screen
    assert "20x" in screen
    assert "Replay of a saved session" in screen
    here = position_s(screen)
    assert 20 <= here < 125, "at twenty times the pace it has come some way, in a second or a few"
    terminal.type("Home")
    terminal.wait_for("0:00 / 2:05")
    terminal.wait_for("No turn has ended yet.")
    terminal.type("Right", "Right", "Right", "Right", "Right", "Right")
    screen = terminal.wait_for("1:00 / 2:05")
    assert "Turn 19 of" in screen
    assert "source is back" in screen
    terminal.type("Left")
    screen = terminal.wait_for("0:50 / 2:05")
    assert "Turn 16 of" in screen
    assert "Turn 17 of" not in screen
    assert "source is back" not in screen
    terminal.type("Down")
    terminal.wait_for("16x")
    terminal.type("]", "]", "]", "]")
    terminal.wait_for("100x")
    terminal.type("Space")
    terminal.wait_for("■ ended")
    terminal.type("Left", "p")
    screen = terminal.wait_for("‖ paused")
    terminal.type("q")
    screen = terminal.wait_for("exit 0")
    assert "Replayed  up to" in screen
    assert "Conversation" not in screen, "the full screen is gone"
    terminal.type('[ "$(stty -g)" = "$BEFORE" ] && echo terminal un"changed"', "Enter")
    assert "Replayed" in terminal.wait_for("terminal unchanged"), "the summary stays"
