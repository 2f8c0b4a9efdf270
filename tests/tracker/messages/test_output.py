"""What commands say, on terminals and elsewhere: harmless words, one line for what is wrong, whatever the machine."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.events import BundleInfo, Correction, Event, to_json
from tests.tracker.dashboard.made_up import HEAD, ended, started, turn
from tests.tracker.kitchen_table import AUDIO, samples
from tests.tracker.mqtt.microphones import wav
from tests.tracker.terminal import read_to_end
from tests.warm import warm

EMOTRACK = f"{sys.executable} -m emotrack.command_line"
HOSTILE = "\x1b[31mA\x1b]0;title\x07\x9b2J\r\u202eevil\u2066\u200b" + "e" + "\u0301" * 30 + "\x1b"
LABELS = (f"joy{HOSTILE}", "anger")


def session(path: Path, *more: Event) -> Path:
    """A saved session in which all that comes from outside would take over the terminal."""
    events = [
        started(
            source=HOSTILE, labels=LABELS, bundle=BundleInfo(name=HOSTILE, fingerprint=HOSTILE), recogniser=HOSTILE
        ),
        turn(1, LABELS[0], speaker=HOSTILE, text=HOSTILE, probabilities={LABELS[0]: 0.8, "anger": 0.2}),
        turn(2, "anger", speaker=HOSTILE, text=HOSTILE, probabilities={LABELS[0]: 0.2, "anger": 0.8}),
        *more,
        ended(2),
    ]
    path.write_text("".join(f"{to_json(event)}\n" for event in events))
    return path


def on_a_terminal(folder: Path, *arguments: str) -> str:
    """What a command writes to a terminal that has no colours."""
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "dumb", "COLUMNS": "100"}
    command = warm(*arguments)
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=folder) as process:
        os.close(slave)
        shown = read_to_end(master)
    assert process.returncode is not None
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "s.jsonl", "--to", "csv"),
        ("export", "s.jsonl", "--to", "vtt"),
        ("export", "s.jsonl", "--to", "emotionml"),
        ("export", "s.jsonl", "--to", "rttm"),
        ("export", "s.jsonl", "--to", "csv", "--session", HOSTILE),
        ("export", "s.jsonl", "--to", HOSTILE),
        ("export", f"no-{HOSTILE}", "--to", "csv"),
        ("correct", "s.jsonl", "--set", f"1={HOSTILE}"),
        ("correct", "s.jsonl", "--set", HOSTILE),
        ("correct", f"{HOSTILE}.jsonl", "--set", "2=anger"),
        ("compare", "s.jsonl", f"{HOSTILE}.jsonl"),
        ("compare", "s.jsonl", HOSTILE),
        ("report", f"{HOSTILE}.jsonl"),
        ("redact", "s.jsonl", "--words", "-o", f"{HOSTILE}.jsonl"),
        ("live", "--file", HOSTILE, "--json"),
        ("live", "--file", str(AUDIO), "--json", "--captions", HOSTILE),
        ("live", "--file", str(AUDIO), "--json", "--asr", "none", "--bundle", HOSTILE),
        ("live", "--mqtt", f"mqtt://host/{HOSTILE}"),
        ("live", "--mic", HOSTILE, "--channels", HOSTILE),
        (HOSTILE,),
        ("evaluate", "--corpus", "meld", "--data", HOSTILE),
        ("train", "stage1", "--recipe", HOSTILE, "--out", "o"),
        ("train", "all", "--recipe", "toy", "--data", f"{HOSTILE}=x", "--out", "o"),
        ("train", "plot", HOSTILE),
    ],
    ids=lambda arguments: " ".join(words for words in arguments if words.isascii() and words.isprintable()),
)
def test_nothing_from_outside_is_obeyed_by_a_terminal(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    session(tmp_path / "s.jsonl")
    session(tmp_path / f"{HOSTILE}.jsonl")
    shown = on_a_terminal(tmp_path, *arguments)
    assert shown.strip()
    assert "Traceback" not in shown
    odd = {char for char in shown if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co"}} - {"\n", "\t"}
    assert not odd
    assert "\u0301" * 5 not in unicodedata.normalize("NFD", shown)


def test_for_another_program_data_stay_as_they_are(tmp_path: Path) -> None:
    path = session(tmp_path / "s.jsonl")
    exported = sh(f"{EMOTRACK} export {path} --to csv")
    assert "\u202eevil\u2066" in exported.stdout


def sh(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, check=False)


COMMANDS = {
    "help": "--help",
    "version": "--version",
    "live": "live --file {recording} --fast --json --asr none",
    "report": "report {session}",
    "export": "export {session} --to csv",
    "compare": "compare {session} {session}",
}


def command(name: str, folder: Path) -> str:
    """One of the commands, with a session or a recording of two seconds in a folder."""
    recording = folder / "talk.wav"
    recording.write_bytes(wav(samples()[: 2 * SAMPLE_RATE].mean(axis=1)))
    return f"{EMOTRACK} {COMMANDS[name].format(session=session(folder / 's.jsonl'), recording=recording)}"


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (">&-", "Bad file descriptor"),
        (">/dev/full", "No space left on device"),
        # A reader that has gone before anything is written, as `| true` often has.
        ("> >(exec <&-; touch {gone}; )", "Broken pipe"),
    ],
)
def test_an_output_that_takes_nothing_is_one_line(tmp_path: Path, name: str, how: str, reason: str) -> None:
    gone = tmp_path / "gone"
    wait = f"until [ -e {gone} ]; do sleep .02; done; " if "gone" in how else ""
    done = sh(f"{{ {wait}{command(name, tmp_path)}; }} {how.format(gone=gone)}")
    assert done.returncode == 1, done.stderr
    *before, last = done.stderr.splitlines()
    assert last == f"emotrack: cannot write to standard output: {reason}"
    assert before == [] or name == "live"
    assert done.stdout == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_input_and_errors_need_nobody(tmp_path: Path, name: str) -> None:
    done = sh(f"{command(name, tmp_path)} <&- 2>&-")
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert "emotrack:" not in (tmp_path / "s.jsonl").read_text(), "a closed descriptor is given to the next file"


def fails(done: subprocess.CompletedProcess[str], *says: str) -> None:
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("emotrack: ")
    for words in ("Traceback", "Exception ignored", "Warning"):
        assert words not in done.stderr
    for words in says:
        assert words in last


def test_a_machine_without_memory_is_one_line(tmp_path: Path) -> None:
    fails(sh(f"ulimit -v 500000; {command('live', tmp_path)}"), "there is not enough memory")
    assert sh(f"ulimit -v 500000; {EMOTRACK} --help").returncode == 0


@pytest.mark.parametrize("files", [6, 7])
def test_a_machine_without_descriptors_is_one_line(tmp_path: Path, files: int) -> None:
    fails(sh(f"ulimit -n {files}; {command('live', tmp_path)}"), "Too many open files")


def test_a_machine_without_shared_memory_is_one_line(tmp_path: Path) -> None:
    """In a mount namespace of its own: what is mounted there is nobody else's."""
    hide = "unshare --map-root-user --mount" if os.getuid() else "unshare --mount"
    if shutil.which("unshare") is None or sh(f"{hide} mount -t tmpfs -o ro none /dev/shm").returncode:
        pytest.skip("no namespaces may be made here")
    live = f"mount -t tmpfs -o ro none /dev/shm; {command('live', tmp_path)}"
    fails(sh(f"{hide} bash -c '{live.replace('--asr none', '--asr pocketsphinx')}'"), "/dev/shm")
    assert sh(f"{hide} bash -c '{live}'").returncode == 0


@pytest.mark.parametrize(
    "where", ["env -u HOME", "env -u TERM LANG=C LC_ALL=C", "env -i", "env PYTHONIOENCODING=ascii"]
)
def test_the_environment_may_be_bare(tmp_path: Path, where: str) -> None:
    for name in ("help", "report", "compare"):
        asked = command(name, tmp_path)
        session(tmp_path / "s.jsonl", Correction(**HEAD, turn_id=1, emotion="anger"))
        done = sh(f"env {where} {asked}")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
