"""Recognised words in the place of a corpus's own: what is read, what is kept, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from emotrack.command_line import main
from emotrack.models.bundle import save_bundle
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding import recognisers
from emotrack.tracker.understanding.recognisers.transcript import Transcript
from emotrack.train.data import transcripts
from emotrack.train.data.dialogues import hear, read_corpus
from emotrack.train.data.transcripts import recognise, with_transcripts
from emotrack.train.errors import TrainError
from tests.train.conftest import tone, write_audio
from tests.train.evaluation.test_evaluate import random_network


class Counting:
    """Says how many turns it has heard; of the third it believes nothing."""

    name = "counting"
    batch_size = 2
    languages = ("en",)

    def __init__(self) -> None:
        self.heard: list[SpeechTurn] = []
        self.closed = False

    def transcribe(self, turn: SpeechTurn) -> Transcript:
        self.heard.append(turn)
        count = len(self.heard)
        return Transcript(None if count == 3 else f"turn {count}", "faster-whisper")

    def transcribe_batch(self, turns: Sequence[SpeechTurn]) -> list[Transcript]:
        assert len(turns) <= self.batch_size
        return [self.transcribe(turn) for turn in turns]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    recogniser = Counting()
    monkeypatch.setattr(recognisers, "open_recogniser", lambda *_: recogniser)
    return recogniser


def test_turns_with_a_voice_are_recognised_once(iemocap: Path, tmp_path: Path, counting: Counting) -> None:
    corpus, path = read_corpus("iemocap", iemocap, "dev"), tmp_path / "words.csv"
    recognise(corpus, "dev", path, "counting", None)
    assert len(counting.heard) == 5  # the sixth has no recording
    assert counting.closed
    assert all(turn.speech_s == pytest.approx(1.0) and len(turn.samples) == turn.end for turn in counting.heard)
    read = with_transcripts(corpus, "dev", path)
    assert read.words == "counting"
    assert [turn.text for turn in read.turns] == ["turn 1", "turn 2", None, "turn 4", "turn 5", None]
    assert [turn.labels for turn in read.turns] == [turn.labels for turn in corpus.turns]
    recognise(corpus, "dev", path, "counting", None)
    assert len(counting.heard) == 5
    with pytest.raises(TrainError, match="holds words of counting, not of large-v3, de: choose another file"):
        recognise(corpus, "dev", path, "large-v3", "de")


def test_what_was_recognised_until_a_failure_is_kept(
    iemocap: Path, tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, path = read_corpus("iemocap", iemocap, "dev"), tmp_path / "words.csv"
    monkeypatch.setattr(transcripts, "hear", lambda turn: hear(turn) if len(counting.heard) < 4 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        recognise(corpus, "dev", path, "counting", None)
    monkeypatch.setattr(transcripts, "hear", hear)
    recognise(corpus, "dev", path, "counting", None)
    assert len(counting.heard) == 5


def test_the_table_has_rows_of_them(
    toy: Path, toy_data: list[str], meld: Path, tmp_path: Path, counting: Counting
) -> None:
    shutil.copytree(meld, tmp_path / "meld")
    clips = tmp_path / "meld/output_repeated_splits_test"
    clips.mkdir()
    for turn in range(4):
        write_audio(clips / f"dia0_utt{turn}.mp4", tone(turn, 0.6, 0), "aac")
    shutil.copytree(toy, tmp_path / "toy/staged/seed-0")
    words = [*toy_data, "--data", f"meld={tmp_path / 'meld'}", "--split", "test", "--out", str(tmp_path)]
    for _ in range(2):
        assert main(["train", "table", "--recipe", "toy", "--asr", "counting", *words]) == 0
    assert len(counting.heard) == 4
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["words"] and row["mode"] == "online"]
    assert {(row["stage"], row["heard"], row["words"], row["count"]) for row in rows} == {
        ("I", "words", "counting", "3"),
        ("II", "words", "counting", "3"),
        ("III", "voice and words", "counting", "4"),
    }
    assert (tmp_path / "toy/staged/seed-0/predictions/test-online-stage-III-recognised.csv").is_file()


def test_evaluate_reads_them(
    iemocap: Path, tmp_path: Path, counting: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    save_bundle(random_network(), tmp_path / "bundle", {}, "# random\n")
    data = ["evaluate", "--bundle", str(tmp_path / "bundle"), "--corpus", "iemocap", "--data", str(iemocap)]
    path = tmp_path / "words.csv"
    assert main([*data, "--asr", "counting", "--transcripts", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["words"] == "counting"
    counts = {name: each["count"] for name, each in document["by_modalities"].items()}
    assert counts == {"both": 3, "speech": 3, "text": 3}
    assert main([*data, "--transcripts", str(path), "--predictions", str(tmp_path / "said.csv")]) == 0
    shown = capsys.readouterr().out
    assert "voice and words (counting)" in shown
    assert "words counting" in shown
    assert len(counting.heard) == 5
    with (tmp_path / "said.csv").open(newline="") as file:
        assert {row["words"] for row in csv.DictReader(file)} == {"counting"}


def test_what_cannot_be_read_is_refused(iemocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, path = read_corpus("iemocap", iemocap, "dev"), tmp_path / "words.csv"
    for text, complaint in (
        ("split,dialogue,turn\n", "no column 'text'"),
        ("split,dialogue,turn,text,recogniser\ntest,a,b,hm,x\n", "no words of split dev in it"),
        ("split,dialogue,turn,text,recogniser\ndev,a,b,hm,x\n", "iemocap has no turn b of dialogue a"),
    ):
        path.write_text(text)
        with pytest.raises(TrainError, match=complaint):
            with_transcripts(corpus, "dev", path)
    words = ["evaluate", "--corpus", "iemocap", "--data", str(iemocap)]
    for options, complaint in (
        (["--asr", "moonshine"], "--asr wants --transcripts FILE.csv"),
        (["--language", "de"], "--language is of what --asr hears"),
        (["--transcripts", str(tmp_path / "nowhere/a.csv")], "its folder is not there"),
        (["--asr", "auto", "--transcripts", str(path)], "--asr auto: scores of recognised words want"),
    ):
        assert main([*words, *options]) == 2
        assert complaint in capsys.readouterr().err
