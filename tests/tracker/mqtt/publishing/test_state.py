"""From turns to how a room sounds: the mood, its trend, what has changed for good, and revisions of all that."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrack.tracker.events import SpeakerRenamed, SpeakersMerged, Turn
from emotrack.tracker.mqtt.format.payloads import (
    MAX_JSON_BYTES,
    MAX_REMEMBERED_TURNS,
    MAX_SPEAKERS,
    Shift,
    SpeakerState,
    State,
)
from emotrack.tracker.mqtt.publishing.state import SiteState, pleasantness
from emotrack.tracker.summary.mood import Mood
from emotrack.tracker.summary.shifts import TurnMood, find_shifts
from tests.tracker.dashboard.made_up import HEAD, ended, mark, merged, renamed, started, turn

WALL = HEAD["time"]
LETTERS = {"n": "neutral", "a": "anger", "j": "joy", "s": "sadness"}


def said(turn_id: int, emotion: str, speaker: str | None = "Ana", seconds: float = 10.0, **changes: Any) -> Turn:
    times = {"start_s": seconds * (turn_id - 1), "end_s": seconds * turn_id}
    return turn(
        turn_id,
        emotion,
        speaker=speaker,
        probabilities=dict.fromkeys(LETTERS.values(), 0.0) | {emotion: 1.0},
        **times,
        **changes,
    )


def conversation(letters: str, **changes: Any) -> list[Turn]:
    return [said(number, LETTERS[letter], **changes) for number, letter in enumerate(letters, 1)]


def play(site: SiteState, turns: list[Turn]) -> list[State | SpeakerState | Shift]:
    return [payload for event in turns for payload in site.apply(event)]


def room(site: SiteState, event: Turn) -> State:
    """The room's state after a turn, which must have changed it."""
    (state,) = [payload for payload in site.apply(event) if isinstance(payload, State)]
    return state


def shifts(payloads: list[State | SpeakerState | Shift]) -> list[tuple[str | None, str, str]]:
    return [(found.speaker, found.before, found.after) for found in payloads if isinstance(found, Shift)]


def test_a_session_begins_with_an_empty_state() -> None:
    (state,) = SiteState("kitchen").apply(started())
    assert isinstance(state, State)
    assert (state.emotion, state.confidence, state.mood, state.mood_probabilities, state.turns) == (
        None, None, None, {}, 0,
    )  # fmt: skip
    assert state.trend == "steady"


def test_there_is_no_mood_while_too_little_was_heard() -> None:
    site = SiteState("kitchen")
    for event in (said(1, "joy", seconds=4.0), said(2, "fear", seconds=9.0, uncertain=True)):
        state = room(site, event)
        assert (state.mood, state.mood_probabilities, state.pleasantness, state.trend) == (None, {}, None, "steady")
    assert room(site, said(3, "joy", seconds=9.0)).mood == "joy"


def test_a_turn_changes_the_room_and_its_speaker() -> None:
    site = SiteState("kitchen")
    state, ana = site.apply(said(1, "joy"))
    assert isinstance(state, State)
    assert isinstance(ana, SpeakerState)
    for payload in (state, ana):
        assert (payload.emotion, payload.confidence, payload.uncertain, payload.doubt) == ("joy", 0.8, False, None)
        assert (payload.mood, payload.pleasantness, payload.turns, payload.turn_id) == ("joy", 1.0, 1, 1)
        assert (payload.site, payload.session, payload.speaker) == ("kitchen", "s", "Ana")
    guess = room(site, said(2, "fear", "Ben", uncertain=True, doubt="short"))
    assert (guess.emotion, guess.uncertain, guess.doubt, guess.mood) == ("fear", True, "short", "joy")
    ben = site.apply(said(2, "anger", "Ben", revision=1))[1]
    assert isinstance(ben, SpeakerState)
    assert (ben.mood, ben.turns) == ("anger", 1)
    assert site.speakers == ["Ana", "Ben"]


def test_an_unknown_speaker_counts_for_the_room_only() -> None:
    site = SiteState("kitchen")
    (state,) = site.apply(said(1, "joy", None))
    assert isinstance(state, State)
    assert state.speaker is None
    assert site.speakers == []


def test_the_mood_is_the_one_that_the_session_reports() -> None:
    site, mood = SiteState("kitchen"), Mood()
    chance = random.Random(2)
    for number in range(1, 200):
        event = turn(number, probabilities={"anger": (p := chance.random()), "joy": 1 - p})
        mood.add(event.probabilities, event.start_s, event.end_s)
        state = room(site, event)
        assert state.mood_probabilities == pytest.approx(mood.probabilities, abs=1e-3)
        assert state.turns == number


def test_the_trend_tells_where_it_is_going_and_then_that_it_is_over() -> None:
    site = SiteState("kitchen")
    trends = [room(site, event).trend for event in conversation("j" * 20 + "a" * 60)]
    assert set(trends[:20]) == {"steady"}
    assert trends[26] == "worsening"
    assert trends[-1] == "steady", "for what lasts is no trend"
    assert [room(site, said(81 + n, "joy")).trend for n in range(10)][-1] == "improving"


