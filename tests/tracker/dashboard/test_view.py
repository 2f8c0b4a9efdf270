"""The frame: exactly the size of the screen whatever happens, and readable without colour."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from emotrack.tracker.dashboard import DashboardState, render, summary
from emotrack.tracker.dashboard.naming import Naming, Speaker
from emotrack.tracker.dashboard.palette import look
from emotrack.tracker.events import Correction, Doubt, SpeculationShare
from emotrack.tracker.session.status import LiveStatus, Status
from tests.tracker.dashboard.made_up import HEAD, ended, lost, mark, provisional, restored, started, turn

SIZES = [(60, 15), (80, 24), (120, 30), (200, 50)]
ODD_SIZES = [
    (1, 1),
    (5, 3),
    (20, 6),
    (40, 10),
    (72, 20),
    (79, 19),
    (110, 28),
    (110, 40),
    (159, 39),
    (300, 90),
    (400, 12),
]
NAMED = Speaker("Chloé 田中" * 5, "Chloé 田中" * 5)
STYLES = re.compile(r"\x1b\[[\d;]*m")


def busy(turns: int = 60) -> DashboardState:
    state = DashboardState(site="kitchen")
    state.apply(started())
    speakers = ("Ana", "Ben", None, "Chloé", "a very long name of a speaker indeed")
    emotions = ("joy", "anger", "sadness", "neutral", "disgust", "schadenfreude, of all things")
    for number in range(1, turns + 1):
        text = None if number % 7 == 0 else "It is what it is, 田中さん 🎉 and so on. " * (number % 5)
        state.apply(
            turn(
                number,
                emotions[number % len(emotions)],
                speaker=speakers[number % len(speakers)],
                text=text,
                text_rejected="low_confidence" if text is None else None,
                uncertain=number % 4 == 0,
                truncated=number % 9 == 0,
            )
        )
        if number % 20 == 0:
            state.apply(mark(3.0 * number))
    return state


def situations() -> dict[str, tuple[DashboardState, Status]]:
    lost_state = busy()
    lost_state.apply(lost(200.0))
    over = busy()
    over.apply(restored(210.0))
    over.apply(ended(60))
    under_way = busy()
    for channel in (1, 2):
        under_way.apply(
            provisional(200.0, 201.0, "a feeling with no name yet", channel=channel, speaker="Chloé 田中" * 9)
        )
    paused = busy(3)
    paused.notice = "a notice\x1b[2J " * 40
    naming, typing = busy(), busy()
    naming.ask_for_name()
    typing.naming = Naming((), NAMED, NAMED, "田中 Chloé " * 8)
    saved = DashboardState(site="x" * 300, saved_to="/a/very/long/path/" * 20 + "session.jsonl")
    speaking = LiveStatus(stream_s=80_000, levels_dbfs=(-20.0, -3.0), speaking=(True, False), thinking=2)
    return {
        "empty": (DashboardState(), LiveStatus()),
        "busy": (busy(), speaking),
        "under way": (under_way, LiveStatus(stream_s=201, levels_dbfs=(-20.0, -30.0), speaking=(True, True))),
        "eight channels": (busy(), LiveStatus(levels_dbfs=(-20.0,) * 8, speaking=(False,) * 8)),
        "lost": (lost_state, LiveStatus(stream_s=200, levels_dbfs=(-120.0,), speaking=(False,), source_lost=True)),
        "paused": (paused, LiveStatus(paused=True, levels_dbfs=(-50.0,))),
        "ended": (over, LiveStatus(stream_s=222, dropped_frames=123_456, dropped_turns=7, text_skipped=9)),
        "naming": (naming, LiveStatus()),
        "typing a name": (typing, LiveStatus()),
        "saved": (saved, LiveStatus(thinking=1)),
    }


def lines_of(state: DashboardState, status: Status, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    rows = console.render_lines(render(state, status, width, height), pad=False)
    return ["".join(segment.text for segment in row) for row in rows]


@pytest.mark.parametrize("size", SIZES + ODD_SIZES, ids=lambda size: "{}x{}".format(*size))
@pytest.mark.parametrize("situation", situations())
def test_the_frame_has_exactly_the_size_of_the_screen(situation: str, size: tuple[int, int]) -> None:
    state, status = situations()[situation]
    lines = lines_of(state, status, *size)
    assert len(lines) == size[1]
    assert {cell_len(line) for line in lines} == {size[0]}


@settings(max_examples=80)
@given(st.integers(1, 260), st.integers(1, 70), st.sampled_from(sorted(situations())))
def test_any_size_of_screen_is_filled_exactly(width: int, height: int, situation: str) -> None:
    lines = lines_of(*situations()[situation], width, height)
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}


@settings(max_examples=60)
@given(st.text(max_size=120), st.text(max_size=30), st.text(min_size=1, max_size=20), st.sampled_from(SIZES))
def test_no_text_moves_a_border_or_reaches_the_terminal_raw(
    text: str, speaker: str, emotion: str, size: tuple[int, int]
) -> None:
    state = DashboardState(site=text)
    state.apply(started(source=text, recogniser=speaker or None))
    state.apply(turn(1, emotion, text=text, speaker=speaker))
    state.apply(turn(2, emotion, text=None, text_rejected=text, uncertain=True))
    state.notice = text
    status = LiveStatus(levels_dbfs=(-20.0,))
    lines = lines_of(state, status, *size)
    assert len(lines) == size[1]
    assert {cell_len(line) for line in lines} == {size[0]}
    if size[1] >= 24:
        assert all(line[0] in "╭│╰" and line[-1] in "╮│╯" for line in lines[1 : size[1] - 6])
    for page in (render(state, status, *size), summary(state)):
        console = Console(file=(out := io.StringIO()), force_terminal=True, color_system="truecolor", width=size[0])
        console.print(page)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", STYLES.sub("", out.getvalue()))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}x{}".format(*size))
def test_what_a_person_needs_is_on_every_screen(size: tuple[int, int]) -> None:
    state, status = busy(), LiveStatus(stream_s=754, levels_dbfs=(-23.0,), speaking=(True,), dropped_turns=2)
    screen = "\n".join(lines_of(state, status, *size))
    for words in (
        "kitchen", "mini", "base.en", "speaking", "12:34", "sadness", "80%", "voice only", "?", "p50", "p95", "2 turns",
        "quit", "pause", "mark", "emotions", "estimated", "Nothing is recorded.",
    ):  # fmt: skip
        assert words in screen, words


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (LiveStatus(), "listening"),
        (LiveStatus(speaking=(False, True), thinking=1), "speaking"),
        (LiveStatus(speaking=(False,), thinking=1), "thinking"),
        (LiveStatus(paused=True, speaking=(True,)), "paused"),
        (LiveStatus(source_lost=True, paused=True), "source lost"),
    ],
)
def test_the_state_is_named(status: Status, word: str) -> None:
    state = DashboardState()
    assert "starting" in lines_of(state, LiveStatus(), 80, 24)[0]
    state.apply(started())
    assert word in lines_of(state, status, 80, 24)[0]


def test_an_uncertain_turn_differs_by_more_than_colour() -> None:
    state = DashboardState()
    state.apply(turn(1, "joy"))
    state.apply(turn(2, "joy", uncertain=True))
    sure, unsure = [line for line in lines_of(state, LiveStatus(), 80, 24) if "Good to see you." in line]
    assert " J " in sure
    assert "joy?" not in sure
    assert " j " in unsure
    assert "joy?" in unsure


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)], ids=lambda size: "{}x{}".format(*size))
def test_who_speaks_has_a_line_that_says_how_it_sounds_so_far(size: tuple[int, int]) -> None:
    state = DashboardState()
    state.apply(started())
    state.apply(provisional(6.0, 7.0, "sadness", speaker="Ben"))
    speaking, silent = LiveStatus(speaking=(True,)), LiveStatus(speaking=(False,))
    (line,) = [line for line in lines_of(state, speaking, *size) if "so far, by the voice" in line]
    for words in ("0:06", "Ben", " s ", "sadness…", "55%"):
        assert words in line
    assert ("  so far  " in "\n".join(lines_of(state, speaking, *size))) == (size[1] >= 50), "its bars have room"
    assert "so far," in "\n".join(lines_of(state, LiveStatus(thinking=1, speaking=(False,)), *size)), (
        "until it is scored"
    )
    assert "so far," not in "\n".join(lines_of(state, silent, *size)), "nothing came of it"
    state.apply(turn(2, "joy", start_s=6.0, end_s=8.0, speaker="Ben"))
    assert "so far," not in "\n".join(lines_of(state, speaking, *size)), "the turn itself has taken its place"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (SpeculationShare(kept=12, wasted=1, kept_s=0.9, wasted_s=0.1), "13 turns begun early, 1 in vain (10% of that"),
        (SpeculationShare(kept=1, wasted=0, kept_s=0.1, wasted_s=0.0), "1 turn begun early, none in vain"),
        (SpeculationShare(kept=0, wasted=0, kept_s=0.0, wasted_s=0.0), None),
        (None, None),
    ],
)
def test_the_summary_tells_what_was_done_in_vain(share: SpeculationShare | None, words: str | None) -> None:
    state = busy(3)
    state.apply(ended(3, speculation=share))
    console = Console(file=(out := io.StringIO()), width=100)
    console.print(summary(state))
    assert ("begun early" in out.getvalue()) == (words is not None)
    assert (words or "") in out.getvalue()


def test_an_unknown_speaker_and_a_voice_only_turn_say_so() -> None:
    state = DashboardState()
    state.apply(turn(1, speaker=None, text=None, text_rejected="low_confidence"))
    screen = "\n".join(lines_of(state, LiveStatus(), 80, 24))
    assert " \N{EN DASH} " in screen
    assert "unknown" in screen
    assert "voice only (low confidence)" in screen


def test_saving_replaces_the_promise_that_nothing_is_recorded() -> None:
    for size in SIZES:
        state = DashboardState(saved_to="/home/ana/meetings/session.jsonl")
        screen = "\n".join(lines_of(state, LiveStatus(), *size))
        assert "session.jsonl." in screen, size
        assert "Nothing is recorded" not in screen


@pytest.mark.parametrize(("notice_given", "said"), [(False, "should know that"), (True, "was told that")])
def test_the_line_of_consent_says_whether_people_were_told(notice_given: bool, said: str) -> None:
    state = DashboardState()
    state.apply(started(notice_given=notice_given))
    assert said in "\n".join(lines_of(state, LiveStatus(), 120, 40))


@pytest.mark.parametrize(
    "labels",
    [
        ("angry", "happy", "sad", "neutral"),
        ("angry", "happy", "sad", "neutral", "excited", "frustrated"),
        ("positive", "negative", "neutral"),
        ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"),
        ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"),
    ],
)
def test_within_a_label_set_letters_and_colours_differ(labels: tuple[str, ...]) -> None:
    assert len({look(label).letter for label in labels}) == len(labels)
    assert len({str(look(label).ink) for label in labels}) == len(labels)


def test_a_label_that_nobody_foresaw_has_a_look() -> None:
    assert look("bored").letter == "B"
    assert look("悲しい").letter == "•"
    assert look("").letter == "•"


def test_without_colour_no_colour_is_sent() -> None:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=80, height=24, _environ={"NO_COLOR": "1", "TERM": "xterm-256color"}
    )
    console.print(render(*situations()["busy"], 80, 24))
    codes = {code for found in re.findall(r"\x1b\[([\d;]*)m", out.getvalue()) for code in found.split(";")}
    assert codes <= {"", "0", "1", "2", "3"}


def test_a_terminal_that_is_not_utf8_gets_ascii_of_the_same_size() -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, "ascii"), width=80, height=24, force_terminal=True, color_system=None)
    console.print(render(*situations()["busy"], 80, 24), end="")
    console.file.flush()
    lines = STYLES.sub("", raw.getvalue().decode("ascii")).split("\n")
    assert [len(line) for line in lines] == [80] * 24


def test_the_summary_tells_the_session() -> None:
    state = busy()
    state.notice = "One turn was scored on voice alone."
    state.observe(LiveStatus(stream_s=222))
    state.apply(ended(60))
    state.saved_to = "session.jsonl"
    for width in (40, 80, 200):
        out = io.StringIO()
        Console(file=out, width=width).print(summary(state))
        page = out.getvalue()
        assert max(cell_len(line) for line in page.splitlines()) <= min(width, 100)
        for words in (
            "1:02:05",
            "60",
            "joy",
            "Ana",
            "unknown",
            "Mood",
            "p50 210 ms",
            "3 audio",
            "One turn",
            "session.jsonl",
        ):
            assert words in page, (width, words)


def test_the_summary_of_a_session_without_turns() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(summary(DashboardState()))
    assert "Recorded  nothing" in out.getvalue()


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 34), (200, 50)], ids=lambda size: "{}x{}".format(*size))
def test_the_channels_of_a_recording_can_be_told_apart(size: tuple[int, int]) -> None:
    state = DashboardState(site="kitchen")
    state.apply(started(channels=2))
    for channel in (1, 2):
        state.apply(turn(channel, speaker=f"channel {channel}", text=f"said on {channel}"))
    shown = lines_of(state, LiveStatus(), *size)
    for channel in (1, 2):
        assert any(f"channel {channel}" in line and f"said on {channel}" in line for line in shown)


@pytest.mark.parametrize(
    ("doubt", "told"),
    [(None, ""), ("overlap", ""), ("short", " [very short]"), ("unclear", " [hardly speech]")],
)
def test_a_turn_that_is_doubted_says_why(doubt: Doubt | None, told: str) -> None:
    state = DashboardState()
    state.apply(turn(1, doubt=doubt, uncertain=doubt is not None))
    (line,) = [line for line in lines_of(state, LiveStatus(), 120, 40) if "Good to see you." in line]
    assert line.partition("Good to see you.")[2].startswith(told + "  ")


def test_there_is_no_mood_while_all_is_guessed() -> None:
    state = DashboardState()
    state.apply(turn(1, uncertain=True))
    assert any("Too little certain for a mood." in line for line in lines_of(state, LiveStatus(), 120, 40))


def test_in_a_narrow_terminal_a_mood_that_is_missing_is_told_in_two_lines() -> None:
    state = DashboardState()
    state.apply(turn(1, uncertain=True))
    lines = lines_of(state, LiveStatus(), 80, 24)
    (first,) = [place for place, line in enumerate(lines) if "Too little certain" in line]
    assert "mood." in lines[first + 1]


@pytest.mark.parametrize(
    ("overlap", "told"), [(None, ""), (0.19, ""), (0.2, " [overlap 20%]"), (1.0, " [overlap 100%]")]
)
def test_a_turn_that_others_speak_in_says_how_much_of_it(overlap: float | None, told: str) -> None:
    state = DashboardState()
    state.apply(turn(1, overlap=overlap))
    (line,) = [line for line in lines_of(state, LiveStatus(), 120, 40) if "Good to see you." in line]
    assert line.partition("Good to see you.")[2].startswith(told + "  ")


@pytest.mark.parametrize(
    "size", [(60, 8), (60, 15), (80, 24), (120, 34), (200, 50)], ids=lambda size: "{}x{}".format(*size)
)
def test_who_names_a_speaker_sees_what_is_typed(size: tuple[int, int]) -> None:
    state = DashboardState()
    state.apply(turn(1, speaker="speaker 1"))
    state.naming = Naming((), NAMED, Speaker("speaker 1", "speaker 1"), "Ana")
    screen = "\n".join(lines_of(state, LiveStatus(), *size))
    assert "speaker 1 is called Ana_" in screen
    assert "for good" not in screen
    state.naming = replace(state.naming, speakers=[Speaker("Ana", "Ana")])
    assert ("makes the two one, for good" in "\n".join(lines_of(state, LiveStatus(), *size))) == (size[0] >= 80)


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (110, 26), (120, 30)], ids=lambda size: "{}x{}".format(*size))
def test_the_numbers_of_speakers_are_seen_on_the_timeline(size: tuple[int, int]) -> None:
    state = DashboardState()
    for number in (1, 2):
        state.apply(turn(number, speaker=f"speaker {number}"))
    rows = [line for line in lines_of(state, LiveStatus(), *size) if "J" in line and "·" in line]
    assert ["speaker 1" in row or "speaker 2" in row for row in rows] == [True, True]


@pytest.mark.parametrize("size", [(80, 24), (110, 33), (200, 50)], ids=lambda size: "{}x{}".format(*size))
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"valence": 0.67, "arousal": -0.3}, "1 turn   now pleasant 0.7, calm 0.3 ─"),
        ({"valence": -0.5, "arousal": 0.5, "uncertain": True}, "1 not sure   now unpleasant 0.5, aroused 0.5? ─"),
        ({"valence": 0.04, "arousal": 0.0}, "1 turn ─"),
        ({"valence": None, "arousal": None}, "1 turn ─"),
    ],
)
def test_the_newest_turn_says_how_pleasant_and_aroused_it_sounds(
    size: tuple[int, int], changes: dict[str, Any], told: str
) -> None:
    state = DashboardState()
    state.apply(turn(1, **changes))
    assert any(told in line for line in lines_of(state, LiveStatus(), *size))


def test_a_turn_that_goes_on_says_how_it_sounds_so_far_and_a_corrected_one_no_more() -> None:
    state = DashboardState()
    state.apply(turn(1, valence=0.6, arousal=0.6))
    state.apply(Correction(**HEAD, turn_id=1, emotion="anger"))
    assert not any("pleasant" in line for line in lines_of(state, LiveStatus(), 80, 24))
    state.apply(provisional(8.0, 9.0, valence=-0.4))
    assert any("1 turn   now unpleasant 0.4 ─" in line for line in lines_of(state, LiveStatus(thinking=1), 80, 24))
