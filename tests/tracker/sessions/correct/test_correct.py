"""Correcting: the walk and what may be written when, the settings of scripts, the screen, the paths of audio."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from emotrack.errors import UsageError
from emotrack.tracker.dashboard import DashboardState
from emotrack.tracker.errors import SinkError, SourceError
from emotrack.tracker.events import Correction, Event, to_json
from emotrack.tracker.sessions.correct.audio_player import audio_path
from emotrack.tracker.sessions.correct.correct import run_correct
from emotrack.tracker.sessions.correct.correct_view import Scene, label_keys, paint
from emotrack.tracker.sessions.correct.correction_queue import CorrectionWalk, Decision
from emotrack.tracker.sessions.reading.reader import Session, read_session
from tests.tracker.dashboard.made_up import HEAD, LABELS, ended, started, turn


def correction(turn_id: int, emotion: str) -> Correction:
    return Correction(**HEAD, turn_id=turn_id, emotion=emotion)


def session_of(*turns: Any, **corrections: str) -> Session:
    said = {int(name[1:]): correction(int(name[1:]), emotion) for name, emotion in corrections.items()}
    return Session(Path("s.jsonl"), "s", started(), list(turns), said)


def saved(path: Path, *, half: bool = False) -> Path:
    """Six turns, of which 2, 4 and 5 are uncertain, 5 the most; perhaps with a half line that a crash left."""
    sure = {2: 0.5, 4: 0.45, 5: 0.3}
    events: list[Event] = [
        started(),
        *(
            turn(n, text=f"Turn {n} of a talk.", uncertain=n in sure, confidence=sure.get(n, 0.9 - n / 100))
            for n in range(1, 7)
        ),
        ended(6),
    ]
    path.write_text("".join(to_json(event) + "\n" for event in events) + ('{"type": "tu' if half else ""))
    return path


def written(path: Path, before: bytes) -> list[tuple[int, str]]:
    """The corrections that were appended to what the file held."""
    now = path.read_bytes()
    assert now.startswith(before), "what was there stays"
    assert now.endswith(b"\n")
    added = [json.loads(line) for line in now[len(before) :].splitlines() if line]
    assert all((event["type"], event["site"], event["session"]) == ("correction", "kitchen", "s") for event in added)
    return [(event["turn_id"], event["emotion"]) for event in added]


def test_uncertain_turns_come_first_and_the_least_confident_before() -> None:
    session = session_of(
        turn(1, confidence=0.9),
        turn(2, confidence=0.4, uncertain=True),
        turn(3, confidence=0.3, uncertain=True),
        turn(4, confidence=0.6),
        turn(5, confidence=0.2, uncertain=True),
        t5="fear",
    )
    assert [t.turn_id for t in CorrectionWalk(session).turns] == [3, 2]
    assert [t.turn_id for t in CorrectionWalk(session, everything=True).turns] == [3, 2, 4, 1, 5]


def test_a_decision_waits_until_the_next_turn_is_left() -> None:
    walk = CorrectionWalk(session_of(*(turn(n, uncertain=True) for n in (1, 2, 3))))
    assert walk.decide("fear") is None
    walk.back()
    assert walk.said == {}
    assert walk.decide("anger") is None
    assert walk.skip() == Decision(1, "anger")
    assert walk.decide("joy") is None
    assert walk.current is None
    assert walk.finish() == Decision(3, "joy")
    assert walk.finish() is None


def test_what_is_written_can_be_decided_again() -> None:
    walk = CorrectionWalk(session_of(turn(1, uncertain=True), turn(2, uncertain=True)))
    walk.decide("fear")
    assert walk.skip() == Decision(1, "fear")
    walk.back()
    walk.back()
    assert walk.said == {1: "fear"}, "it is in the file"
    walk.decide("fear")
    assert walk.finish() is None, "once is enough"
    walk.back()
    walk.decide("joy")
    assert walk.finish() == Decision(1, "joy")


moves = st.lists(st.sampled_from(["skip", "back", "finish", *LABELS[:3]]), max_size=40)


@given(moves, st.integers(0, 5), st.booleans())
def test_the_file_ends_up_with_what_the_person_said_last(taken: list[str], count: int, corrected: bool) -> None:
    turns = [turn(n, uncertain=True) for n in range(1, count + 1)]
    session = session_of(*turns, **({"t1": "fear"} if corrected and count else {}))
    walk = CorrectionWalk(session, everything=True)
    in_file = dict(walk.said)
    for move in [*taken, "finish"]:
        place, here = walk.place, walk.current
        if move == "back":
            walk.back()
            assert walk.place == max(0, place - 1)
            continue
        final = {"skip": walk.skip, "finish": walk.finish}.get(move, lambda emotion=move: walk.decide(emotion))()
        if final is not None:
            assert in_file.get(final.turn_id) != final.emotion, "nothing is written twice"
            in_file[final.turn_id] = final.emotion
        if here is not None and move != "finish":
            assert walk.place == place + 1
        if here is not None and move in LABELS:
            assert walk.said[here.turn_id] == move
    assert in_file == walk.said


@pytest.mark.parametrize(
    ("labels", "keys"),
    [
        (LABELS, "1n 2j 3u 4a 5s 6d 7f"),
        (("angry", "happy", "sad", "neutral"), "1a 2h 3s 4n"),
        (("quiet", "calm", "cold", "悲しい"), "1 2c 3 4"),
        (tuple(f"{chr(97 + n)}x" for n in range(12)), "1a 2b 3c 4d 5e 6f 7g 8h 9i 0j k l"),
    ],
)
def test_labels_have_a_number_and_where_it_is_free_a_letter(labels: tuple[str, ...], keys: str) -> None:
    expected = {key: label for label, both in zip(labels, keys.split(), strict=True) for key in both}
    assert label_keys(labels) == expected


@given(st.lists(st.text(min_size=1, max_size=8), max_size=15, unique=True))
def test_no_label_takes_a_key_that_does_something_else(labels: list[str]) -> None:
    keys = label_keys(tuple(labels))
    assert "q" not in keys
    assert all(len(key) == 1 for key in keys)


def test_settings_are_written_as_events_behind_what_was_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "s.jsonl", half=True)
    before = path.read_bytes()
    assert run_correct(read_session(path), ["2=joy", "4=fear", "2=anger"], everything=False) == 0
    assert written(path, before + b"\n") == [(2, "anger"), (4, "fear")]
    assert "2 corrections written" in capsys.readouterr().out
    session = read_session(path)
    assert {n: c.emotion for n, c in session.corrections.items()} == {2: "anger", 4: "fear"}
    assert session.turns[1].emotion == "joy", "the estimate stays"
    assert run_correct(session, ["2=fear"], everything=False) == 0
    assert read_session(path).corrections[2].emotion == "fear", "the newest counts"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("9=joy", "no turn 9"),
        ("2=schadenfreude", "the emotions are neutral, joy"),
        ("2", "TURN=EMOTION"),
        ("=joy", "TURN=EMOTION"),
        ("two=joy", "TURN=EMOTION"),
        ("²=joy", "TURN=EMOTION"),
        ("-2=joy", "TURN=EMOTION"),
        ("2=", "TURN=EMOTION"),
    ],
)
def test_nothing_is_written_unless_all_settings_can_be(tmp_path: Path, setting: str, says: str) -> None:
    path = saved(tmp_path / "s.jsonl")
    before = path.read_bytes()
    with pytest.raises(UsageError, match=says):
        run_correct(read_session(path), ["4=fear", setting], everything=False)
    assert path.read_bytes() == before


def test_settings_and_a_walk_through_everything_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--all"):
        run_correct(read_session(saved(tmp_path / "s.jsonl")), ["2=joy"], everything=True)


def test_a_file_that_takes_nothing_is_said(tmp_path: Path) -> None:
    session = read_session(saved(tmp_path / "s.jsonl"))
    session.path = Path("/dev/full")
    with pytest.raises(SinkError, match="No space left"):
        run_correct(session, ["2=joy"], everything=False)


def test_without_a_terminal_it_points_to_the_settings(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--set TURN=EMOTION"):
        run_correct(read_session(saved(tmp_path / "s.jsonl")), [], everything=False)


@pytest.mark.parametrize("audio", ["/etc/passwd", "../secret.flac", "s.audio/../../x.flac", "", ".", "a\0b"])
def test_audio_that_is_not_beside_the_session_is_refused(audio: str) -> None:
    with pytest.raises(SourceError, match="not beside the session"):
        audio_path(Path("/tmp/s.jsonl"), audio)


def test_audio_beside_the_session_is_found() -> None:
    assert audio_path(Path("/tmp/s.jsonl"), "s.audio/x/1.flac") == Path("/tmp/s.audio/x/1.flac")


def scene(count: int = 9, labels: tuple[str, ...] = LABELS, **changes: Any) -> Scene:
    turns = [turn(n, labels[n % len(labels)], uncertain=n % 2 == 0, **changes) for n in range(1, count + 1)]
    conversation = DashboardState(site="kitchen", keep_turns=count)
    conversation.apply(started(labels=labels))
    for each in turns:
        conversation.apply(each)
    walk = CorrectionWalk(session_of(*turns))
    return Scene(walk, conversation, labels, "/home/ana/s.jsonl", "uncertain turn")


def lines_of(shown: Scene, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    rows = console.render_lines(paint(shown, width, height), pad=False)
    return ["".join(segment.text for segment in row) for row in rows]


@settings(max_examples=60)
@given(
    st.integers(1, 250),
    st.integers(1, 70),
    st.integers(0, 6),
    st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=12, unique=True),
    st.text(max_size=60),
)
def test_the_screen_is_filled_exactly_whatever_the_words(
    width: int, height: int, moves: int, labels: list[str], words: str
) -> None:
    shown = scene(labels=tuple(labels), text=words, speaker=words or None)
    shown.notice = words
    for _ in range(moves):
        shown.walk.decide(labels[0])
    lines = lines_of(shown, width, height)
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    console = Console(file=(out := io.StringIO()), force_terminal=True, color_system=None, width=width)
    console.print(paint(shown, width, height))
    assert not any(ord(char) < 32 and char != "\n" for char in out.getvalue())


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 30), (200, 50)], ids=lambda size: "{}x{}".format(*size))
def test_what_a_person_needs_is_on_the_screen(size: tuple[int, int]) -> None:
    shown = scene()
    shown.walk.decide("fear")
    screen = "\n".join(lines_of(shown, *size))
    for words in (
        "2 of 4 uncertain turns", "Turn 4", "Estimate", "not sure", "80%", "▸", " 7   F  fear", "enter", "skip", "undo",
        "quit", "takes it back", "no audio was kept", "the estimates stay", "Ana", *(["fear✓"] if size[1] > 15 else []),
    ):  # fmt: skip
        assert words in screen, words
    neighbours = [line for line in screen.splitlines() if "Good to see you." in line]
    assert len(neighbours) >= (5 if size[1] > 15 else 1)
    assert sum("▸" in line for line in neighbours) == 1


def test_behind_the_last_turn_it_says_so() -> None:
    shown = scene(count=2)
    shown.walk.skip()
    assert "These were all." in "\n".join(lines_of(shown, 80, 24))


def test_the_current_turn_stays_visible_among_long_ones() -> None:
    shown = scene(count=30, text="word " * 100)
    for _, size in itertools.product(range(14), [(80, 24), (72, 18), (200, 50)]):
        assert any("▸" in line for line in lines_of(shown, *size)), size
        shown.walk.skip()
        if shown.walk.current is None:
            break


def test_speakers_are_named_one_after_the_other_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(tmp_path / "s.jsonl", half=True)
    with path.open("a") as file:
        file.write("\n" + to_json(turn(7, speaker="b=c")) + "\n")
    before = path.read_bytes()
    names = ["Ana=Cleo", "b=c=Ben", "Cleo=  Ana   Maria "]
    assert run_correct(read_session(path), ["2=fear"], names, everything=False) == 0
    assert capsys.readouterr().out == f"1 correction and 3 new names written to {path}\n"
    assert path.read_bytes().startswith(before)
    session = read_session(path)
    assert [turn.speaker for turn in session.turns] == ["Ana Maria"] * 6 + ["Ben"]
    assert session.corrections[2].emotion == "fear"
    assert run_correct(session, [], ["Ben=Ana Maria"], everything=False) == 0
    assert {turn.speaker for turn in read_session(path).turns} == {"Ana Maria"}
    assert capsys.readouterr().out == f"1 new name written to {path}\nBen and Ana Maria are one speaker now\n"


def test_names_that_are_exchanged_one_after_the_other_make_one_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "s.jsonl")
    with path.open("a") as file:
        file.write(to_json(turn(7, speaker="Ben")) + "\n")
    assert run_correct(read_session(path), [], ["Ana=Ben", "Ben=Ana", "Ana=Ana"], everything=False) == 0
    assert capsys.readouterr().out == f"3 new names written to {path}\nAna and Ben are one speaker now\n"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Dan=Ana", "expected SPEAKER=NAME; the speakers are Ana"),
        ("Ana", "expected SPEAKER=NAME"),
        ("Ana= ", "1 to 80 characters"),
        ("Ana=" + "x" * 81, "1 to 80 characters"),
        ("Ana=\u202enneB", "1 to 80 characters"),
    ],
)
def test_a_name_that_cannot_be_writes_nothing(tmp_path: Path, name: str, says: str) -> None:
    path = saved(tmp_path / "s.jsonl")
    before = path.read_bytes()
    with pytest.raises(UsageError, match=says):
        run_correct(read_session(path), ["2=fear"], ["Ana=Ben", "Ben=Ana", name], everything=False)
    assert path.read_bytes() == before