@given(st.text("nja", min_size=1, max_size=60))
def test_the_trend_does_not_flutter(letters: str) -> None:
    site, before = SiteState("kitchen"), "steady"
    for event in conversation(letters):
        trend = room(site, event).trend
        assert {before, trend} != {"improving", "worsening"} or letters.strip(letters[-1])
        before = trend


def test_shifts_are_those_of_the_report_and_told_once() -> None:
    letters = "n" * 8 + "a" * 12 + "n" + "j" * 20 + "n" * 3 + "j" * 9
    turns = conversation(letters)
    told = [payload for payload in play(SiteState("kitchen"), turns) if isinstance(payload, Shift)]
    heard = [TurnMood(t.turn_id, t.start_s, t.end_s, t.speaker, t.probabilities) for t in turns]
    found = find_shifts(heard)
    assert len(found) == 4, "two of the room, two of Ana"
    assert [(s.turn_id, s.at_s, s.speaker, s.before, s.after) for s in told] == [
        (s.turn_id, s.at_s, s.speaker, s.before, s.after) for s in found
    ]


@given(st.text("nja", max_size=100), st.floats(1.0, 30.0))
def test_shifts_are_those_of_the_report_whatever_is_said(letters: str, seconds: float) -> None:
    turns = conversation(letters, seconds=seconds)
    told = [payload for payload in play(SiteState("kitchen"), turns) if isinstance(payload, Shift)]
    found = find_shifts(TurnMood(t.turn_id, t.start_s, t.end_s, t.speaker, t.probabilities) for t in turns)
    assert {(s.turn_id, s.speaker, s.after) for s in told} == {(s.turn_id, s.speaker, s.after) for s in found}


def test_one_outburst_is_no_shift() -> None:
    assert shifts(play(SiteState("kitchen"), conversation("n" * 8 + "aa" + "n" * 8))) == []


def test_a_revision_replaces_what_it_revises_and_an_older_one_does_not() -> None:
    site = SiteState("kitchen")
    play(site, conversation("jjj"))
    state = room(site, said(3, "anger", revision=2))
    assert (state.turn_id, state.revision, state.emotion, state.turns) == (3, 2, "anger", 3)
    assert site.apply(said(3, "joy", revision=1)) == []
    assert site.apply(said(3, "joy", revision=2)) == [], "nor a second copy"
    earlier = room(site, said(1, "anger", revision=1))
    assert (earlier.turn_id, earlier.emotion) == (3, "anger"), "the latest turn stays the latest"
    assert earlier.mood == "anger"


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), st.text("nja", min_size=1, max_size=MAX_REMEMBERED_TURNS - 2))
def test_any_order_of_revisions_and_repetitions_ends_in_the_same_state(chance: random.Random, letters: str) -> None:
    final = [said(n, LETTERS[letter], revision=1) for n, letter in enumerate(letters, 1)]
    first = [said(n, chance.choice([*LETTERS.values()])) for n in range(1, len(letters) + 1)]
    shuffled = [*first, *final, *final]
    chance.shuffle(shuffled)
    one, other = SiteState("kitchen"), SiteState("kitchen")
    play(one, shuffled)
    play(other, final)
    last = said(len(letters) + 1, "neutral")
    mine, theirs = room(one, last), room(other, last)
    assert mine == theirs


def test_a_revision_that_changes_the_speaker_changes_both() -> None:
    site = SiteState("kitchen")
    play(site, [said(1, "joy", "Ana"), said(2, "anger", "Ana")])
    changed = {
        p.speaker: p.turns for p in site.apply(said(2, "anger", "Ben", revision=1)) if isinstance(p, SpeakerState)
    }
    assert changed == {"Ana": 1, "Ben": 1}


def test_a_speaker_of_whom_revisions_leave_no_turn_has_no_state() -> None:
    site = SiteState("kitchen")
    play(site, [said(1, "joy", "Ana"), said(2, "anger", "Ben")])
    changed = site.apply(said(2, "anger", "Ana", revision=1))
    assert [p.speaker for p in changed if isinstance(p, SpeakerState)] == ["Ana"]
    assert site.speakers == ["Ana"]
    assert room(site, said(2, "anger", "Ben", revision=2)).speaker == "Ben"
    assert site.speakers == ["Ana", "Ben"]


def standing(site: SiteState, event: SpeakerRenamed | SpeakersMerged) -> dict[str | None, SpeakerState | State]:
    """The room, by None, and the speakers whose state an event changes."""
    changed = site.apply(event)
    assert not [payload for payload in changed if isinstance(payload, Shift)], "nobody feels otherwise for a name"
    return {p.speaker if isinstance(p, SpeakerState) else None: p for p in changed if not isinstance(p, Shift)}


