"""What is missing in a session is said by every command that reads one, in the same words."""

from __future__ import annotations

from pathlib import Path

import pytest

from emotrack.command_line import main
from emotrack.tracker.events import Event, to_json
from emotrack.tracker.sessions.reading.reader import MAX_MISSING_LINES, missing_lines, read_sessions
from tests.tracker.dashboard.made_up import ended, started, turn

END = "its end is missing: it was cut off, or is still going on"
HALF = "the last line is only half written; left out"


def write(path: Path, *events: Event, tail: str = "") -> Path:
    path.write_text("".join(to_json(event) + "\n" for event in events) + tail)
    return path


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A session that a crash broke off."""
    return write(tmp_path / "cut.jsonl", started(), turn(1), turn(2), tail=to_json(turn(3))[:50])


@pytest.fixture
def swapped(tmp_path: Path) -> Path:
    """A session edited by hand, in which a turn ends before it begins."""
    wrong = turn(2).model_copy(update={"start_s": 9.0, "end_s": 3.0})
    return write(tmp_path / "swapped.jsonl", started(), turn(1), wrong, turn(3), ended(3))


COMMANDS = {
    "report": ["report", "FILE", "-o", "OUT"],
    "export": ["export", "FILE", "--to", "csv"],
    "export to a file": ["export", "FILE", "--to", "srt", "-o", "OUT"],
    "compare": ["compare", "FILE", "FILE", "--json"],
    "correct": ["correct", "FILE", "--set", "1=joy"],
    "redact": ["redact", "FILE", "--words", "-o", "OUT"],
    "replay": ["replay", "FILE"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_it(
    cut: Path, swapped: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    times = 2 if command == "compare" else 1
    for number, (path, missing) in enumerate(
        [
            (cut, [END, HALF]),
            (swapped, ["1 of its 3 turns are missing", "an event has numbers that cannot be; left out"]),
        ]
    ):
        words = {"FILE": str(path), "OUT": str(tmp_path / f"out-{number}")}
        code = main([words.get(word, word) for word in COMMANDS[command]])
        said = capsys.readouterr().err.splitlines()
        assert said[: 2 * times] == [f"emotrack: {path}: {line}" for line in missing] * times
        assert code == (2 if command == "replay" else 0)  # which has no terminal here


def test_a_whole_session_has_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "whole.jsonl", started(), turn(1), ended(1))
    assert main(["export", str(path), "--to", "csv"]) == 0
    assert main(["redact", str(path), "--words", "-o", str(tmp_path / "copy.jsonl")]) == 0
    assert capsys.readouterr().err == ""


def test_several_sessions_are_told_apart_and_bounded(tmp_path: Path) -> None:
    def of(name: str, *events: Event) -> list[Event]:
        return [event.model_copy(update={"session": name}) for event in events]

    path = tmp_path / "many.jsonl"
    write(path, *of("one", started(), turn(1)), *of("two", started(), turn(1), turn(3)), tail="{}\n")
    common, fault, own = missing_lines(read_sessions(path))
    assert common == f"{path}: {END}"
    assert fault.startswith(f"{path}: a line is no event")
    assert own == f"{path}: session two: 1 turns are missing between the others"
    write(path, *(event for n in range(50) for event in of(f"s{n}", started(), turn(2 + n))))
    lines = missing_lines(read_sessions(path))
    assert len(lines) == MAX_MISSING_LINES + 1
    assert lines[-1] == f"{path}: {1 + 50 - MAX_MISSING_LINES} more of the kind"
