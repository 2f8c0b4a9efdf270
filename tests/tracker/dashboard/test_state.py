"""The dashboard's picture of a session: bounded, right under revisions, calm about what it does not know."""

from __future__ import annotations

import random

import pytest

from emotrack.tracker.dashboard import state as state_module
from emotrack.tracker.dashboard.state import KEEP_TURNS, MAX_SPEAKERS, OTHERS, DashboardState, Note
from emotrack.tracker.events import Correction
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.summary.mood import Mood
from tests.tracker.dashboard.made_up import (
    HEAD,
    LABELS,
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


def test_twenty_thousand_turns_leave_it_bounded_and_its_counts_whole() -> None:
    state = DashboardState()
    chance = random.Random(1)
    total = 20_000
    for turn_id in range(1, total + 1):
        speaker = f"speaker {chance.randrange(40)}"
        state.apply(
            turn(turn_id, chance.choice(LABELS), speaker=speaker, text="word " * 3000 if turn_id % 500 == 0 else "hi")
        )
        if turn_id % 100 == 0:
            state.apply(mark(3.0 * turn_id))
            state.notice = f"notice {turn_id}"
            state.observe(LiveStatus(stream_s=3.0 * turn_id))
    assert len(state.turns) == KEEP_TURNS
    assert state.turns[-1].turn_id == total
    assert max(len(shown.text or "") for shown in state.turns) <= 600
    assert len(state.speakers) <= MAX_SPEAKERS + 1
    assert len(state.notes) <= state_module.KEEP_NOTES
    assert len(state.notices) <= state_module.KEEP_NOTICES
    assert len(state.after_end_ms) <= state_module.KEEP_LATENCIES
    assert state.turn_count == sum(state.emotions.values()) == sum(t.turns for t in state.speakers.values()) == total
    assert state.marks == total // 100


def test_a_revision_replaces_the_turn_and_its_counts() -> None:
    state = DashboardState()
    state.apply(turn(1, "joy", speaker=None, uncertain=True))
    state.apply(turn(2, "joy", speaker="Ben"))
    state.apply(turn(1, "anger", revision=1, speaker="Ana", text="No!"))
    assert [(t.turn_id, t.emotion, t.text) for t in state.turns] == [
        (1, "anger", "No!"),
        (2, "joy", "Good to see you."),
    ]
    assert state.emotions == {"anger": 1, "joy": 1}
    assert set(state.speakers) == {"Ana", "Ben"}
    assert (state.turn_count, state.uncertain_count) == (2, 0)
    assert len(state.after_end_ms) == 2, "a revision is not a turn of its own"


def test_what_a_person_said_outlives_a_revision() -> None:
    state = DashboardState()
    state.apply(turn(1, "joy", uncertain=True))
    state.apply(Correction(**HEAD, turn_id=1, emotion="sadness"))
    state.apply(turn(1, "anger", revision=1, uncertain=True))
    (shown,) = state.turns
    assert (shown.emotion, shown.corrected, shown.uncertain, shown.revision) == ("sadness", True, False, 1)
    assert (state.emotions, state.uncertain_count) == ({"sadness": 1}, 0)


def test_a_revision_leaves_every_speaker_in_the_same_row() -> None:
    state = DashboardState()
    state.apply(turn(1, "joy", speaker="Ana"))
    state.apply(turn(2, "joy", speaker="Ben"))
    state.apply(turn(1, "anger", revision=1, speaker="Ana"))
    assert list(state.speakers) == ["Ana", "Ben"]
    assert state.speakers["Ana"].emotions == {"anger": 1}


def test_an_older_revision_changes_nothing() -> None:
    state = DashboardState()
    state.apply(turn(1, "anger", revision=2))
    state.apply(turn(1, "joy", revision=1))
    assert state.turns[0].emotion == "anger"
    assert state.emotions == {"anger": 1}


def test_a_revision_of_a_forgotten_turn_is_not_counted_twice() -> None:
    state = DashboardState(keep_turns=3)
    for turn_id in range(1, 11):
        state.apply(turn(turn_id))
    state.apply(turn(2, "anger", revision=1))
    assert [t.turn_id for t in state.turns] == [8, 9, 10]
    assert state.emotions == {"joy": 10}


def test_turns_are_kept_in_the_order_of_their_ids() -> None:
    state = DashboardState()
    for turn_id in (2, 4, 1, 3):
        state.apply(turn(turn_id))
    assert [t.turn_id for t in state.turns] == [1, 2, 3, 4]


def test_speakers_beyond_the_bound_share_a_row_and_keep_their_names() -> None:
    state = DashboardState()
    for number in range(1, MAX_SPEAKERS + 6):
        state.apply(turn(number, speaker=f"s{number}"))
    assert len(state.speakers) == MAX_SPEAKERS + 1
    assert state.speakers[OTHERS].turns == 5
    assert state.turns[-1].speaker == f"s{MAX_SPEAKERS + 5}"


def test_mood_follows_the_recent_turns_and_their_revisions() -> None:
    state = DashboardState()
    assert state.mood() == {}
    for number in range(1, 100):
        state.apply(turn(number, probabilities={"anger": 0.9, "joy": 0.1}))
    assert next(iter(state.mood())) == "anger"
    for number in range(60, 100):
        state.apply(turn(number, revision=1, probabilities={"anger": 0.1, "joy": 0.9}))
    mood = state.mood()
    assert next(iter(mood)) == "joy"
    assert sum(mood.values()) == pytest.approx(1)


def test_mood_is_the_one_that_the_session_reports() -> None:
    state, reported = DashboardState(), Mood()
    chance = random.Random(2)
    for number in range(1, 300):
        event = turn(number, probabilities={"anger": (p := chance.random()), "joy": 1 - p})
        state.apply(event)
        reported.add(event.probabilities, event.start_s, event.end_s)
    assert state.mood() == pytest.approx(reported.probabilities, abs=1e-3)


def test_latency_percentiles_lie_between_the_latencies_that_were_seen() -> None:
    state = DashboardState()
    assert state.latency_ms(50) is None
    for number in range(1, 101):
        state.apply(turn(number, after_end=float(number)))
    assert state.last_after_end_ms == 100
    assert state.latency_ms(50) == 50.5
    assert state.latency_ms(95) == pytest.approx(95.05)
    assert state.latency_ms(100) == 100


def test_every_event_type_is_taken_in() -> None:
    state = DashboardState()
    for event in (started(), mark(1.0), provisional(3.0, 4.0), turn(1), lost(5.0), restored(9.0), turn(2), ended(2)):
        state.apply(event)
    kinds = ["note" if isinstance(item, Note) else item.turn_id for item in state.latest(10)]
    assert kinds == ["note", 1, "note", "note", 2]
    assert state.started is not None
    assert state.ended is not None
    assert state.lost_reason is None
    assert state.labels == LABELS


@pytest.mark.parametrize(
    ("start_s", "at_s", "speaker", "is_gone"),
    [
        (6.0, 7.9, "Ana", True),  # the turn itself
        (6.0, 7.9, None, True),
        (6.5, 7.9, "Ben", False),  # somebody who goes on speaking
        (3.0, 4.0, "Ben", True),  # what proved to be no turn
        (8.5, 9.0, "Ana", False),  # the next turn of the same person
    ],
)
def test_a_turn_takes_the_place_of_what_was_seen_of_it(
    start_s: float, at_s: float, speaker: str | None, is_gone: bool
) -> None:
    state = DashboardState()
    state.apply(provisional(start_s, at_s, speaker=speaker))
    state.apply(turn(2, start_s=6.0, end_s=8.0, speaker="Ana"))
    assert (not state.under_way) == is_gone
    assert (not state.provisional(LiveStatus(speaking=(True,)))) == is_gone


def test_looks_at_turns_under_way_count_for_nothing() -> None:
    state = DashboardState()
    for at_s in range(1, 1000):
        state.apply(provisional(0.5, at_s, channel=1 + at_s % 64))
    assert (state.turn_count, state.emotions, state.speakers, state.mood()) == (0, {}, {}, {})
    assert len(state.under_way) <= 64


def test_a_lost_source_is_remembered_until_it_is_back() -> None:
    state = DashboardState()
    state.apply(lost(5.0, "device \x1b[31munplugged"))
    assert state.lost_reason == "device unplugged"


def test_notices_are_kept_once_each_in_a_row() -> None:
    state = DashboardState()
    for notice in ("slow", "slow", "slower"):
        state.notice = notice
        state.observe(LiveStatus())
    assert list(state.notices) == ["slow", "slower"]


def test_a_new_name_holds_for_all_turns_those_included_that_have_left_the_screen() -> None:
    state = DashboardState(keep_turns=3)
    for number in range(1, 9):
        state.apply(turn(number, ("joy", "anger")[number % 2], speaker=f"speaker {1 + number % 2}"))
    state.apply(provisional(30.0, 31.0, speaker="speaker 1"))
    state.apply(renamed("speaker 2", "Ana\x1b[2J"))
    assert [shown.speaker for shown in state.turns] == ["speaker 1", "Ana", "speaker 1"]
    assert [shown.row for shown in state.turns] == ["speaker 1", "Ana", "speaker 1"]
    assert {name: tally.turns for name, tally in state.speakers.items()} == {"Ana": 4, "speaker 1": 4}
    assert list(state.speakers) == ["Ana", "speaker 1"], "in the row that it had"
    assert state.latest(9)[-1] == Note(8, 26.0, "speaker 2 is called Ana")
    state.apply(turn(7, "joy", speaker="Ana\x1b[2J", revision=1))
    assert state.speakers["Ana"].emotions == {"anger": 3, "joy": 1}

    state.apply(merged("speaker 1", "Ana\x1b[2J"))
    assert {shown.speaker for shown in state.turns} == {"Ana"}
    assert (list(state.speakers), state.speakers["Ana"].turns) == (["Ana"], 8)
    assert state.speakers["Ana"].emotions == {"anger": 3, "joy": 5}
    assert state.under_way[1].speaker == "Ana"
    assert state.turn_count == sum(state.emotions.values()) == 8


def test_who_had_no_row_gets_that_of_the_new_name_and_an_unknown_name_changes_nothing() -> None:
    state = DashboardState()
    for number in range(MAX_SPEAKERS + 2):
        state.apply(turn(number + 1, speaker=f"speaker {number}"))
    assert (state.speakers[OTHERS].turns, state.turns[-1].row) == (2, OTHERS)
    state.apply(renamed(f"speaker {MAX_SPEAKERS}", "Ana"))
    assert (state.speakers[OTHERS].turns, state.turns[-2].speaker, state.turns[-2].row) == (2, "Ana", OTHERS)
    state.apply(renamed("Ana", "speaker 0"))
    assert (state.speakers[OTHERS].turns, state.speakers["speaker 0"].turns) == (1, 2)
    before = state.copy()
    state.apply(renamed("Ben", "Cleo"))
    assert (state.turns, state.speakers) == (before.turns, before.speakers)
