"""``emotrack train transcribe`` on real speech with a tiny random Whisper: what it writes, survives and refuses."""

from __future__ import annotations

import pickle
import random
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from emotrack.command_line import main
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.hearing.listener import Listener
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.train.pretraining.corpus.audio_files import find_audio, read_clip
from emotrack.train.pretraining.corpus.hearing import Cut, HearingStep, UnusableAudioError
from emotrack.train.pretraining.corpus.rows import TurnRow
from emotrack.train.pretraining.corpus.table import Table
from tests.tracker.kitchen_table import samples
from tests.train.conftest import write_audio


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 pieces of a conversation."""
    folder = tmp_path_factory.mktemp("talks")
    whole = samples().mean(axis=1)
    for number in range(30):
        start = number * SAMPLE_RATE
        write_audio(folder / f"{number:02}.wav", whole[start : start + 3 * SAMPLE_RATE])
    return folder


def transcribe(audio: Path, out: Path, asr: Path | str, *more: str) -> int:
    return main(["train", "transcribe", "--audio", str(audio), "--asr", str(asr), "--out", str(out), *more])


def rows(out: Path) -> list[TurnRow]:
    return sorted(Table(out / "turns", TurnRow).rows(), key=lambda row: row.turn_id)


@pytest.fixture(scope="module")
def corpus(talks: Path, tiny_whisper: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed run makes of them."""
    out = tmp_path_factory.mktemp("corpus")
    assert transcribe(talks, out, tiny_whisper, "--batch", "7") == 0
    return out


def test_turns_are_those_of_the_live_tracker(talks: Path, corpus: Path) -> None:
    found = rows(corpus)
    assert {row.source for row in found} <= {path.name for path in talks.iterdir()}
    for number in (0, 12):
        listener = Listener(0, SegmenterOptions())
        start = number * SAMPLE_RATE
        piece = (samples().mean(axis=1)[start : start + 3 * SAMPLE_RATE] * 32767).astype(np.int16) / np.float32(32768)
        turns = listener.push(piece, 0) + listener.flush()
        assert turns
        of_it = sorted((row.start_s, row.end_s) for row in found if row.source == f"{number:02}.wav")
        assert of_it == [(turn.start_s, turn.end_s) for turn in turns]
    assert all(row.confidence is not None and 0 <= row.confidence <= 1 for row in found)
    assert {row.language for row in found} <= {"en", "de"}
    assert all((row.text is None) == (row.rejected is not None) for row in found)


