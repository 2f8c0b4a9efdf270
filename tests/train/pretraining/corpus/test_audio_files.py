"""Which audio is found, and who speaks in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from emotrack.train.errors import TrainError
from emotrack.train.pretraining.corpus.audio_files import find_audio, read_clip


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def found(where: Path) -> list[tuple[str, str | None]]:
    return [(file.source, file.speaker) for file in find_audio(where)]


def test_a_folder_is_read_however_deep_in_the_order_of_its_names(tmp_path: Path) -> None:
    put(tmp_path, "b/2.WAV", "b/1.mp3", "b/c/0.opus", "a.flac", "notes.txt", "b/._1.mp3", ".trash/x.wav", "1-2-3.wav")
    assert found(tmp_path) == [
        ("1-2-3.wav", None),
        ("a.flac", None),
        ("b/1.mp3", None),
        ("b/2.WAV", None),
        ("b/c/0.opus", None),
    ]


def test_a_list_is_read_relative_to_where_it_lies(tmp_path: Path) -> None:
    put(tmp_path, "lists/near.wav", "far.bin")
    listed = tmp_path / "lists/all.txt"
    listed.write_text(f"near.wav\n\n{tmp_path}/far.bin\n  missing.wav\n")
    assert found(listed) == [("near.wav", None), (f"{tmp_path}/far.bin", None), ("missing.wav", None)]
    assert [file.path.is_file() for file in find_audio(listed)] == [True, True, False]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_as_other_systems_write_it(tmp_path: Path, encoding: str) -> None:
    listed = tmp_path / "all.txt"
    listed.write_text("Zo\u00eb.wav\r\nnear.wav\r\n", encoding=encoding, newline="")
    assert found(listed) == [("Zo\u00eb.wav", None), ("near.wav", None)]


def test_librispeech_tells_its_speakers(tmp_path: Path) -> None:
    chapters = {"19/198": ("19-198-0000.flac", "19-198-0001.flac"), "2277/149896": ("2277-149896-0000.flac",)}
    for chapter, names in chapters.items():
        put(tmp_path, *(f"LibriSpeech/dev-clean/{chapter}/{name}" for name in names))
        put(tmp_path, f"LibriSpeech/dev-clean/{chapter}/{chapter.replace('/', '-')}.trans.txt")
    put(tmp_path, "LibriSpeech/SPEAKERS.TXT")
    assert [(source.rpartition("/")[2], speaker) for source, speaker in found(tmp_path / "LibriSpeech")] == [
        ("19-198-0000.flac", "19"),
        ("19-198-0001.flac", "19"),
        ("2277-149896-0000.flac", "2277"),
    ]


def test_msp_podcast_tells_its_speakers(tmp_path: Path) -> None:
    put(tmp_path, *(f"Audios/MSP-PODCAST_0001_{number:04}.wav" for number in (8, 19, 33)))
    put(tmp_path, "Transcripts/MSP-PODCAST_0001_0008.txt", "Labels/labels.txt", "elsewhere/other.wav")
    (tmp_path / "Labels/labels_consensus.csv").write_text(
        "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
        "MSP-PODCAST_0001_0008.wav,N,2.8,4.6,3.8,127,Female,Train\n"
        "MSP-PODCAST_0001_0019.wav,N,4.6,3.6,5.0,Unknown,Unknown,Train\n"
    )
    (tmp_path / "Labels/labels_detailed.csv").write_text("FileName,Worker\nMSP-PODCAST_0001_0008.wav,WORKER1\n")
    assert found(tmp_path) == [
        ("Audios/MSP-PODCAST_0001_0008.wav", "127"),
        ("Audios/MSP-PODCAST_0001_0019.wav", None),
        ("Audios/MSP-PODCAST_0001_0033.wav", None),
    ]


def test_a_file_is_known_by_its_contents(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "b.wav")
    (tmp_path / "copy.wav").write_bytes(b"a.wav")
    keys = {file.source: read_clip(file).key for file in find_audio(tmp_path)}
    assert keys["a.wav"] == keys["copy.wav"] != keys["b.wav"]


def test_where_there_is_no_audio(tmp_path: Path) -> None:
    put(tmp_path, "words.txt")
    with pytest.raises(TrainError, match="nowhere: no such folder or list"):
        found(tmp_path / "nowhere")
    with pytest.raises(TrainError, match="no audio in it"):
        found(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xff")
    with pytest.raises(TrainError, match="neither a folder nor audio nor a list of paths"):
        found(tmp_path / "picture.png")
