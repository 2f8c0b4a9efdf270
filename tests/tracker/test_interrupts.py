"""Ctrl-C at any moment has one exit code and no traceback; a hang-up ends a session in order."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emotrack.tracker.events import to_json
from tests.tracker.dashboard.made_up import started, turn
from tests.tracker.kitchen_table import AUDIO, CAPTIONS

EMOTRACK = [sys.executable, "-m", "emotrack.command_line"]
LIVE = ("live", "--file", str(AUDIO), "--json", "--asr", "none")

# Python itself, which nothing of ours has reached yet, ends by the signal in its first moments. A profile
# function that sends the signal at the N-th call makes any later moment the same on every machine.
AT_A_CALL = """\
import os, signal, sys
from emotrack import command_line as cli
calls, number = 0, int(sys.argv.pop(1))
def count(frame, event, argument):
    global calls
    calls += event == "call"
    if calls == number:
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGINT)
take_over = cli.take_over
def taken_over(code):
    take_over(code)
    sys.setprofile(count)
cli.take_over = taken_over
sys.exit(cli.main())
"""


def interrupted_at(call: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", AT_A_CALL, str(call), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def is_quiet(errors: str) -> bool:
    return not any(words in errors for words in ("Traceback", "Exception ignored", "Error"))


@pytest.mark.parametrize("call", [1, 300, 20_000, 150_000, 300_000])
def test_before_a_session_runs_an_interrupt_is_a_normal_end(call: int) -> None:
    done = interrupted_at(call, *LIVE)
    assert done.returncode == 0, done.stderr
    assert is_quiet(done.stderr)


@pytest.mark.parametrize("call", [1, 3_000, 60_000, 200_000])
def test_any_other_command_is_cut_short(tmp_path: Path, call: int) -> None:
    done = interrupted_at(call, "evaluate", "--corpus", "meld", "--data", str(tmp_path))
    assert done.returncode == 130, done.stderr
    assert is_quiet(done.stderr)
    assert "emotrack: interrupted" in done.stderr or done.stderr == ""


@pytest.mark.parametrize(("after_s", "times"), [(0.0, 1), (0.5, 2)])
def test_while_a_session_runs_and_ends_the_exit_code_is_the_same(after_s: float, times: int) -> None:
    with subprocess.Popen([*EMOTRACK, *LIVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(after_s)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert is_quiet(err)


def started_on_a_terminal(*arguments: str, ignoring: bool = False) -> tuple[int, int]:
    """A command that has a terminal of its own -> its process and the other end of the terminal."""
    process, terminal = pty.fork()
    if process == 0:
        if ignoring:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.environ.update(TERM="xterm-256color", COLUMNS="100", LINES="30")
        os.execv(sys.executable, [*EMOTRACK, *arguments])
    return process, terminal


def exit_code(process: int) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    raise AssertionError("it did not end")


def read_until(terminal: int, words: bytes) -> None:
    shown = b""
    while words not in shown:
        shown += os.read(terminal, 65_536)


def test_a_terminal_that_goes_ends_the_session_in_order(tmp_path: Path) -> None:
    saved = tmp_path / "talk.jsonl"
    process, terminal = started_on_a_terminal(
        "live", "--file", str(AUDIO), "--captions", str(CAPTIONS), "--save", str(saved)
    )
    read_until(terminal, b"speaking")
    os.close(terminal)  # the system sends SIGHUP, and nothing can be written any more
    assert exit_code(process) == 0
    *_, last = (json.loads(line) for line in saved.read_text().splitlines())
    assert (last["type"], last["reason"]) == ("session_ended", "interrupted")


def test_what_shows_something_ends_with_its_terminal(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text("".join(f"{to_json(event)}\n" for event in (started(), turn(1), turn(2))))
    for arguments in (("replay", str(path)), ("watch", "mqtt://localhost:1/")):
        process, terminal = started_on_a_terminal(*arguments)
        read_until(terminal, b"\x1b[?1049h")
        os.close(terminal)
        assert exit_code(process) == 0


@pytest.mark.parametrize("how", ["live", "nohup"])
def test_a_hang_up_ends_a_session_unless_it_was_to_be_ignored(how: str) -> None:
    command = ["nohup"] * (how == "nohup") + [*EMOTRACK, *LIVE]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        if how == "nohup":
            process.stdout.readline()  # it goes on
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["reason"] == "interrupted"
