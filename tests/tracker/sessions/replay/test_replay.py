"""A replay: what appears when, what the keys do to it, and the same picture wherever one comes from."""

from __future__ import annotations

import asyncio
import itertools
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from emotrack.errors import UsageError
from emotrack.tracker.dashboard import DashboardState, Playback
from emotrack.tracker.dashboard.keys import KeyReader
from emotrack.tracker.events import Correction, Event, Turn, to_json
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.sessions.reading.reader import Session, read_session
from emotrack.tracker.sessions.replay.replay import _Replay, run_replay
from emotrack.tracker.sessions.replay.replay_timeline import SPEEDS, Playhead, moments
from tests.tracker.dashboard.made_up import HEAD, ended, lost, mark, restored, started, turn
from tests.tracker.dashboard.test_view import ODD_SIZES, SIZES, lines_of
from tests.tracker.terminal import read_to_end

DRIVER = """\
import sys
from pathlib import Path
from emotrack.tracker.sessions.reading.reader import read_session
from emotrack.tracker.sessions.replay.replay import run_replay
sys.exit(run_replay(read_session(Path(sys.argv[1])), float(sys.argv[2])))
"""


def correction(turn_id: int, emotion: str) -> Correction:
    return Correction(**HEAD, turn_id=turn_id, emotion=emotion)


def saved(path: Path, turns: int = 40) -> Path:
    """A session of two minutes with all that can happen in one."""
    events: list[Event] = [started(), *(turn(n, text=f"Turn {n} of a talk.") for n in range(1, turns + 1))]
    events += [mark(20.0), lost(50.0), restored(54.0), ended(turns, seconds=3.0 * turns + 5), correction(4, "anger")]
    path.write_text("".join(to_json(event) + "\n" for event in events))
    return path


def test_events_appear_at_their_time_and_corrections_with_their_turn(tmp_path: Path) -> None:
    found = moments(read_session(saved(tmp_path / "s.jsonl", turns=20)))
    kinds = [moment.event.type for moment in found]
    assert kinds[0] == "session_started"
    assert kinds[-1] == "session_ended"
    assert found[-1].at_s == 65
    assert all(moment.at_s == moment.event.end_s for moment in found if isinstance(moment.event, Turn))
    at = {moment.event.type: moment.at_s for moment in found}
    assert (at["mark"], at["source_lost"], at["source_restored"]) == (20, 50, 54)
    after = kinds.index("correction")
    before = found[after - 1].event
    assert isinstance(before, Turn)
    assert before.turn_id == 4
    assert at["correction"] == before.end_s


ends = st.lists(st.floats(0, 500).map(lambda s: round(s, 1)), max_size=30)


@given(ends, st.sets(st.integers(1, 35)), st.lists(st.floats(0, 600), max_size=5))
def test_every_event_is_shown_once_in_the_order_of_the_stream(
    end_times: list[float], corrected: set[int], marks: list[float]
) -> None:
    turns = [turn(n, start_s=0, end_s=end_s) for n, end_s in enumerate(end_times, start=1)]
    session = Session(Path("s.jsonl"), "s", started(), turns, {n: correction(n, "fear") for n in corrected})
    session.marks = [mark(at_s) for at_s in marks]
    found = moments(session)
    assert [moment.at_s for moment in found] == sorted(moment.at_s for moment in found)
    assert len(found) == 1 + len(turns) + len(marks) + sum(n in corrected for n in range(1, len(turns) + 1))
    for first, second in itertools.pairwise(found):
        if isinstance(second.event, Correction):
            assert isinstance(first.event, Turn)
            assert first.event.turn_id == second.event.turn_id


steps = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.floats(0, 100)),
        st.tuples(st.just("seek"), st.floats(-1000, 1000)),
        st.tuples(st.sampled_from(["faster", "slower", "pause"]), st.none()),
    )
)


@given(st.floats(0, 500), st.floats(0.25, 100), steps)
def test_the_playhead_stays_within_the_session_and_its_speeds(
    length_s: float, speed: float, taken: list[tuple[str, float | None]]
) -> None:
    head = Playhead(length_s, speed)
    for what, amount in taken:
        before, speed_before = head.position_s, head.speed
        if what == "pause":
            head.paused = not head.paused
        elif amount is None:
            getattr(head, what)()
        else:
            getattr(head, what)(amount)
        assert 0 <= head.position_s <= length_s
        assert SPEEDS[0] <= head.speed <= SPEEDS[-1]
        if what == "advance":
            moved = 0 if head.paused else min(amount * speed_before, length_s - before)  # type: ignore[operator]
            assert head.position_s - before == pytest.approx(moved)
        elif what == "faster":
            assert head.speed > speed_before or head.speed == SPEEDS[-1]
        elif what == "slower":
            assert head.speed < speed_before or head.speed == SPEEDS[0]


def at(replay: _Replay, position_s: float) -> DashboardState:
    replay._head.position_s = position_s
    replay._show()
    return replay._dashboard.state


@settings(max_examples=30)
@given(way=st.lists(st.floats(-5, 140), min_size=1, max_size=8))
def test_wherever_one_comes_from_a_moment_looks_the_same(
    tmp_path_factory: pytest.TempPathFactory, way: list[float]
) -> None:
    session = read_session(saved(tmp_path_factory.getbasetemp() / "s.jsonl"))
    wandering, straight = _Replay(session, 1.0), _Replay(session, 1.0)
    for position_s in way:
        found = at(wandering, position_s)
    assert found == at(straight, way[-1])
    assert wandering._status == straight._status