def test_a_second_run_does_nothing_twice(
    talks: Path, corpus: Path, tiny_whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, more = tmp_path / "out", tmp_path / "more"
    shutil.copytree(corpus, out)
    shutil.copytree(talks, more)
    shutil.copy(talks / "03.wav", more / "another-name.wav")
    before = {path: path.stat().st_mtime_ns for path in (out / "turns").iterdir() if path.suffix == ".parquet"}
    assert transcribe(more, out, tiny_whisper) == 0
    assert {path: path.stat().st_mtime_ns for path in Table(out / "turns", TurnRow).shards()} == before
    assert "this run: 0 files" in capsys.readouterr().out


def test_another_recogniser_language_or_cutting_is_refused(
    talks: Path, corpus: Path, tiny_whisper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for asr, more in ((tiny_whisper, ["--language", "de"]), (tiny_whisper, ["--end-silence", "0.7"]), ("tiny", [])):
        assert transcribe(talks, corpus, asr, *more) == 1
        assert "its rows were made by tiny@" in capsys.readouterr().err


def test_bad_files_are_set_aside_and_end_nothing(
    talks: Path, tiny_whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio, out = tmp_path / "audio", tmp_path / "out"
    audio.mkdir()
    shutil.copy(talks / "00.wav", audio / "a-good.wav")
    (audio / "empty.wav").write_bytes(b"")
    (audio / "letter.mp3").write_text("Dear Monica, " * 100)
    whole = (talks / "01.wav").read_bytes()
    (audio / "cut-off.wav").write_bytes(whole[: len(whole) // 2])
    (audio / "header.wav").write_bytes(whole[:44])
    write_audio(audio / "silence.flac", np.zeros(2 * SAMPLE_RATE, np.float32), "flac")
    (audio / "dangling.wav").symlink_to(tmp_path / "nowhere.wav")
    shutil.copy(talks / "12.wav", audio / "z-good.wav")
    assert transcribe(audio, out, tiny_whisper, "--batch", "3") == 0
    table = Table(out / "turns", TurnRow)
    assert {row.source for row in table.rows()} == {"a-good.wav", "z-good.wav"}
    reasons = dict(reason.split(": ", 1) for reason in table.quarantined.values())
    assert set(reasons) == {"empty.wav", "letter.mp3", "cut-off.wav", "header.wav"}
    assert reasons["empty.wav"] == "is empty"
    assert "not a file that can be decoded" in reasons["letter.mp3"]
    assert reasons["cut-off.wav"].startswith("breaks off after 1.5 s")
    said = capsys.readouterr().out
    assert "quarantined: 5 files" in said
    assert "  dangling.wav: No such file or directory\n" in said
    assert "  empty.wav: is empty\n" in said


def test_turns_are_cut_while_they_are_taken(tmp_path: Path) -> None:
    long = np.tile(samples().mean(axis=1), 3)
    write_audio(tmp_path / "long.flac", long, "flac")
    (found,) = find_audio(tmp_path)
    (heard,) = Cut(SegmenterOptions())([read_clip(found)])
    tracemalloc.start()
    try:
        count = sum(1 for _ in heard)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count > 24
    assert peak < long.nbytes / 2


def test_turns_that_go_to_another_process_arrive_as_they_are(talks: Path, tmp_path: Path) -> None:
    clip = read_clip(next(find_audio(talks)))
    here = list(HearingStep(clip, SegmenterOptions()))
    there = list(pickle.loads(pickle.dumps(HearingStep(clip, SegmenterOptions()))))
    assert here
    for one, other in zip(here, there, strict=True):
        assert (one.start, one.end) == (other.start, other.end)
        np.testing.assert_array_equal(one.samples, other.samples)
    (tmp_path / "bad.wav").write_text("no audio")
    bad = pickle.loads(pickle.dumps(HearingStep(read_clip(next(find_audio(tmp_path))), SegmenterOptions())))
    with pytest.raises(UnusableAudioError, match="not a file that can be decoded"):
        list(bad)


def test_what_cannot_be_is_one_clear_line(
    talks: Path, tiny_whisper: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for code, audio, out, asr, more, line in (
        (1, tmp_path / "nowhere", tmp_path / "out", tiny_whisper, [], "nowhere: no such folder or list"),
        (1, talks, tmp_path / "file", tiny_whisper, [], "file/turns cannot be made: Not a directory"),
        (1, talks, tmp_path / "out", "enormous", [], "no folder and no faster-whisper size is called 'enormous'"),
        (2, talks, tmp_path / "out", "auto", [], "--asr auto: transcripts that others learn from"),
        (2, talks, tmp_path / "out", tiny_whisper, ["--onset", "0.1"], "onset and offset must satisfy"),
    ):
        assert transcribe(audio, out, asr, *more) == code
        said = capsys.readouterr()
        assert line in said.err
        assert said.err.count("\n") == 1
        assert said.out == ""


# One process imports everything and forks each run, so that ten runs do not cost ten times the imports.
KILLED_TEN_TIMES = """
import os, random, signal, sys, time
from pathlib import Path
from emotrack.command_line import main
import emotrack.train.pretraining.corpus.hearing, emotrack.train.pretraining.corpus.transcribe, faster_whisper

audio, asr, out, seed = sys.argv[1:]
dice = random.Random(int(seed))

def shards():
    return len(list(Path(out, "turns").glob("*.parquet")))

def start():
    if (run := os.fork()) == 0:
        os._exit(main(["train", "transcribe", "--audio", audio, "--asr", asr, "--out", out, "--batch", "1"]))
    return run

for _ in range(10):
    enough = shards() + dice.randint(0, 2)
    run = start()
    while shards() < enough:
        time.sleep(0.001)
    time.sleep(dice.uniform(0, 0.05))
    os.kill(run, signal.SIGKILL)
    _, status = os.waitpid(run, 0)
    assert os.WIFSIGNALED(status), "it had finished"
    print("killed at", shards())
_, status = os.waitpid(start(), 0)
assert status == 0
"""


def test_a_run_that_was_killed_ten_times_ends_in_the_same_corpus(
    talks: Path, corpus: Path, tiny_whisper: Path, tmp_path: Path
) -> None:
    seed = random.randrange(1000)
    ran = subprocess.run(
        [sys.executable, "-c", KILLED_TEN_TIMES, str(talks), str(tiny_whisper), str(tmp_path), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, (seed, ran.stderr)
    assert ran.stdout.count("killed at") == 10, (seed, ran.stdout)
    assert rows(tmp_path) == rows(corpus)
    assert list((tmp_path / "turns").glob("*.partial")) == []
