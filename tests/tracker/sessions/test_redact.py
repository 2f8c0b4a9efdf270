"""A redacted copy holds nothing of what was to go, and the original stays as it was."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.events import Event, to_json
from emotrack.tracker.sessions import redact as redacting
from emotrack.tracker.sessions.reading.reader import SessionError, read_session
from emotrack.tracker.sessions.redact import redact
from tests.tracker.dashboard.made_up import ended, lost, mark, merged, provisional, renamed, started, turn

SAID = "my secret is out"
EVENTS: list[Event] = [
    started(source="/home/ana/talk.flac", recogniser="faster-whisper /home/ana/own model"),
    turn(1, text=SAID, audio="s.audio/s/1.flac"),
    provisional(6.0, 7.0, speaker="Ben"),
    turn(2, text=SAID, speaker="Ben"),
    turn(3, text=None, speaker=None),
    turn(4, speaker="Ana", emotion="fear"),
    *(mark(9.0), lost(9.5, "'Ana's headset' is gone"), ended(4, speakers={"Ana": 2, "Ben": 1})),
]


def write(path: Path, events: list[Event]) -> Path:
    path.write_text("".join(to_json(event) + "\n" for event in events))
    return path


def test_without_words_and_speakers(tmp_path: Path) -> None:
    path, out = write(tmp_path / "s.jsonl", EVENTS), tmp_path / "r.jsonl"
    before = path.read_bytes()
    assert redact(path, out, words=True, speakers=True) == 0
    session = read_session(out)
    assert session.problems == []
    assert [turn.text for turn in session.turns] == [None] * 4
    assert [turn.speaker for turn in session.turns] == ["speaker 1", "speaker 2", None, "speaker 1"]
    assert [turn.emotion for turn in session.turns] == ["joy", "joy", "joy", "fear"]
    assert [turn.audio for turn in session.turns] == [None] * 4
    assert session.started
    assert session.ended
    assert (session.started.source, session.started.recogniser) == ("redacted", "faster-whisper")
    assert (session.started.site, session.ended.speakers) == ("default", {})
    assert not any(name in out.read_text() for name in ("Ana", "ana", "Ben", "secret", "headset", "kitchen"))
    assert path.read_bytes() == before


def test_only_what_was_asked_for_goes(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", EVENTS)
    redact(path, tmp_path / "w.jsonl", words=True, speakers=False)
    redact(path, tmp_path / "n.jsonl", words=False, speakers=True)
    nameful, wordy = read_session(tmp_path / "w.jsonl"), read_session(tmp_path / "n.jsonl")
    assert (nameful.turns[0].speaker, nameful.turns[0].text, nameful.turns[0].audio) == ("Ana", None, None)
    assert (wordy.turns[0].speaker, wordy.turns[0].text, wordy.turns[0].audio) == ("speaker 1", SAID, None)
    assert nameful.ended
    assert nameful.ended.speakers == {"Ana": 2, "Ben": 1}
    assert nameful.turns[0].site == "kitchen"
    with pytest.raises(ValueError, match="neither"):
        redact(path, tmp_path / "x.jsonl", words=False, speakers=False)


def test_new_names_are_no_names_either_and_hold_as_before(tmp_path: Path) -> None:
    said = [turn(1, speaker="speaker 1"), turn(2, speaker="speaker 2"), turn(3, speaker="speaker 3")]
    events: list[Event] = [*said, renamed("speaker 2", "Ana"), merged("speaker 3", "speaker 1"), turn(4, speaker="Ana")]
    path, out = write(tmp_path / "s.jsonl", [started(source="talk"), *events]), tmp_path / "r.jsonl"
    redact(path, out, words=False, speakers=True)
    assert "Ana" not in out.read_text()
    assert [turn.speaker for turn in read_session(out).turns] == [
        *("speaker 1", "speaker 2", "speaker 1", "speaker 2"),
    ]
    later = [*events, turn(5, speaker="speaker 2"), renamed("Ana", "speaker 2"), turn(6, speaker="Ben")]
    redact(write(tmp_path / "l.jsonl", later), tmp_path / "lr.jsonl", words=False, speakers=True)
    assert [turn.speaker for turn in read_session(tmp_path / "lr.jsonl").turns] == [
        *("speaker 1", "speaker 4", "speaker 1", "speaker 4", "speaker 4", "speaker 5"),
    ], "as many people as in the session"
    redact(path, tmp_path / "w.jsonl", words=True, speakers=False)
    assert [turn.speaker for turn in read_session(tmp_path / "w.jsonl").turns] == [
        *("speaker 1", "Ana", "speaker 1", "Ana"),
    ]


def test_a_recogniser_keeps_its_name(tmp_path: Path) -> None:
    names = {"faster-whisper base.en": "faster-whisper base.en", "/home/ana/asr": "redacted", "captions": "captions"}
    for number, (name, kept) in enumerate(names.items()):
        path = write(tmp_path / f"{number}.jsonl", [started(recogniser=name)])
        redact(path, tmp_path / f"{number}.out", words=True, speakers=False)
        assert json.loads((tmp_path / f"{number}.out").read_text())["recogniser"] == kept


def test_lines_that_cannot_be_read_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", EVENTS[:2])
    hidden = json.dumps(json.loads(to_json(turn(5))) | {"whispered": "secret", "schema": 1})
    newer = json.dumps({"type": "turn", "schema": 2, "text": "secret"})
    with path.open("a") as file:
        file.write(f'{hidden}\n\nsecret\n{newer}\n{{"type": "turn", "text": "secr')
    assert redact(path, tmp_path / "r.jsonl", words=True, speakers=False) == 3
    assert "secr" not in (tmp_path / "r.jsonl").read_text()
    assert len(read_session(tmp_path / "r.jsonl").turns) == 2  # an unknown field goes, its event stays


def test_the_copy_is_its_owners_alone(tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    redact(write(tmp_path / "s.jsonl", EVENTS), out, words=True, speakers=True)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert out.stat().st_nlink == 1


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", EVENTS)
    before = path.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(path)
    (tmp_path / "nowhere.jsonl").symlink_to(tmp_path / "none")
    for same in (path, tmp_path / "." / "s.jsonl", tmp_path / "link.jsonl"):
        with pytest.raises(SessionError, match="is the session itself"):
            redact(path, same, words=True, speakers=True)
    (tmp_path / "other").write_text("dear")
    for there in (tmp_path / "other", tmp_path, tmp_path / "nowhere.jsonl"):
        with pytest.raises(SessionError, match="exists"):
            redact(path, there, words=True, speakers=True)
    assert path.read_bytes() == before
    assert (tmp_path / "other").read_text() == "dear"


def test_what_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = write(tmp_path / "s.jsonl", EVENTS), tmp_path / "r.jsonl"
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SessionError, match="holds no session"):
        redact(tmp_path / "empty", out, words=True, speakers=True)
    with pytest.raises(SessionError, match="No such file"):
        redact(tmp_path / "none", out, words=True, speakers=True)
    with pytest.raises(SessionError, match="cannot write"):
        redact(path, tmp_path / "no" / "r.jsonl", words=True, speakers=True)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SessionError, match=r"cannot write .*: No space left on device"):
        redact(path, out, words=True, speakers=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["empty", "s.jsonl"]


def test_it_works_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    out = tmp_path / "r.jsonl"
    redact(write(tmp_path / "s.jsonl", EVENTS), out, words=True, speakers=True)
    assert len(read_session(out).turns) == 4
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 2


def test_pseudonyms_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redacting, "MAX_SPEAKERS", 2)
    path = write(tmp_path / "s.jsonl", [turn(n, speaker=who) for n, who in enumerate("ABCAB", start=1)])
    redact(path, tmp_path / "r.jsonl", words=False, speakers=True)
    speakers = [turn.speaker for turn in read_session(tmp_path / "r.jsonl").turns]
    assert speakers == ["speaker 1", "speaker 2", None, "speaker 1", "speaker 2"]


# Words in letters that no field's name and no value that stays is written with.
WORD = st.text(alphabet='ÄÖÜабвгд🙂א"\\\n', min_size=1, max_size=8).filter(lambda word: word.strip('"\\\n'))


@given(
    said=st.lists(st.tuples(WORD, WORD), min_size=1, max_size=5),
    device=WORD,
    cut=st.integers(0, 400),
    junk=WORD,
)
def test_no_word_and_no_name_is_anywhere_in_the_copy(
    said: list[tuple[str, str]], device: str, cut: int, junk: str
) -> None:
    events: list[Event] = [
        started(source=device, recogniser=f"faster-whisper /{device}"),
        *(turn(n, text=words, speaker=who, audio=f"{who}.flac") for n, (words, who) in enumerate(said, start=1)),
        *(lost(1.0, device), ended(len(said), speakers={who: 1 for _, who in said})),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "s.jsonl", Path(folder) / "r.jsonl"
        write(path, events)
        torn = (to_json(events[1])[:cut] + f"\n{junk}\n").encode()
        with path.open("ab") as file:
            file.write(json.dumps(json.loads(to_json(events[1])) | {junk: junk}).encode() + b"\n" + torn)
        redact(path, out, words=True, speakers=True)
        copied = out.read_text(encoding="utf-8")
        decoded = str([json.loads(line) for line in copied.splitlines()])
        for word in [device, junk, *(word for pair in said for word in pair)]:
            for part in word.replace("\\", " ").replace('"', " ").split():
                assert part not in copied
                assert part not in decoded
        assert len(read_session(out).turns) == len(said)