def test_going_back_forgets_what_comes_later_and_a_loss_is_lost_again(tmp_path: Path) -> None:
    replay = _Replay(read_session(saved(tmp_path / "s.jsonl")), 1.0)
    assert at(replay, 1000).ended is not None
    state = at(replay, 50.5)
    assert state.ended is None
    assert state.turn_count == 16
    assert replay._status.source_lost
    assert state.turns[3].emotion == "anger"
    assert state.turns[3].corrected
    assert not replay._status.speaking[0]
    at(replay, 58.0)
    assert not replay._status.source_lost
    assert replay._status.speaking[0]


def test_going_back_in_ten_hours_of_turns_takes_no_noticeable_time() -> None:
    turns = [turn(n, text=f"It is what it is, {n} times over, I would say.") for n in range(1, 20_001)]
    replay = _Replay(Session(Path("s.jsonl"), "s", started(), turns), 1.0)
    at(replay, 60_000)
    began = time.perf_counter()
    state = at(replay, 59_990)
    assert time.perf_counter() - began < 1.5  # a quarter of a second on a machine with nothing else to do
    assert state.turn_count == 19_996


def test_a_correction_changes_the_counts_and_shows() -> None:
    state = DashboardState()
    state.apply(turn(1, "joy", uncertain=True))
    state.apply(correction(1, "anger"))
    state.apply(correction(7, "anger"))
    assert state.emotions == {"anger": 1}
    assert state.uncertain_count == 0
    line = next(line for line in lines_of(state, LiveStatus(), 80, 24) if "Good to see you." in line)
    assert "anger✓" in line
    assert "80%" not in line


@pytest.mark.parametrize("size", SIZES + ODD_SIZES, ids=lambda size: "{}x{}".format(*size))
def test_the_frame_of_a_replay_has_exactly_the_size_of_the_screen(tmp_path: Path, size: tuple[int, int]) -> None:
    for position_s in (0.0, 52.0, 1000.0):
        replay = _Replay(read_session(saved(tmp_path / "s.jsonl")), 4.0)
        state = at(replay, position_s)
        lines = lines_of(state, replay._status, *size)
        assert len(lines) == size[1]
        assert {cell_len(line) for line in lines} == {size[0]}
        if size in SIZES:
            screen = "\n".join(lines)
            for words in ("Replay of a saved session", "s.jsonl", "4x", "/ 2:05", "quit", "pause", "← →", "speed", "◆"):
                assert words in screen
            assert "Nothing is recorded" not in screen
            assert "mark " not in lines[-2]


def test_a_session_of_no_length_at_all_can_be_shown() -> None:
    state = DashboardState(playback=Playback("s.jsonl", 0.0, 1.0, (0.0,)))
    assert "No turn has ended yet." in "\n".join(lines_of(state, LiveStatus(), 80, 24))


keys = st.sampled_from(
    [
        (b"\x1b[D", "left"),
        (b"\x1bOC", "right"),
        (b"\x1b[A", "up"),
        (b"\x1b[B", "down"),
        (b"\x1b[H", "home"),
        (b"\x1b[1~", "home"),
        (b" ", "space"),
        (b"\n", "enter"),
        (b"\x7f", "backspace"),
        (b"Q", "Q"),
        ("é".encode(), "é"),
        (b"[", "["),
        (b"\x1b[15~", None),  # F5
        (b"\x1b[1;5D", None),  # with Ctrl
        (b"\x1bx", None),  # with Alt
    ]
)


@given(st.lists(keys))
def test_keys_have_names_however_many_arrive_at_once(pressed: list[tuple[bytes, str | None]]) -> None:
    named = [name for _, name in pressed if name]
    assert KeyReader().feed(b"".join(code for code, _ in pressed)) == named


@given(st.lists(keys), st.integers(0, 100))
def test_a_key_may_arrive_in_two_pieces(pressed: list[tuple[bytes, str | None]], cut: int) -> None:
    sent = b"".join(code for code, _ in pressed)
    if sent[:cut].endswith(b"\x1b"):
        return  # that is the key Escape
    reader = KeyReader()
    assert reader.feed(sent[:cut]) + reader.feed(sent[cut:]) == [name for _, name in pressed if name]


def test_escape_alone_is_a_key() -> None:
    reader = KeyReader()
    assert [reader.feed(piece) for piece in (b"\x1b", b"a\x1b", b"\x1ba")] == [["escape"], ["a", "escape"], []]


@given(st.lists(st.binary(max_size=20)))
def test_no_bytes_are_too_strange_for_the_keyboard(pressed: list[bytes]) -> None:
    reader = KeyReader()
    assert all(isinstance(key, str) for piece in pressed for key in reader.feed(piece))


def test_without_a_terminal_it_points_to_export(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="emotrack export"):
        run_replay(read_session(saved(tmp_path / "s.jsonl")), 1.0)


def test_without_a_keyboard_it_ends_with_the_session(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-c", DRIVER, str(saved(tmp_path / "s.jsonl")), "100"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=environment, start_new_session=True
    ) as process:
        os.close(slave)
        shown = read_to_end(master)
    assert process.returncode == 0
    summary = shown[shown.rindex(b"\x1b[?1049l") :].decode()
    assert "up to 2:05 of 2:05" in summary


def test_asyncio_is_left_without_tasks(tmp_path: Path) -> None:
    async def replay() -> None:
        shown = _Replay(read_session(saved(tmp_path / "s.jsonl")), 1.0)
        asyncio.get_running_loop().call_later(0.3, shown.stop)
        async with asyncio.timeout(10):
            await shown.run()

    asyncio.run(replay())
