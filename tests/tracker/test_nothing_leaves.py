"""Nothing leaves the machine, and nothing stays on it, but what was asked for: live and report under strace."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import pytest

from tests.strace import Tracer
from tests.tracker.kitchen_table import samples

UPLOAD_S = 13.0  # after about nine seconds ONNX Runtime sends what it has


def recording(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((samples()[: round(seconds * 16_000)].mean(axis=1) * 32767).astype("<i2").tobytes())
    return path


def test_live_tells_nobody_and_leaves_what_was_asked_for_and_report_as_well(tracer: Tracer, tmp_path: Path) -> None:
    talk = recording(tmp_path / "talk.wav", UPLOAD_S)
    seen = tracer.run("live", "--file", talk, "--asr", "none", "--save", "talk.jsonl", "--keep-audio")
    assert seen.code == 0, seen.err
    voices = {tracer.work / event["audio"] for event in map(json.loads, seen.out.splitlines()) if event.get("audio")}
    assert voices
    folders = {folder for voice in voices for folder in (voice.parent, voice.parents[1])}
    assert (seen.hosts, set(seen.left)) == (set(), {tracer.work / "talk.jsonl", *folders, *voices})

    seen = tracer.run("report", "talk.jsonl")
    assert seen.code == 0, seen.err
    assert (seen.hosts, set(seen.left)) == (set(), {tracer.work / "talk.html"})


@pytest.mark.parametrize("words", [(), ("--asr", "moonshine"), ("--language", "de")])
def test_words_come_from_what_is_here(tracer: Tracer, tmp_path: Path, words: tuple[str, ...]) -> None:
    seen = tracer.run("live", "--file", recording(tmp_path / "talk.wav", 4.0), "--fast", *words)
    assert seen.code == 0, seen.err
    assert (seen.hosts, seen.left) == (set(), [])
    recogniser = json.loads(seen.out.splitlines()[0])["recogniser"]
    assert recogniser == (None if "de" in words else "moonshine tiny-en")
