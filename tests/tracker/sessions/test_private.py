"""What is made of a session is its owner's alone, whole, and never written over a session."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from emotrack.command_line import main
from emotrack.tracker.events import to_json
from tests.models.test_files import full_disk, umask
from tests.tracker.dashboard.made_up import ended, started, turn

COMMANDS = {
    "report": ("report",),
    "export": ("export", "--to", "csv"),
    "redact": ("redact", "--words"),
}


@pytest.fixture
def session(tmp_path: Path) -> Path:
    path = tmp_path / "talk.jsonl"
    path.write_text("".join(to_json(event) + "\n" for event in (started(), turn(1), turn(2), ended(2))))
    return path


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_mode_is_that_of_a_session_whatever_the_umask(session: Path, command: tuple[str, ...]) -> None:
    out = session.with_name("out")
    with umask(0):
        assert main([*command, str(session), "-o", str(out)]) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


@pytest.mark.parametrize("command", [COMMANDS["report"], COMMANDS["export"]], ids=["report", "export"])
def test_a_full_disk_leaves_the_good_document_and_nothing_else(
    session: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    out = session.with_name("out")
    assert main([*command, str(session), "-o", str(out)]) == 0
    good = out.read_bytes()
    with full_disk(100):
        assert main([*command, str(session), "-o", str(out)]) == 1
    assert capsys.readouterr().err == f"emotrack: cannot write {out}: File too large\n"
    assert out.read_bytes() == good
    assert sorted(session.parent.iterdir()) == [out, session]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("through", ["itself", "symlink", "link", "another"])
def test_a_session_is_never_written_over(
    session: Path, command: tuple[str, ...], through: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = session.read_bytes(), session if through == "itself" else session.with_name(through)
    if through == "symlink":
        out.symlink_to(session)
    elif through == "link":
        out.hardlink_to(session)
    elif through == "another":
        out.write_bytes(before)
    assert main([*command, str(session), "-o", str(out)]) == 1
    assert str(out) in capsys.readouterr().err
    assert (session.read_bytes(), out.read_bytes()) == (before, before)


def test_a_session_called_html_is_not_written_over_by_its_report(session: Path) -> None:
    page = session.rename(session.with_suffix(".html"))
    before = page.read_bytes()
    assert main(["report", str(page)]) == 1
    assert page.read_bytes() == before


def test_a_device_stays_one(session: Path) -> None:
    assert main(["report", str(session), "-o", os.devnull]) == 0
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)
