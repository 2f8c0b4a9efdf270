"""The dashboard on a real terminal: it draws, it hears keys, and it leaves everything as it was."""

from __future__ import annotations

import asyncio
import io
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from emotrack.tracker.dashboard import Dashboard
from emotrack.tracker.dashboard.summary import summary
from emotrack.tracker.messages.notices import PASSING_S, Notice, NoticeBoard
from emotrack.tracker.session.status import LiveStatus
from tests.tracker.dashboard.made_up import ended, started, turn
from tests.tracker.terminal import Terminal

ROOT = Path(__file__).parents[3]
DRIVER = f"cd {ROOT} && {sys.executable} -m tests.tracker.dashboard.driver"


def test_keys_act_and_the_terminal_is_restored_below_a_summary(terminal: Terminal) -> None:
    terminal.type("BEFORE=$(stty -g); clear", "Enter")
    terminal.type(f"{DRIVER} quit", "Enter")
    screen = terminal.wait_for("Turn 30")
    assert "Nothing is recorded." in screen
    assert "● speaking" in screen
    assert "a library complains" not in screen
    assert len(screen.rstrip("\n").split("\n")) == 24
    terminal.type("p")
    terminal.wait_for("‖ paused")
    terminal.type("m")
    terminal.wait_for("mark 1")
    terminal.type("Up", "C-z", "C-s")  # arrow keys, suspending and flow control change nothing
    terminal.type("p")
    terminal.wait_for("● speaking")
    terminal.type("q")
    screen = terminal.wait_for("Listened")
    assert "1:02:05" in screen
    assert "a library complains" in screen
    assert "Conversation" not in screen, "the full screen is gone"
    terminal.type('[ "$(stty -g)" = "$BEFORE" ] && echo terminal un"changed"', "Enter")
    assert "Listened" in terminal.wait_for("terminal unchanged"), "the summary stays"


def test_a_speaker_is_named_with_the_keyboard(terminal: Terminal) -> None:
    terminal.type(f"{DRIVER} quit", "Enter")
    assert "n  name" in terminal.wait_for("Turn 30")
    terminal.type("n")
    assert "enter  speaker 1   1  speaker 2   2  speaker 1   esc" in terminal.wait_for("Name whom?")
    terminal.type("Escape")
    terminal.wait_for("p  pause")
    terminal.type("n", "1")
    terminal.wait_for("speaker 2 is called _")
    terminal.type("Ann", "BSpace", "a q")
    terminal.wait_for("speaker 2 is called Ana q_")
    terminal.type("Enter")
    assert "Ana q " in terminal.wait_for("speaker 2 is called Ana q ──")
    terminal.type("N", "Enter")
    terminal.wait_for("speaker 1 is called _")
    terminal.type("Nobody", "Enter")
    terminal.wait_for("nobody is called that")
    assert "speaker 1" in terminal.screen()
    terminal.type("q")
    assert "Ana q " in terminal.wait_for("Listened")


def test_a_failure_beside_it_restores_the_terminal_too(terminal: Terminal) -> None:
    terminal.type("BEFORE=$(stty -g)", "Enter")
    terminal.type(f"{DRIVER} fail", "Enter")
    terminal.wait_for("Turn 30")
    screen = terminal.wait_for("emotrack: the pipeline broke")
    assert "Listened" in screen
    assert "Traceback" not in screen
    terminal.type('[ "$(stty -g)" = "$BEFORE" ] && echo terminal un"changed"', "Enter")
    terminal.wait_for("terminal unchanged")


def test_a_notice_goes_when_its_reason_does(monkeypatch: pytest.MonkeyPatch) -> None:
    board, out = NoticeBoard(), io.StringIO()
    console = Console(file=out, width=80, height=24)
    dashboard = Dashboard(site="desk", status=LiveStatus(), controls=NoControls(), console=console, notices=board)

    def shown(at_s: float) -> str:
        monkeypatch.setattr(time, "monotonic", lambda: at_s)
        return "\n".join("".join(segment.text for segment in line) for line in dashboard._picture(80, 24).lines)

    board.put(Notice("the first of two lines at once"), 0.0)
    board.put(Notice("is it muted?", about="muted"), 0.0)
    assert "is it muted?" in shown(1.0)
    assert "is it muted?" in shown(9999.0)
    board.put(Notice("a turn went wrong"), 10_000.0)
    assert "a turn went wrong" in shown(10_001.0)
    assert "is it muted?" in shown(10_000.0 + PASSING_S), "it still holds"
    board.put(Notice("heard again", about="muted", holds=False), 11_000.0)
    assert "heard again" in shown(11_001.0)
    assert "▸" not in shown(11_000.0 + PASSING_S)
    console.print(summary(dashboard.state))
    for line in ("the first of two lines at once", "is it muted?", "a turn went wrong", "heard again"):
        assert out.getvalue().count(line) == 1


class NoControls:
    def stop(self) -> None: ...

    def toggle_pause(self) -> None: ...

    def mark(self) -> None: ...

    def rename(self, speaker: str, name: str) -> None: ...


def test_it_ends_when_closed_and_leaves_the_summary_on_the_normal_screen() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, _environ={"TERM": "xterm-256color"})

    async def session() -> None:
        dashboard = Dashboard(site="kitchen", status=LiveStatus(), controls=NoControls(), console=console)
        running = asyncio.create_task(dashboard.run())
        await dashboard.emit(started())
        await dashboard.emit(turn(1))
        await asyncio.sleep(0.3)
        await dashboard.emit(ended(1))
        await dashboard.close()
        async with asyncio.timeout(5):
            await running

    asyncio.run(session())
    during, _, after = out.getvalue().partition("\x1b[?1049l")
    assert "Good to see you." in during
    assert "\x1b[?25h" in during, "the cursor is back"
    assert "Listened" in after
    assert "1:02:05" in after


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_session() -> None:
    class StuckTerminal(io.StringIO):
        stuck = False

        def flush(self) -> None:
            if self.stuck:
                time.sleep(0.5)

    out = StuckTerminal()
    console = Console(file=out, force_terminal=True, width=80, height=24, _environ={"TERM": "xterm-256color"})

    async def session() -> float:
        dashboard = Dashboard(site="kitchen", status=LiveStatus(), controls=NoControls(), console=console)
        running = asyncio.create_task(dashboard.run())
        await dashboard.emit(started())
        await asyncio.sleep(0.4)
        out.stuck = True
        longest = 0.0
        for number in range(60):
            before = time.perf_counter()
            await dashboard.emit(turn(number + 1))
            await asyncio.sleep(0.01)
            longest = max(longest, time.perf_counter() - before)
        out.stuck = False
        await dashboard.close()
        await running
        return longest

    assert asyncio.run(session()) < 0.3
