"""Voice prints in files: whole, private, bounded, and no file is believed."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import Samples
from emotrack.tracker.speakers import voice_store
from emotrack.tracker.speakers.networks import SpeakerNetworks, VoicePrint, of_length_one
from emotrack.tracker.speakers.voice_store import (
    KeptVoice,
    VoiceStore,
    enrolled_prints,
    kept_name,
    new_voice,
    voice_folder,
)
from tests.models.test_files import full_disk, umask

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
PRINT = np.float32(0.8) * of_length_one(np.arange(1, 257, dtype=np.float32))


def voice(name: str, embedding: str = "wespeaker-resnet34") -> KeptVoice:
    return new_voice(name, PRINT, 16.64, embedding, NOW)


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path / "data" / "voices")


def test_what_is_kept_comes_back(store: VoiceStore, notices: list[str]) -> None:
    for name in ("Ben", "Ana", "Zoë Müller"):
        store.keep(voice(name))
    found = store.voices()
    assert [each.name for each in found] == ["Ana", "Ben", "Zoë Müller"]
    assert np.allclose(found[0].voice_print, PRINT, atol=1e-6)
    assert (found[0].enrolled, found[0].seconds, found[0].embedding) == (NOW, 16.6, "wespeaker-resnet34")
    assert [each.name for each in store.known(["Ben", "Ana", "Ben"])] == ["Ben", "Ana"]
    assert len(store.known(["all"])) == 3
    assert notices == []


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_folder_and_file_are_the_owners_alone_whatever_the_umask(store: VoiceStore, mask: int) -> None:
    with umask(mask):
        path = store.keep(voice("Ana"))
        store.keep(voice("Ana"))
    assert [stat.S_IMODE(each.stat().st_mode) for each in (store.folder, path)] == [0o700, 0o600]
    assert list(store.folder.iterdir()) == [path]


def test_a_full_disk_leaves_the_print_that_was_there(store: VoiceStore) -> None:
    path = store.keep(voice("Ana"))
    good = path.read_bytes()
    with full_disk(500), pytest.raises(OSError, match="File too large"):
        store.keep(voice("Ana"))
    assert path.read_bytes() == good
    assert list(store.folder.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "voices").touch()
    store = VoiceStore(tmp_path / "voices")
    for act in (store.voices, store.forget_all, lambda: store.known(["Ana"]), lambda: store.keep(voice("Ana"))):
        with pytest.raises(NotADirectoryError):
            act()


@pytest.mark.parametrize("name", ["../../Ana", "/etc/passwd", ".", "a/b", "x" * 64])
def test_no_name_leads_out_of_the_folder(store: VoiceStore, name: str) -> None:
    assert store.keep(voice(name)).parent == store.folder
    assert [each.name for each in store.voices()] == [name]


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "Ana,Ben", "all", "A\nB", "\x1b[31mAna", "a\u202eb", "a  b"])
def test_names_that_can_be_none(name: str) -> None:
    with pytest.raises(EmotrackError, match="is no name for a voice") as said:
        kept_name(name)
    assert len(str(said.value).splitlines()) == 1


def test_two_ways_to_write_a_name_are_one(store: VoiceStore) -> None:
    store.keep(voice("Zoe\u0308"))
    assert store.forget(kept_name(" Zo\u00eb "))


def test_there_is_room_for_so_many(store: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_store, "MAX_VOICES", 2)
    store.keep(voice("Ana"))
    store.keep(voice("Ben"))
    store.keep(voice("Ana"))
    with pytest.raises(EmotrackError, match=r"2 voices are kept in .*: forget one"):
        store.keep(voice("Cara"))


DAMAGE = {
    "empty": lambda path: path.write_text(""),
    "half": lambda path: path.write_text(path.read_text()[:1000]),
    "no JSON": lambda path: path.write_bytes(b"\x80\x04pickle"),
    "too large": lambda path: path.write_text(" " * 300_000),
    "another's name": lambda path: path.write_text(path.read_text().replace("Ana", "Eve")),
    "no number": lambda path: changed(path, print=[float("nan")] * 256),
    "no print": lambda path: changed(path, print=[]),
    "long print": lambda path: changed(path, print=[1.0] * 256),
    "zeros": lambda path: changed(path, print=[0.0] * 256),
    "newer": lambda path: changed(path, format="emotrack.voice/9"),
    "more": lambda path: changed(path, audio="..."),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "broken link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


def changed(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_one_line_and_the_others_are_read(store: VoiceStore, notices: list[str], damage: str) -> None:
    store.keep(voice("Ben"))
    path = store.keep(voice("Ana"))
    number = json.loads(path.read_text())["print"][100]
    DAMAGE[damage](path)
    assert [each.name for each in store.voices()] == ["Ben"]
    (line,) = notices
    assert line.startswith(f"{path}: no voice, left out: ")
    assert len(line.splitlines()) == 1
    assert str(number) not in line, "no print in a message"
    with pytest.raises(EmotrackError, match=r"no voice of 'Ana' is kept in .*: Ben"):
        store.known(["Ana"])


def test_what_is_forgotten_is_gone(store: VoiceStore) -> None:
    assert not store.forget("Ana")
    assert store.forget_all() == 0
    for name in ("Ana", "Ben", "Cara"):
        store.keep(voice(name))
    assert store.forget("Ana")
    assert [each.name for each in store.voices()] == ["Ben", "Cara"]
    store.path("Ben").write_text("damaged")
    assert store.forget("Ben"), "readable or not"
    (store.folder / ".emotrack-0123.partial").write_text("of a process that was killed")
    (store.folder / "notes.txt").write_text("not ours")
    assert store.forget_all() == 1
    assert [path.name for path in store.folder.iterdir()] == ["notes.txt"]


def test_all_is_forgotten_that_can_be_whatever_lies_between(store: VoiceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Ana", "Ben", "Cara"):
        store.keep(voice(name))
    (store.folder / "voice-0.json").mkdir()
    kept = sorted(store.folder.glob("voice-?*.json"))[1]
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == kept:
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(PermissionError):
        store.forget_all()
    assert {path.name for path in store.folder.iterdir()} == {"voice-0.json", kept.name}
    monkeypatch.undo()
    assert store.forget_all() == 1, "a folder is no voice"


def test_no_message_shows_a_print() -> None:
    assert str(voice("Ana").print[0]) not in repr(voice("Ana"))


class Embedding:
    name = "wespeaker-resnet34"

    def __call__(self, samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        return PRINT


def nobody(samples: Samples) -> NDArray[np.bool_]:
    return np.zeros((589, 3), dtype=bool)


def test_prints_of_another_embedding_are_refused_with_a_line(notices: list[str]) -> None:
    networks = SpeakerNetworks(nobody, Embedding())
    short = new_voice("Cara", PRINT[:100] / np.linalg.norm(PRINT[:100]), 9.0, Embedding.name, NOW)
    known = enrolled_prints([voice("Ana"), voice("Ben", "voice.onnx:012345"), short], networks)
    assert list(known) == ["Ana"]
    here = "and this one is wespeaker-resnet34 of 256"
    assert notices == [
        f"Ben is not known by voice: enrolled with the embedding voice.onnx:012345 of 256 numbers, {here}",
        f"Cara is not known by voice: enrolled with the embedding wespeaker-resnet34 of 100 numbers, {here}",
        "known by voice: Ana",
    ]
    assert enrolled_prints([voice("Ana")], None) == {}
    assert notices[-1] == "nobody is known by voice, since voices are not told apart here"


def test_the_folder_is_that_of_the_environment_else_of_the_users_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    monkeypatch.delenv("EMOTRACK_VOICES", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert voice_folder() == Path("/home/ana/.local/share/emotrack/voices")
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    assert voice_folder() == Path("/home/ana/.local/share/emotrack/voices")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert voice_folder() == Path("/data/emotrack/voices")
    monkeypatch.setenv("EMOTRACK_VOICES", "/voices")
    assert voice_folder() == Path("/voices")
