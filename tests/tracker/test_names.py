"""Names that are not UTF-8, as old disks and other systems have them: nothing fails, and every event is UTF-8."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from emotrack.models.bundle import PACKAGED
from emotrack.tracker.events import BundleInfo, to_json
from emotrack.tracker.sessions.correct.audio_player import audio_path
from emotrack.tracker.sessions.reading.reader import read_session
from tests.tracker.dashboard.made_up import started, turn
from tests.tracker.kitchen_table import AUDIO, CAPTIONS
from tests.warm import warm

LATIN_1 = os.fsdecode(b"caf\xe9 \xff")
SHOWN = "caf\ufffd \ufffd"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name is no UTF-8, with a recording, its captions and a bundle whose names are none either."""
    folder = tmp_path / LATIN_1
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes no such name")
    shutil.copy(AUDIO, folder / f"{LATIN_1}.flac")
    shutil.copy(CAPTIONS, folder / f"{LATIN_1}.vtt")
    shutil.copytree(PACKAGED / "mini", folder / LATIN_1)
    return folder


def emotrack(*arguments: object) -> bytes:
    """What a command that succeeds prints."""
    done = subprocess.run(warm(*arguments), capture_output=True, timeout=120, check=False)
    done.stderr.decode()
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    return done.stdout


def test_a_session_is_made_and_used_under_any_name(folder: Path) -> None:
    recording, saved = folder / f"{LATIN_1}.flac", folder / f"{LATIN_1}.jsonl"
    words = ("--captions", folder / f"{LATIN_1}.vtt", "--bundle", folder / LATIN_1)
    out = emotrack(
        *("live", "--file", recording, "--fast", "--json", "--site", LATIN_1, *words, "--save", saved, "--keep-audio")
    )
    begun, *_, ended = (json.loads(line) for line in out.decode().splitlines())
    assert begun["site"] == SHOWN
    assert begun["source"].endswith(f"{SHOWN}/{SHOWN}.flac")
    assert ended["turns"] == 12
    saved.read_bytes().decode()
    for heard in read_session(saved).turns:
        assert heard.audio
        assert audio_path(saved, heard.audio).is_file(), "what was kept is found again"

    page = folder / f"{LATIN_1}.html"
    assert emotrack("report", saved) == os.fsencode(page) + b"\n", "another program finds the file by it"
    assert SHOWN in page.read_bytes().decode()
    emotrack("export", saved, "--to", "emotionml", "-o", folder / f"{LATIN_1}.xml")
    (folder / f"{LATIN_1}.xml").read_bytes().decode()
    emotrack("correct", saved, "--set", "1=joy")
    copy = folder / f"{LATIN_1}-bare.jsonl"
    emotrack("redact", saved, "--words", "--speakers", "-o", copy)
    emotrack("compare", saved, copy).decode()


def test_what_cannot_be_had_is_one_line_of_utf_8(folder: Path, tiny_whisper: Path) -> None:
    shutil.copytree(tiny_whisper, folder / "whisper")
    audio = ("live", "--file", folder / f"{LATIN_1}.flac", "--fast", "--json")
    for arguments, code in (
        (("live", "--file", folder / LATIN_1, "--json"), 1),
        ((*audio, "--asr", folder / LATIN_1), 1),
        ((*audio, "--asr", folder / "whisper"), 1),  # CTranslate2 takes no such path
        ((*audio, "--bundle", LATIN_1, "--asr", "none"), 1),
        ((*audio, "--asr", "none", "--publish", f"mqtt://{LATIN_1}/"), 2),
        ((*audio, "--channels", LATIN_1), 2),
        (("report", folder / LATIN_1), 1),
        (("export", folder / LATIN_1, "--to", LATIN_1), 2),
        (("evaluate", "--corpus", "meld", "--data", folder), 1),
        (("train", "stage1", "--recipe", LATIN_1, "--out", "out"), 1),
        (("train", "stage1", "--recipe", "toy", "--out", folder / "out"), 2),  # before hours of training, not after
    ):
        done = subprocess.run(warm(*arguments), capture_output=True, timeout=120, check=False)
        assert done.returncode == code, done.stderr
        assert b"Traceback" not in done.stderr
        assert done.stderr.decode().splitlines()[-1].startswith("emotrack")


@pytest.mark.parametrize("broken", ["\ud800", "a\udfffb"])
def test_an_event_is_utf_8_whatever_its_words(broken: str) -> None:
    events: list[Any] = [
        started(source=broken, labels=(broken,), bundle=BundleInfo(name=broken, fingerprint=broken), recogniser=broken),
        turn(1, broken, speaker=broken, text=broken, audio=broken, text_rejected=broken),
    ]
    for event in events:
        line = to_json(event)
        line.encode()
        assert "\ufffd" in line
