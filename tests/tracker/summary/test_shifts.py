"""What counts as a shift of mood."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.summary.shifts import STAYS_S, STAYS_TURNS, MoodShift, TurnMood, find_shifts


def heard(emotions: str, seconds: float = 10.0, speaker: str | None = None) -> list[TurnMood]:
    """One turn per letter, each certain, one after the other."""
    return [
        TurnMood(n + 1, n * seconds, (n + 1) * seconds, speaker, {letter: 1.0}) for n, letter in enumerate(emotions)
    ]


def test_a_mood_that_changes_and_stays_is_a_shift_at_the_turn_that_changed_it() -> None:
    # The mood lags: turns fade by .5 ** (10 / 60) = .891 with each one more, so what four turns weighed, 33.9, is more
    # than two turns of anger (26.9 to 18.9) and less than three (24.0 to 26.8).
    (shift,) = find_shifts(heard("nnnn" + "aaaaaaaa"))
    assert shift == MoodShift(turn_id=7, at_s=70.0, speaker=None, before="n", after="a")


def test_what_returns_too_soon_is_no_shift() -> None:
    assert find_shifts(heard("nnnnnnnn" + "a" + "nnnnnnnn")) == []


def test_the_first_mood_is_no_shift() -> None:
    assert find_shifts(heard("jjjjjjjjjj")) == []


def test_what_the_end_cuts_off_is_no_shift() -> None:
    shifted = heard("nnnn" + "aaaaaaaa")
    assert find_shifts(shifted[:8]) == []
    assert len(find_shifts(shifted[:9])) == 1


def test_short_turns_must_also_last_long_enough() -> None:
    quick = heard("nnnn" + "aaaaaaaa", seconds=1.0)
    assert find_shifts(quick) == []


def test_a_speaker_has_shifts_of_their_own() -> None:
    ana = heard("nnnn" + "aaaaaaaa", speaker="Ana")
    ben = [
        TurnMood(100 + turn.turn_id, turn.start_s, turn.end_s + 60.0, "Ben", {"n": 1.0})
        for turn in heard("nnnnnnnnnnnn")
    ]
    both = [turn for pair in zip(ana, ben, strict=True) for turn in pair]
    assert [(shift.speaker, shift.after) for shift in find_shifts(both)] == [("Ana", "a")]


def test_a_turn_that_is_not_believed_proves_nothing() -> None:
    shifted = heard("nnnn" + "aaaaaaaa")
    guesses = [replace(turn, believed={}) if turn.turn_id > 8 else turn for turn in shifted]
    assert find_shifts(shifted)
    assert not find_shifts(guesses)


def test_no_turns_have_no_shifts() -> None:
    assert find_shifts([]) == []


@given(st.text("nja", max_size=60), st.floats(0.1, 30.0))
def test_shifts_follow_one_another_and_never_turn_into_what_was(emotions: str, seconds: float) -> None:
    turns = heard(emotions, seconds)
    shifts = find_shifts(turns)
    for shift in shifts:
        assert shift.before != shift.after
        assert turns[-1].end_s - shift.at_s >= STAYS_S
        assert len(turns) - shift.turn_id >= STAYS_TURNS - 1
    for earlier, later in pairwise(shifts):
        assert earlier.after == later.before
        assert earlier.turn_id < later.turn_id


def test_a_shift_is_proven_after_three_turns_and_twenty_seconds_and_not_before() -> None:
    """Long turns of anger outweigh what was before at once, so the counting starts with the first of them."""
    calm = TurnMood(1, 0.0, 9.0, None, {"n": 1.0})
    settled = [calm, TurnMood(2, 9.0, 10.0, None, {"n": 1.0}), TurnMood(3, 10.0, 30.0, None, {"n": 1.0})]

    def angry(*ends_s: float) -> list[TurnMood]:
        return [TurnMood(10 + place, end_s - 9.0, end_s, None, {"a": 9.0}) for place, end_s in enumerate(ends_s)]

    shift = MoodShift(turn_id=10, at_s=40.0, speaker=None, before="n", after="a")
    assert find_shifts([*settled, *angry(40.0, 50.0, 60.0)]) == [shift]
    assert find_shifts([*settled, *angry(40.0, 50.0, 59.9)]) == []
    assert find_shifts([*settled, *angry(40.0, 60.0)]) == []
    assert find_shifts([*settled, *angry(40.0, 41.0, 42.0, 60.0)]) == [shift]


def test_shifts_at_one_moment_are_in_order_the_room_s_first() -> None:
    alone = [
        TurnMood(turn.turn_id, turn.start_s, turn.end_s, "Ana", turn.believed) for turn in heard("nnnn" + "aaaaaaaa")
    ]
    assert [(shift.turn_id, shift.speaker) for shift in find_shifts(alone)] == [(7, None), (7, "Ana")]