@pytest.mark.parametrize("count", [4, 3 * MAX_REMEMBERED_TURNS], ids=["all remembered", "most summed up"])
def test_a_new_name_takes_the_place_of_the_old_one(count: int) -> None:
    one, other = SiteState("kitchen"), SiteState("kitchen")
    names = ("speaker 1", "speaker 2")
    turns = [said(n, ("anger", "joy")[n // 9 % 2], names[n % 2]) for n in range(1, count + 1)]
    play(one, turns)
    play(other, [each.model_copy(update={"speaker": "Ana"}) if each.speaker == names[0] else each for each in turns])
    changed = standing(one, renamed("speaker 1", "Ana"))
    assert set(changed) == {None, "Ana"}
    assert changed[None].speaker == "Ana"
    assert set(one.speakers) == {"speaker 2", "Ana"}
    again = said(count + 1, "joy", "Ana")
    assert one.apply(again) == other.apply(again)


@pytest.mark.parametrize("event", [merged("speaker 2", "speaker 1"), renamed("speaker 2", "speaker 1")])
@pytest.mark.parametrize("count", [4, 3 * MAX_REMEMBERED_TURNS], ids=["all remembered", "most summed up"])
def test_two_who_are_one_count_together(count: int, event: SpeakerRenamed | SpeakersMerged) -> None:
    one, other = SiteState("kitchen"), SiteState("kitchen")
    turns = [said(n, ("anger", "joy")[n // 9 % 2], f"speaker {1 + n % 2}") for n in range(1, count + 1)]
    play(one, turns)
    play(other, [each.model_copy(update={"speaker": "speaker 1"}) for each in turns])
    mine, room = standing(one, event)["speaker 1"], standing(other, renamed("speaker 1", "x"))["x"]
    assert one.speakers == ["speaker 1"]
    assert (mine.turns, mine.turn_id, mine.emotion, mine.mood) == (count, count, room.emotion, room.mood)
    assert mine.mood_probabilities == pytest.approx(room.mood_probabilities, abs=1e-3)


def test_a_name_that_nobody_has_changes_nothing() -> None:
    site = SiteState("kitchen")
    play(site, conversation("aaa"))
    assert site.apply(renamed("Ben", "Ana")) == site.apply(merged("Ana", "Ana")) == []
    assert site.speakers == ["Ana"]


def test_a_shift_that_revisions_take_back_is_told_back() -> None:
    site = SiteState("kitchen")
    assert shifts(play(site, conversation("n" * 4 + "a" * 8, speaker=None))) == [(None, "neutral", "anger")]
    back = play(site, [said(n, "neutral", None, revision=1) for n in range(5, 13)])
    assert shifts(back) == [(None, "anger", "neutral")]


def test_a_new_session_starts_afresh() -> None:
    site = SiteState("kitchen")
    play(site, conversation("aaa"))
    (state,) = site.apply(started().model_copy(update={"session": "t"}))
    assert isinstance(state, State)
    assert (state.session, state.turns, site.speakers) == ("t", 0, [])


def test_forgetting_keeps_the_session() -> None:
    site = SiteState("kitchen")
    play(site, conversation("aaa"))
    empty = site.forget(WALL)
    assert (empty.session, empty.emotion, empty.mood, empty.turns, empty.time) == ("s", None, None, 0, WALL)
    assert site.speakers == []
    state = room(site, said(4, "joy"))
    assert (state.mood, state.turns) == ("joy", 1)


def test_other_events_change_nothing() -> None:
    site = SiteState("kitchen")
    assert site.apply(mark(1.0)) == []
    assert site.apply(ended(1)) == []


def test_speakers_and_turns_are_bounded() -> None:
    site = SiteState("kitchen")
    for number in range(1, 400):
        site.apply(said(number, "joy", f"speaker {number % 200}"))
    assert len(site.speakers) == MAX_SPEAKERS
    assert len(site.dump()) == MAX_REMEMBERED_TURNS
    assert sum(len(turn.to_json()) for turn in site.dump()) < MAX_JSON_BYTES / 2
    assert site.apply(said(3, "joy", revision=9)) == [], "too old to be revised"


def test_what_one_tracker_dumped_another_goes_on_from() -> None:
    one, other = SiteState("kitchen"), SiteState("kitchen")
    turns = conversation("n" * 5 + "a" * 12)
    play(one, turns)
    other.restore("s", one.dump())
    assert other.apply(started())[0].model_dump(exclude={"time"}) == one.apply(started())[0].model_dump(
        exclude={"time"}
    )
    following = [said(18, "anger"), said(19, "joy", revision=2)]
    assert play(other, following) == play(one, following)


def test_an_odd_name_of_a_speaker_breaks_nothing() -> None:
    site = SiteState("kitchen")
    assert len(site.apply(said(1, "joy", ""))) == 1
    assert len(site.apply(said(2, "joy", "x" * 5000))) == 2


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ({"joy": 1.0}, 1),
        ({"angry": 0.5, "happy": 0.5}, 0),
        ({"negative": 1.0}, -1),
        ({"neutral": 0.9, "fear": 0.1}, -0.1),
    ],
)
def test_pleasantness(probabilities: dict[str, float], expected: float) -> None:
    assert pleasantness(probabilities) == pytest.approx(expected)


def test_shares_that_are_rounded_are_no_more_than_pleasant() -> None:
    assert pleasantness({"joy": 0.7, "happy": 0.30000000000000016}) == 1
    assert pleasantness({"anger": 1.0000000000000002}) == -1
