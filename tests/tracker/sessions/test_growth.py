"""Whatever is done with a session takes time and memory in proportion to its turns."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from emotrack.tracker.events import Correction, Event, Turn, to_json
from emotrack.tracker.sessions.compare.compare import compare
from emotrack.tracker.sessions.correct.correct import parse_settings
from emotrack.tracker.sessions.correct.correction_queue import CorrectionWalk
from emotrack.tracker.sessions.export import FORMATS, export
from emotrack.tracker.sessions.export.wording import distinct
from emotrack.tracker.sessions.reading.reader import MAX_LABELS, Session, read_session
from emotrack.tracker.sessions.redact import redact
from emotrack.tracker.sessions.replay import replay
from emotrack.tracker.sessions.replay.replay import _Replay
from emotrack.tracker.sessions.replay.replay_timeline import moments
from emotrack.tracker.sessions.report import view as report_view
from emotrack.tracker.sessions.report.moments import MAX_MOMENTS
from emotrack.tracker.sessions.report.page import render_report
from emotrack.tracker.summary.session_summary import Tally
from tests.growth import MOST, growth
from tests.tracker.dashboard.made_up import HEAD, LABELS, ended, mark, renamed, started, turn


def one_after_the_other(number: int) -> dict[str, Any]:
    return {"start_s": 3.0 * number, "end_s": 3.0 * number + 2.0}


def all_at_once(number: int) -> dict[str, Any]:
    return {"start_s": number / 1000, "end_s": 5.0 + number / 1000}


def all_alike(number: int) -> dict[str, Any]:
    return {"start_s": 1.0, "end_s": 3.0}


def one_without_end(number: int) -> dict[str, Any]:
    return one_after_the_other(number) | ({"end_s": 1e7} if number == 1 else {})


SHAPES = (one_after_the_other, all_at_once, all_alike, one_without_end)


@cache
def session(count: int, shape: Callable[[int], dict[str, Any]] = one_after_the_other) -> Session:
    """Every turn by somebody else, each third uncertain, each fourth corrected."""
    turns = [
        turn(number, LABELS[number % 7], speaker=f"name {number}", uncertain=number % 3 == 0, **shape(number))
        for number in range(1, count + 1)
    ]
    corrections = {each.turn_id: Correction(**HEAD, turn_id=each.turn_id, emotion=LABELS[0]) for each in turns[::4]}
    return Session(Path("s"), "s", started(), turns, corrections, [mark(each.end_s) for each in turns[::5]])


def names(count: int) -> list[str]:
    """All of which read alike once cleaned, and as many that others of them would get."""
    return [*(f"a_{number}" for number in range(count)), *(f"a\x01{number}" for number in range(1, count))]


def test_names_that_read_alike_are_told_apart_in_proportion() -> None:
    def tell(count: int) -> dict[str, str]:
        return distinct(names(count), lambda name: name.partition("\x01")[0])

    assert growth(tell, 500) < MOST
    found = tell(2_000)
    assert len(set(found.values())) == len(found) == 3_999
    assert distinct(["a", "a_2", "a\x01", "a\x02"], lambda name: name[0] if len(name) == 2 else name) == {
        "a": "a",
        "a_2": "a_2",
        "a\x01": "a_3",
        "a\x02": "a_4",
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_runs_are_compared_in_proportion(shape: Callable[[int], dict[str, Any]]) -> None:
    assert growth(lambda count: compare(session(count, shape), session(count, shape)), 300) < MOST
    same = compare(session(2_400, shape), session(2_400, shape))
    assert (same.pairs, same.agreement) == (2_400, 1.0)


@pytest.mark.parametrize("name", FORMATS)
def test_a_session_is_exported_in_proportion(name: Any) -> None:
    assert growth(lambda count: export(session(count), name), 250) < MOST


@pytest.mark.parametrize("shape", SHAPES)
def test_a_report_grows_in_proportion(shape: Callable[[int], dict[str, Any]]) -> None:
    assert growth(lambda count: render_report(session(count, shape)), 200) < MOST


@pytest.mark.parametrize(
    "work",
    [
        lambda made: [Tally().add(each) for each in made.turns],
        moments,
        lambda made: _Replay(made, 1.0),
        lambda made: parse_settings(made, [f"{each.turn_id}=joy" for each in made.turns]),
        lambda made: [walk.decide("joy") for walk in [CorrectionWalk(made, everything=True)] for _ in made.turns],
    ],
    ids=["tally", "moments", "replay", "settings", "walk"],
)
def test_so_does_all_else(work: Callable[[Session], object]) -> None:
    assert growth(lambda count: work(session(count)), 500) < MOST


def written(path: Path, count: int, change: Callable[[int], dict[str, Any]] = lambda _: {}) -> Path:
    turns = (
        turn(number, **one_after_the_other(number)).model_copy(update=change(number)) for number in range(1, count + 1)
    )
    events: list[Event] = [started(), *turns, ended(count)]
    path.write_text("".join(f"{to_json(each)}\n" for each in events))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda number: {"speaker": f"name {number}"},
        lambda number: {"turn_id": 1, "revision": number},
        lambda number: {"session": f"s{number}"},
        lambda number: {"emotion": f"e{number}", "probabilities": {f"e{number}": 0.5}},
        lambda number: {"turn_id": 10**9 - number},
    ],
    ids=["speakers", "revisions", "sessions", "emotions", "backwards"],
)
def test_a_file_is_read_and_redacted_in_proportion(tmp_path: Path, change: Callable[[int], dict[str, Any]]) -> None:
    files = {count: written(tmp_path / f"{count}.jsonl", count, change) for count in (350, 1_400)}

    def copy(count: int) -> None:
        (tmp_path / "copy.jsonl").unlink(missing_ok=True)
        redact(files[count], tmp_path / "copy.jsonl", words=True, speakers=True)

    assert growth(lambda count: read_session(files[count]), 350) < MOST
    assert growth(copy, 350) < MOST


def test_a_turn_takes_less_than_three_kilobytes(tmp_path: Path) -> None:
    """300,000 turns, two weeks of talk, are to fit into a gigabyte."""
    path = written(tmp_path / "s.jsonl", 2_000)
    read_session(path)  # what is loaded once counts for no turn
    tracemalloc.start()
    kept = read_session(path)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept.turns) == 2_000
    assert size < 2_000 * 3_000
    assert json.loads(to_json(kept.turns[7])) == json.loads(path.read_text().splitlines()[8])


def test_a_session_has_so_many_emotions(tmp_path: Path) -> None:
    def emotions(number: int) -> dict[str, Any]:
        return {"emotion": f"e{number}", "probabilities": {f"e{number}": 0.5}}

    found = read_session(written(tmp_path / "s.jsonl", 3_000, emotions))
    assert len(found.turns) == MAX_LABELS - len(started().labels)
    assert any(f"more than {MAX_LABELS} emotions; what has others is left out" in each for each in found.problems)
    assert len(export(found, "csv").splitlines()[0].split(",")) < MAX_LABELS + 20


def test_a_page_draws_so_many_turns_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_view, "MAX_DRAWN", 120)
    html = render_report(session(2_000))
    ids = re.findall(r' id="([^"]+)"', html)
    assert sum(each.startswith("turn-") for each in ids) == 120
    assert sum(each.startswith("bar-") for each in ids) == 120
    assert {link[1:] for link in re.findall(r' href="([^"]+)"', html) if link != "data:,"} <= set(ids)
    assert "This session has 2,000 turns, more than a page can show" in html
    assert "the first 120 of them" in html
    assert re.search(r"<dt>Turns</dt><dd>2,000</dd>", html)
    assert "more than a page can show" not in render_report(session(120))


def test_a_page_lists_so_many_moments_and_says_so() -> None:
    made = Session(Path("s"), "s", started(), [turn(1)], marks=[mark(float(at)) for at in range(3_000)])
    html = render_report(made)
    assert html.count('<span class="sign mark"') <= 2 * MAX_MOMENTS
    assert "These are the first 2,000." in html


def test_going_back_plays_from_a_picture_that_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "KEEP_EVERY", 100)
    shown = _Replay(session(2_000), 1.0)
    shown._head.position_s = 3.0 * 2_000
    shown._show()
    applied: list[Turn] = []
    state = type(shown._dashboard.state)
    apply = state.apply
    monkeypatch.setattr(state, "apply", lambda self, event: (applied.append(event), apply(self, event)))
    shown._head.position_s = 3.0 * 1_900
    shown._show()
    assert len(applied) <= 100 + 1
    straight = _Replay(session(2_000), 1.0)
    straight._head.position_s = 3.0 * 1_900
    straight._show()
    assert shown._dashboard.state.turns == straight._dashboard.state.turns
    assert shown._dashboard.state.turn_count == straight._dashboard.state.turn_count
    assert shown._dashboard.state.playback is shown._playback


def test_what_a_person_said_in_both_runs_is_found_in_proportion() -> None:
    def corrected(count: int) -> object:
        made = session(count)
        later = Correction(**HEAD | {"time": HEAD["time"] + timedelta(1)}, turn_id=1, emotion=LABELS[1])
        said = {each.turn_id: later.model_copy(update={"turn_id": each.turn_id}) for each in made.turns}
        return compare(made, Session(Path("s"), "s", started(), made.turns, said))

    assert growth(corrected, 400) < MOST


def test_a_session_in_which_everybody_is_renamed_again_and_again_is_read_in_proportion(tmp_path: Path) -> None:
    def write(count: int) -> Path:
        """One speaker after the other turns out to be the one before, who gets another name each time."""
        events: list[Event] = [started()]
        for number in range(count):
            events += [
                turn(number + 1, speaker="next"),
                renamed(f"name {number - 1}", "next"),
                renamed("next", f"name {number}"),
            ]
        path = tmp_path / f"{count}.jsonl"
        path.write_text("".join(to_json(event) + "\n" for event in events))
        return path

    paths = {count: write(count) for count in (500, 1_000, 2_000, 4_000)}
    assert growth(lambda count: read_session(paths[count]), 500) < MOST
    assert {each.speaker for each in read_session(paths[4_000]).turns} == {"name 3999"}
