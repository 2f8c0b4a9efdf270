"""Tiny trees in the corpora's official layouts."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from emotrack.models.labels import EMOTIONS
from emotrack.train.corpora import READERS
from emotrack.train.corpora import corpus as corpus_module
from emotrack.train.corpora.corpus import Corpus, CorpusTurn, Counts, Dialogue, checked
from emotrack.train.data.dialogues import hear, read_corpus
from emotrack.train.errors import TrainError
from tests.train.conftest import RATE, tone, write_audio


@pytest.fixture(autouse=True)
def _every_warning_anew() -> None:
    corpus_module._warn.cache_clear()


def test_every_session_of_iemocap_is_test_once(whole_iemocap: Path) -> None:
    for fold in range(1, 6):
        found = {
            split: {dialogue.name[:5] for dialogue in READERS[f"iemocap-fold-{fold}"](whole_iemocap, split).dialogues}
            for split in ("train", "dev", "test")
        }
        assert found["test"] == {f"Ses0{fold}"}
        assert set().union(*found.values()) == {f"Ses0{number}" for number in range(1, 6)}
        assert sum(map(len, found.values())) == 5  # no session twice
    published, fifth = (READERS[name](whole_iemocap, "dev") for name in ("iemocap", "iemocap-fold-5"))
    assert published == fifth
    six = READERS["iemocap-6-fold-2"](whole_iemocap, "dev")
    assert {dialogue.name[:5] for dialogue in six.dialogues} == {"Ses03"}
    assert len(six.labels) == 6


def test_iemocap_with_four_labels(iemocap: Path) -> None:
    corpus = read_corpus("iemocap", iemocap, "dev")
    assert corpus.labels == ("neutral", "joy", "sadness", "anger")
    (dialogue,) = corpus.dialogues
    assert dialogue.name == "Ses01F_impro01"
    assert [turn.text for turn in dialogue.turns] == ["Excuse me.", "Yes!", "I told you.", "Hm.", "So good.", "Out."]
    assert [turn.emotion for turn in dialogue.turns] == ["neutral", "joy", None, None, "joy", "anger"]
    assert [turn.speaker for turn in dialogue.turns] == [f"Ses01{sex}" for sex in "FMFMFM"]
    assert [turn.audio is not None for turn in dialogue.turns] == [True, True, True, True, True, False]
    waveform = hear(dialogue.turns[0]).waveform
    assert waveform is not None
    assert len(waveform) == RATE
    assert read_corpus("iemocap", iemocap, "test").dialogues[0].name == "Ses05F_impro01"


def test_iemocap_with_six_labels(iemocap: Path) -> None:
    corpus = read_corpus("iemocap-6", iemocap, "dev")
    assert corpus.labels == ("neutral", "joy", "excitement", "sadness", "anger", "frustration")
    assert [turn.emotion for turn in corpus.turns] == ["neutral", "excitement", "frustration", None, "joy", "anger"]


def test_iemocap_without_a_part(iemocap: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"Session2: no dialog/EmoEvaluation/\*\.txt"):
        read_corpus("iemocap", iemocap, "train")
    shutil.copytree(iemocap / "Session1", tmp_path / "Session1")
    shutil.rmtree(tmp_path / "Session1/dialog/transcriptions")
    with pytest.raises(TrainError, match=r"transcriptions/Ses01F_impro01\.txt: No such file"):
        read_corpus("iemocap", tmp_path, "dev")


@pytest.mark.parametrize(
    ("split", "video"), [("train", "2iD-tVS8NPw"), ("dev", "_dI--eQ6qVU"), ("test", "zhpQhgha_KU")]
)
def test_mosi(mosi: Path, split: str, video: str) -> None:
    corpus = read_corpus("mosi", mosi, split)
    (dialogue,) = corpus.dialogues
    assert dialogue.name == video
    assert [turn.name for turn in dialogue.turns] == ["1", "2", "10"]
    assert [turn.emotion for turn in dialogue.turns] == ["positive", "positive", "negative"]  # 2.4, 0, -0.2
    assert dialogue.turns[2].text == f"opinion 10 of {video}".lower()
    assert [turn.sentiment for turn in dialogue.turns] == [2.4, 0.0, -0.2]
    seven = read_corpus("mosi-7", mosi, split)
    assert [turn.emotion for turn in seven.turns] == ["2", "0", "0"]
    assert [float(label) for label in seven.labels] == [-3, -2, -1, 0, 1, 2, 3]
    assert all(hear(turn).waveform is not None for turn in dialogue.turns)
    assert read_corpus("mosi", mosi / "Raw", split).dialogues[0].name == video


@pytest.mark.parametrize("row", ["0,1,zz,1", "0,1,zz,one,2.0", "0,1,zz,1,much"])
def test_mosi_with_a_row_of_another_format(mosi: Path, tmp_path: Path, row: str) -> None:
    (tmp_path / "Labels").mkdir()
    (tmp_path / "Labels/OpinionLevelSentiment.csv").write_text(row)
    with pytest.raises(TrainError, match="not start, end, video, number and score: 0,1,zz"):
        read_corpus("mosi", tmp_path, "test")
    (tmp_path / "Labels/OpinionLevelSentiment.csv").write_text("0,1,zz,1,3.4")
    with pytest.raises(TrainError, match=r"a score out of \[-3, 3\]"):
        read_corpus("mosi", tmp_path, "test")


def test_meld_with_its_clips(meld: Path, tmp_path: Path) -> None:
    """One clip is missing in the release, and one is broken there."""
    shutil.copytree(meld, tmp_path / "meld")
    (tmp_path / "meld/train_splits").mkdir()
    for clip in ("dia0_utt0", "dia0_utt2"):
        write_audio(tmp_path / f"meld/train_splits/{clip}.mp4", tone(1, 0.6, 0), "aac")
    table = (meld / "train_sent_emo.csv").read_text().replace(",1,3", ",125,3")
    (tmp_path / "meld/train_sent_emo.csv").write_text(table)
    (tmp_path / "meld/train_splits/dia125_utt3.mp4").write_text("broken")
    corpus = read_corpus("meld", tmp_path / "meld", "train")
    heard = [hear(turn) for turn in corpus.turns]
    assert [index for index, turn in enumerate(heard) if turn.waveform is not None] == [0, 2]
    assert heard[1].text == "i am so happy"
    waveform = heard[0].waveform
    assert waveform is not None
    assert len(waveform) == pytest.approx(RATE, abs=RATE // 10)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_meld_as_spreadsheets_save_it(
    meld: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str, delimiter: str
) -> None:
    """Every letter and label is there, and what is not UTF-8 and does not say what it is, is told once."""
    with (meld / "dev_sent_emo.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    for row in rows[1:]:
        row[1] += " \u2013 it\u2019s caf\u00e9, \u20ac;\u2026"
    for name, written in (("as-published", ("utf-8", ",")), ("saved", (encoding, delimiter))):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "dev_sent_emo.csv").open("w", encoding=written[0], newline="") as file:
            csv.writer(file, delimiter=written[1]).writerows(rows)
    published = read_corpus("meld", tmp_path / "as-published", "dev")
    capsys.readouterr()
    assert read_corpus("meld", tmp_path / "saved", "dev") == published
    read_corpus("meld", tmp_path / "saved", "dev")
    told = [line for line in capsys.readouterr().err.splitlines() if "Windows-1252" in line]
    says = (
        f"emotrack: {tmp_path}/saved/dev_sent_emo.csv: 28 lines from line 2 on are not UTF-8 but read as Windows-1252"
    )
    assert told == ([says] if encoding == "cp1252" else [])


def test_every_corpus_reads_windows_1252(
    mosi: Path, goemotions: Path, iemocap: Path, emorynlp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "it\u2019s\u2026 caf\u00e9"
    for name, folder, split, file, before in (
        ("mosi", mosi, "dev", "Raw/Transcript/Segmented/_dI--eQ6qVU.annotprocessed", "OPINION 10 OF"),
        ("goemotions", goemotions, "dev", "dev.tsv", "see you at five"),
        ("iemocap", iemocap, "dev", "Session1/dialog/transcriptions/Ses01F_impro01.txt", "Excuse me."),
        ("emorynlp", emorynlp, "dev", "emorynlp_dev_final.csv", "line 3"),
    ):
        shutil.copytree(folder, tmp_path / name)
        path = tmp_path / name / file
        path.write_bytes(path.read_text().replace(before, words).encode("cp1252"))
        found = read_corpus(name, tmp_path / name, split)
        assert any(words in (turn.text or "") for turn in found.turns)
        assert [turn.labels for turn in found.turns] == [turn.labels for turn in read_corpus(name, folder, split).turns]
        assert f"{path}: " in capsys.readouterr().err


def test_meld_as_its_archives_unpack(meld: Path, tmp_path: Path) -> None:
    (tmp_path / "dev/dev_splits_complete").mkdir(parents=True)
    shutil.copy(meld / "dev_sent_emo.csv", tmp_path / "dev")
    write_audio(tmp_path / "dev/dev_splits_complete/dia0_utt1.mp4", tone(1, 0.6, 0), "aac")
    corpus = read_corpus("meld", tmp_path, "dev")
    assert [turn.audio is not None for turn in corpus.turns[:3]] == [False, True, False]
    assert corpus.dialogues[1].name == "1"


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("meld", "dev", "meld, dev, has 28 labelled turns in 4 dialogues; published are 1,109 in 114"),
        ("iemocap", "test", "iemocap, test, has 4 labelled turns in 1 dialogues; published are 1,241 in any number of"),
        ("iemocap-6", "test", "iemocap, test, has 4 labelled turns in 1 dialogues"),
        ("mosi", "test", "mosi, test, has 3 labelled turns in 1 dialogues; published are 686 in 31"),
        ("emorynlp", "dev", "emorynlp, dev, has 7 labelled turns"),
        ("goemotions", "dev", "goemotions, dev, has 15 labelled turns"),
    ],
)
def test_a_copy_of_another_size_is_said_once(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], name: str, split: str, message: str
) -> None:
    folder = request.getfixturevalue(name.removesuffix("-6"))
    read_corpus(name, folder, split)
    read_corpus(name, folder, split)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"emotrack: this copy of {message}" in line


def test_a_copy_of_the_published_size_is_not_remarked_on(capsys: pytest.CaptureFixture[str]) -> None:
    turns = tuple(CorpusTurn(str(number), "hm", ("joy",) if number else ()) for number in range(3))
    corpus = Corpus("meld", EMOTIONS, (Dialogue("0", turns),))
    for published in (Counts(2, 1), Counts(None, 1), Counts(2, None), None):
        checked(corpus, "dev", published)
    assert capsys.readouterr().err == ""
    with pytest.raises(TrainError, match="no utterances in split dev"):
        checked(replace(corpus, dialogues=()), "dev", None)


def test_a_corpus_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="no corpus 'friends': there are meld, iemocap, iemocap-6, mosi"):
        read_corpus("friends", tmp_path, "dev")
    with pytest.raises(TrainError, match=r"OpinionLevelSentiment\.csv: No such file"):
        read_corpus("mosi", tmp_path, "dev")
