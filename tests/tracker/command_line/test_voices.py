"""Voices that are kept, as a user keeps, uses and deletes them: commands, files, a session that knows a voice."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import struct
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emotrack as package
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from tests.tracker.command_line.test_main import EMOTRACK, emotrack, events, fails
from tests.tracker.kitchen_table import AUDIO, TRUTH, samples
from tests.tracker.terminal import Terminal
from tests.tracker.virtual_microphone import VirtualMicrophone

FAST = ["live", "--file", str(AUDIO), "--fast", "--json"]
ANA, BEN = 0, 1  # channels


def recorded(path: Path, sound: Samples) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    recorded(folder / "ana.wav", samples()[:, ANA])
    recorded(folder / "both.wav", samples().mean(axis=1))
    recorded(folder / "short.wav", samples()[: 4 * SAMPLE_RATE, ANA])
    return folder


@pytest.fixture(scope="module")
def anas_file(recordings: Path) -> bytes:
    """What is kept of Ana."""
    folder = recordings / "kept"
    environment = os.environ | {"EMOTRACK_VOICES": str(folder)}
    result = emotrack("voices", "enroll", "Ana", "--file", recordings / "ana.wav", env=environment)
    assert result.returncode == 0, result.stderr
    first, last = result.stderr.splitlines()
    assert "biometric data (GDPR, Art. 9)" in first
    (path,) = folder.iterdir()
    assert last.startswith("emotrack: Ana: the voice print of 16.")
    assert last.endswith(f"s of speech is kept in {path}")
    assert [stat.S_IMODE(each.stat().st_mode) for each in (folder, path)] == [0o700, 0o600]
    assert result.stdout == ""
    return path.read_bytes()


@pytest.fixture
def voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "voices"
    monkeypatch.setenv("EMOTRACK_VOICES", str(folder))
    return folder


@pytest.fixture
def ana(voices: Path, anas_file: bytes) -> Path:
    voices.mkdir()
    kept = voices / "voice-dea210f058b407db5c1b5ea89b2e42a5.json"
    kept.write_bytes(anas_file)
    return kept


def truth_of(turn: dict[str, Any]) -> str:
    """Who really speaks most in a turn."""
    shares = {"Ana": 0.0, "Ben": 0.0}
    for said in TRUTH:
        shares[said["speaker"]] += max(0.0, min(turn["end_s"], said["end"]) - max(turn["start_s"], said["start"]))
    return max(shares, key=shares.__getitem__)


def shapes_of_print(kept: Path) -> list[bytes]:
    """How a print may stand somewhere: a number as text, or two neighbours as numbers of 4 or 8 bytes.

    Events round to four places at most, so that none of their numbers is one of six places by chance.
    """
    numbers = json.loads(kept.read_bytes())["print"]
    assert len(numbers) == 256
    texts = [text.encode() for number in numbers if len(text := str(abs(number))) == len("0.123456")]
    assert len(texts) > 100
    return texts + [struct.pack(kind, *pair) for pair in pairwise(numbers) for kind in ("<2f", "<2d")]


def test_who_is_known_has_a_name_from_the_first_turn_and_leaves_no_print_anywhere(ana: Path, tmp_path: Path) -> None:
    before = ana.read_bytes()
    saved = tmp_path / "out" / "talk.jsonl"
    saved.parent.mkdir()
    result = emotrack(*FAST, "--asr", "none", "--known", "Ana", "--save", saved, "--keep-audio", cwd=saved.parent)
    assert result.returncode == 0, result.stderr
    assert "emotrack: known by voice: Ana" in result.stderr.splitlines()
    turns = [event for event in events(result.stdout) if event["type"] == "turn"]
    firsts = [turn for turn in turns if turn["revision"] == 0 and turn["overlap"] < 0.5]
    firsts = [turn for turn in firsts if turn["end_s"] - turn["start_s"] > 1.0]
    assert len(firsts) >= 12
    assert firsts[0]["speaker"] == "Ana"
    found = [(truth_of(turn), turn["speaker"]) for turn in firsts]
    assert [speaker == "Ana" for _, speaker in found] == [truth == "Ana" for truth, _ in found]
    assert {speaker for _, speaker in found} == {"Ana", "speaker 1"}

    assert ana.read_bytes() == before, "a session adds nothing to what is kept"
    assert list(ana.parent.iterdir()) == [ana]
    left = [path.read_bytes() for path in saved.parent.rglob("*") if path.is_file()]
    assert len(left) > len(firsts), "the session, and the voice of every turn"
    for content in (result.stdout.encode(), result.stderr.encode(), *left):
        assert not [shape for shape in shapes_of_print(ana) if shape in content]
        assert ana.name.encode() not in content
        assert b"wespeaker" not in content


def test_nobody_is_known_unless_that_is_asked_for(ana: Path, tmp_path: Path) -> None:
    result = emotrack(*FAST, "--asr", "none", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Ana" not in result.stdout + result.stderr
    assert {turn["speaker"] for turn in events(result.stdout)[1:-1]} == {"speaker 1", "speaker 2"}
    assert [path.name for path in tmp_path.iterdir()] == ["voices"], "and a session keeps no voice"
    assert list(ana.parent.iterdir()) == [ana]


def test_a_tracker_of_python_knows_whom_it_is_told_to_know_and_its_snapshot_holds_no_print(ana: Path) -> None:
    async def track() -> tuple[list[str | None], bytes]:
        async with package.Tracker(recogniser="none", known=["Ana"]) as tracker:
            conversation = tracker.track(package.File(AUDIO))
            turns = [event async for event in conversation if isinstance(event, package.Turn)]
            context = conversation._controls.status.context
            assert context is not None
            return [turn.speaker for turn in turns if turn.revision == 0], context.to_bytes()

    found, snapshot = asyncio.run(track())
    assert found[:4] == ["Ana", "speaker 1", "Ana", "speaker 1"]
    assert b"Ana" in snapshot
    assert not [shape for shape in shapes_of_print(ana) if shape in snapshot]

    async def nobody() -> None:
        async with package.Tracker(recogniser="none", known=["Eve"]):
            pass

    with pytest.raises(package.EmotrackError, match=r"no voice of 'Eve' is kept in .*: Ana"):
        asyncio.run(nobody())


def test_what_is_not_one_persons_voice_is_refused_and_nothing_is_kept(recordings: Path, voices: Path) -> None:
    enroll = ("voices", "enroll", "Ana", "--file")
    fails(emotrack(*enroll, recordings / "both.wav"), 1, "2 voices were heard", "enrolled alone")
    fails(emotrack(*enroll, recordings / "short.wav"), 1, "only", "s of clear speech were heard", "takes 5")
    fails(emotrack(*enroll, recordings / "none.wav"), 1, "none.wav: no such file")
    fails(emotrack("voices", "enroll", "Ana,Ben", "--file", recordings / "ana.wav"), 1, "no name for a voice")
    fails(emotrack(*enroll, recordings / "ana.wav", "--seconds", "9"), 2, "--seconds goes with --mic")
    result = emotrack("voices", "enroll", "Ana")
    assert (result.returncode, "--mic --file is required" in result.stderr) == (2, True)
    assert not voices.exists()


def test_voices_are_listed_and_forgotten(ana: Path) -> None:
    assert emotrack("voices", "list").stdout.split("\n")[1].split()[0] == "Ana"
    (row,) = json.loads(emotrack("voices", "list", "--json").stdout)["voices"]
    assert set(row) == {"name", "enrolled", "seconds", "embedding", "file"}
    assert (row["name"], row["file"]) == ("Ana", str(ana))
    fails(emotrack("voices", "forget", "Eve"), 1, "no voice of 'Eve' is kept in")
    fails(emotrack("voices", "forget"), 2, "a NAME, or --all")
    fails(emotrack("voices", "forget", "Ana", "--all"), 2, "a NAME, or --all")
    assert ana.exists()
    result = emotrack("voices", "forget", "Ana")
    assert (result.returncode, result.stderr) == (0, "emotrack: Ana: the voice print is deleted\n")
    assert not ana.exists()
    assert emotrack("voices", "list").stdout == f"no voice is kept in {ana.parent}\n"
    assert json.loads(emotrack("voices", "list", "--json").stdout) == {"folder": str(ana.parent), "voices": []}
    fails(emotrack("voices", "forget", "--all"), 1, "no voice is kept in")


def test_whose_print_is_replaced_is_said_before(ana: Path, recordings: Path) -> None:
    result = emotrack("voices", "enroll", "Ana", "--file", recordings / "ana.wav")
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[1] == "emotrack: it takes the place of the print that is kept of Ana"


def test_what_cannot_be_known_is_said(ana: Path) -> None:
    fails(emotrack(*FAST, "--known", "Ana,Eve"), 1, "no voice of 'Eve' is kept in", ": Ana")
    fails(emotrack(*FAST, "--known", "Ana", "--speakers", "off"), 2, "--known: with --speakers off")
    fails(emotrack(*FAST, "--known", " , "), 2, "--known: names nobody")
    ana.write_bytes(ana.read_bytes().replace(b"wespeaker-resnet34", b"voice.onnx:0123456789ab"))
    result = emotrack(*FAST, "--asr", "none", "--known", "Ana")
    assert result.returncode == 0, result.stderr
    assert "Ana is not known by voice: enrolled with the embedding voice.onnx:0123456789ab of 256" in result.stderr
    assert {turn["speaker"] for turn in events(result.stdout)[1:-1]} == {"speaker 1", "speaker 2"}


def test_on_a_terminal_nothing_is_kept_before_somebody_has_agreed(
    recordings: Path, voices: Path, terminal: Terminal
) -> None:
    command = " ".join([*EMOTRACK, "voices", "enroll", "Ana", "--file", str(recordings / "ana.wav"), ";", "echo $?."])
    for answer, says in (("", "nothing was kept"), ("n", "nothing was kept"), ("y", "s of speech is kept")):
        terminal.type(f"clear; EMOTRACK_VOICES={voices} {command}", "Enter")
        terminal.wait_for("Has Ana agreed? [y/N]")
        assert not voices.exists()
        terminal.type(*([answer] if answer else []), "Enter")
        terminal.wait_for("0." if answer == "y" else "1.")
        assert says in " ".join(terminal.screen().split())
    assert len(list(voices.iterdir())) == 1


@pytest.mark.long
def test_a_microphone_hears_a_person_and_keeps_nothing_of_the_sound(
    voices: Path, tmp_path: Path, virtual_microphone: VirtualMicrophone
) -> None:
    speech = np.concatenate([samples()[: 9 * SAMPLE_RATE, ANA], samples()[14 * SAMPLE_RATE : 27 * SAMPLE_RATE, ANA]])
    virtual_microphone.play(recorded(tmp_path / "ana.wav", speech))
    result = emotrack("voices", "enroll", "Ana", "--mic", "desk", "--seconds", "20", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    _, listening, kept = result.stderr.splitlines()
    assert listening.endswith("for 20 s: Ana speaks now, alone")
    assert kept.startswith("emotrack: Ana: the voice print of ")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} - {"ana.wav"} == {
        "voice-dea210f058b407db5c1b5ea89b2e42a5.json"
    }
