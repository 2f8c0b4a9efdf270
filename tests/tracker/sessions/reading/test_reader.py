"""Saved sessions are read as far as they can be, whatever became of the file."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from emotrack.tracker.events import Correction, Event, Turn, to_json
from emotrack.tracker.sessions.compare.compare import compare
from emotrack.tracker.sessions.compare.compare_view import render
from emotrack.tracker.sessions.export import FORMATS, export
from emotrack.tracker.sessions.reading import event_parser as parsing
from emotrack.tracker.sessions.reading import reader
from emotrack.tracker.sessions.reading.event_parser import Problems, parse_line
from emotrack.tracker.sessions.reading.reader import SessionError, read_session, read_sessions
from emotrack.tracker.sessions.reading.speaker_names import SpeakerNames
from emotrack.tracker.sessions.redact import redact
from tests.tracker.dashboard.made_up import (
    HEAD,
    ended,
    lost,
    mark,
    merged,
    provisional,
    renamed,
    restored,
    started,
    turn,
)

CORRECTION = Correction(**HEAD, turn_id=1, emotion="anger")
EVENTS: list[Event] = [
    *(started(), turn(1), turn(2, "fear", speaker=None, text=None), mark(7.0)),
    *(lost(8.0), restored(9.0), CORRECTION, ended(2)),
]


def lines(events: list[Event], **changes: Any) -> list[str]:
    return [to_json(event.model_copy(update=changes)) + "\n" for event in events]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_session_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    session = read_session(write(tmp_path / "s.jsonl", "".join(lines(EVENTS))))
    assert session.name == "s"
    assert session.problems == []
    assert [session.started, *session.turns, *session.marks, *session.losses, session.ended] == [
        event for event in EVENTS if event is not CORRECTION
    ]
    assert [session.emotion(turn) for turn in session.turns] == ["anger", "fear"]
    assert session.seconds == 3725.0
    assert session.labels[0] == "neutral"


def test_what_was_seen_of_turns_while_they_went_on_is_no_part_of_a_session(tmp_path: Path) -> None:
    """Standard output that was kept in a file has such events too."""
    kept = read_session(write(tmp_path / "a.jsonl", "".join(lines(EVENTS))))
    talked = [event for each in EVENTS for event in (provisional(3.0, 4.0), each)]
    session = read_session(write(tmp_path / "b.jsonl", "".join(lines(talked))))
    assert session.problems == []
    assert (session.turns, session.corrections, session.marks, session.losses, session.ended) == (
        kept.turns, kept.corrections, kept.marks, kept.losses, kept.ended,
    )  # fmt: skip


def test_the_newest_revision_and_the_newest_correction_count(tmp_path: Path) -> None:
    events: list[Event] = [
        *(started(), turn(1, revision=1, text="new"), turn(1, text="old"), CORRECTION),
        *(CORRECTION.model_copy(update={"emotion": "joy"}), ended(1)),
    ]
    session = read_session(write(tmp_path / "s.jsonl", "".join(lines(events))))
    assert [turn.text for turn in session.turns] == ["new"]
    assert session.corrections[1].emotion == "joy"


def speakers(path: Path, *events: Event) -> list[str | None]:
    session = read_session(write(path / "s.jsonl", "".join(lines([started(), *events, ended(9)]))))
    assert [event.turn_id for event in session.turns] == sorted({e.turn_id for e in events if isinstance(e, Turn)})
    return [turn.speaker for turn in session.turns]


def test_a_new_name_holds_for_the_turns_before_it_and_later_ones_keep_what_they_say(tmp_path: Path) -> None:
    one, two, nobody = turn(1, speaker="speaker 1"), turn(2, speaker="speaker 2"), turn(3, speaker=None)
    assert speakers(tmp_path, one, two, nobody, renamed("speaker 1", "Ana")) == ["Ana", "speaker 2", None]
    assert speakers(tmp_path, one, renamed("speaker 1", "Ana"), turn(4, speaker="speaker 1")) == ["Ana", "speaker 1"]
    again = turn(1, revision=1, speaker="speaker 1")
    assert speakers(tmp_path, one, renamed("speaker 1", "Ana"), again) == ["speaker 1"]
    assert speakers(tmp_path, again, renamed("speaker 1", "Ana"), one) == ["Ana"], "an old revision says nothing"
    assert speakers(tmp_path, one, renamed("Ben", "Ana"), renamed("speaker 1", "speaker 1")) == ["speaker 1"]


def test_two_who_get_one_name_are_one_from_then_on(tmp_path: Path) -> None:
    one, two = turn(1, speaker="speaker 1"), turn(2, speaker="speaker 2")
    for event in (merged("speaker 2", "speaker 1"), renamed("speaker 2", "speaker 1")):
        assert speakers(tmp_path, one, two, event, renamed("speaker 1", "Ana")) == ["Ana", "Ana"]
    swapped = (renamed("speaker 1", "x"), renamed("speaker 2", "speaker 1"), renamed("x", "speaker 2"))
    assert speakers(tmp_path, one, two, *swapped) == ["speaker 2", "speaker 1"]
    new = turn(3, speaker="speaker 2")
    assert speakers(tmp_path, one, two, merged("speaker 2", "speaker 1"), new, renamed("speaker 1", "Ana")) == [
        *("Ana", "Ana", "speaker 2"),
    ]


NAMES = st.sampled_from("ABCD")


@given(st.lists(st.one_of(st.tuples(st.just("turn"), st.integers(1, 5), NAMES), st.tuples(NAMES, NAMES))))
def test_names_are_those_of_somebody_who_rewrites_every_turn(happened: list[tuple[Any, ...]]) -> None:
    names, expected = SpeakerNames(), dict[int, str]()
    for each in happened:
        if each[0] == "turn":
            names.hear(*each[1:])
            expected[each[1]] = each[2]
        else:
            names.rename(*each)
            expected = {turn_id: each[1] if name == each[0] else name for turn_id, name in expected.items()}
    assert {turn_id: names.speaker(turn_id) for turn_id in expected} == expected


def test_a_file_cut_off_at_any_byte_opens_and_says_what_is_missing(tmp_path: Path) -> None:
    saved = lines([started(), turn(1, text="Grüß dich 🙂"), mark(4.0), turn(2), ended(2)])
    whole = "".join(saved).encode()
    ends = [len("".join(saved[: n + 1]).encode()) for n in range(len(saved))]
    path = tmp_path / "s.jsonl"
    for cut in range(len(whole)):
        write(path, whole[:cut])
        if cut < ends[0] - 1:  # a line counts without its end
            with pytest.raises(SessionError, match="half written" if cut else "holds no session"):
                read_session(path)
            continue
        session = read_session(path)
        assert len(session.turns) == sum(cut >= end - 1 for end in (ends[1], ends[3]))
        is_whole = cut == len(whole) - 1
        assert bool(session.problems) is not is_whole
        assert any("its end is missing" in problem for problem in session.problems) is not is_whole
        half = all(cut not in (end - 1, end) for end in ends)
        assert any("half written" in problem for problem in session.problems) is half


def test_lines_lost_in_the_middle_are_missed(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", "".join(lines([started(), turn(1), turn(4), ended(3)])))
    assert read_session(path).problems == ["1 of its 3 turns are missing"]
    write(path, "".join(lines([turn(2), turn(4), CORRECTION])))
    assert read_session(path).problems == [
        "its beginning is missing: bundle and recogniser are unknown",
        "its end is missing: it was cut off, or is still going on",
        "2 turns are missing between the others",
        "1 corrections are of turns that are missing",
    ]


def test_several_sessions_in_one_file(tmp_path: Path) -> None:
    text = "".join(
        [*lines(EVENTS[:2], session="one"), *lines(EVENTS, session="two"), *lines(EVENTS[2:], session="one")]
    )
    path = write(tmp_path / "s.jsonl", text)
    assert [session.name for session in read_sessions(path)] == ["one", "two"]
    assert read_session(path).name == "two"
    assert read_session(path, "one").problems == []
    with pytest.raises(SessionError, match="no session 'three'; there are 'one', 'two'"):
        read_session(path, "three")


def test_an_older_version_is_understood(tmp_path: Path) -> None:
    saved = [json.loads(line) for line in lines(EVENTS)]
    for document in saved:
        document["schema"] = 0
        document["mood_colour"] = "blue"
        for later in (
            "revision",
            "why",
            "audio",
            "text_rejected",
            "truncated",
            "versions",
            "latency_ms",
            "dropped_turns",
        ):
            document.pop(later, None)
    session = read_session(write(tmp_path / "s.jsonl", "".join(json.dumps(document) + "\n" for document in saved)))
    assert len(session.turns) == 2
    assert session.started
    assert session.ended
    assert session.ended.latency_ms == {}
    assert session.turns[0].latency_ms.after_end == 0
    assert "events have an unknown mood_colour; left out (8 lines)" in session.problems
    assert "events lack latency_ms (3 lines)" in session.problems


def test_a_newer_version_is_left_out_and_named(tmp_path: Path) -> None:
    newer = [json.dumps(json.loads(line) | {"schema": 2, "more": {}}) + "\n" for line in lines(EVENTS)]
    with pytest.raises(SessionError, match="newer version"):
        read_session(write(tmp_path / "s.jsonl", "".join(newer)))
    session = read_session(write(tmp_path / "s.jsonl", "".join([*lines(EVENTS), newer[1]])))
    assert session.problems == ["an event is of a newer version of emotrack; left out"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"end_s": 1e999}, "numbers that cannot be"),
        ({"start_s": 5.0, "end_s": 4.0}, "numbers that cannot be"),
        ({"turn_id": 10**30}, "numbers that cannot be"),
        ({"time": "0001-01-01T00:00:00Z"}, "numbers that cannot be"),
        ({"text": "\ud800"}, "not JSON"),
        ({"\ud800": 1}, "not JSON"),
        ({"type": ["turn"]}, "its type is not known"),
        ({"type": "shift"}, "its type is not known"),
        ({"confidence": 2}, r"a line is no event \(turn, confidence\)"),
        ({"probabilities": {"jo\x1by": 7}}, r"a line is no event \(turn, probabilities.\.\.\.\)"),
        ({"latency_ms": []}, r"a line is no event \(turn, latency_ms\)"),
        ({"schema": "1"}, r"a line is no event \(turn, schema\)"),
    ],
)
def test_what_is_no_event_is_left_out(changes: dict[str, Any], problem: str) -> None:
    problems = Problems()
    document = json.loads(to_json(turn(1))) | changes
    assert parse_line(json.dumps(document).encode() + b"\n", problems) is None
    (found,) = problems.lines()
    assert re.search(problem, found)


@pytest.mark.parametrize(
    "line", [b"[" * 90_000, b'{"a":' * 90_000, b"\xff\xfe", b"[]", b"null", b"1" * 9000, b"{}", b"\0"]
)
def test_any_bytes_may_come(line: bytes) -> None:
    problems = Problems()
    assert parse_line(line + b"\n", problems) is None
    assert len(problems.lines()) == 1


def test_times_without_a_zone_are_taken_as_utc() -> None:
    line = to_json(turn(1)).replace("000Z", "000")
    assert parse_line(line.encode(), Problems()) == turn(1)


def test_what_is_kept_of_a_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "s.jsonl", "".join(line for n in range(9) for line in lines([turn(1)], session=f"{n}")))
    monkeypatch.setattr(reader, "MAX_SESSIONS", 5)
    assert len(read_sessions(path)) == 5
    assert any("more than 5 sessions" in problem for problem in read_session(path).problems)
    monkeypatch.setattr(reader, "MAX_EVENTS", 3)
    assert len(read_sessions(path)) == 3
    assert any("more than 3 events" in problem for problem in read_session(path).problems)
    unknown = (json.dumps(json.loads(to_json(mark(1))) | {f"field{n}": n}) for n in range(100))
    assert len(read_session(write(path, "\n".join(unknown))).problems) < 30


def test_an_endless_line_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    first, *rest = lines(EVENTS)
    write(path, first.encode() + b'{"type":' + b"x" * 3 * parsing.MAX_LINE_BYTES + b"\n" + "".join(rest).encode())
    assert read_session(path).problems == ["a line is too long to be an event; left out"]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\0" * 5000, b"RIFF\n\n\n"])
def test_a_file_without_any_session_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SessionError, match="holds no session"):
        read_session(write(tmp_path / "s.jsonl", content))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="No such file"):
        read_session(tmp_path / "none.jsonl")
    with pytest.raises(SessionError, match="Is a directory"):
        read_session(tmp_path)


def test_ten_hours_of_turns_are_read_in_under_two_seconds(tmp_path: Path) -> None:
    document = json.loads(to_json(turn(1)))
    text = "".join(
        json.dumps(document | {"turn_id": n, "start_s": 1.8 * n, "end_s": 1.8 * n + 1.5}) + "\n"
        for n in range(1, 20_001)
    )
    path = write(tmp_path / "s.jsonl", text)
    began = time.process_time()
    assert len(read_session(path).turns) == 20_000
    assert time.process_time() - began < 2.0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["joy", "turn", "", -1, 1e999]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A saved session after something happened to it."""
    saved = [json.loads(line) for line in lines(EVENTS)]
    for _ in range(draw(st.integers(0, 3))):
        document = draw(st.sampled_from(saved))
        inside = [document, *(value for value in document.values() if isinstance(value, dict))]
        target = draw(st.sampled_from(inside))
        key = draw(st.sampled_from(sorted(target)) if target else st.just("new"))
        match draw(st.sampled_from(["set", "drop", "add"])):
            case "set":
                target[key] = draw(JSON)
            case "drop":
                target.pop(key, None)
            case _:
                target[draw(st.text(max_size=8))] = draw(JSON)
    whole = bytearray("".join(json.dumps(document) + "\n" for document in saved).encode())
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(whole)))
        whole[at : at + draw(st.integers(0, 9))] = draw(st.binary(max_size=6))
    return bytes(whole)


@given(content=damaged_files())
def test_no_damage_raises_anything_but_a_session_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = write(folder / "s.jsonl", content)
    try:
        sessions = read_sessions(path)
    except SessionError:
        return
    redact(path, folder / "r.jsonl", words=True, speakers=True)
    for session in sessions:
        assert all(problem.isprintable() for problem in session.problems)
        for name in FORMATS:
            export(session, name).encode()
        found = compare(session, sessions[0])
        json.dumps(found.to_dict(), allow_nan=False)
        Console(file=io.StringIO()).print(render(found))
