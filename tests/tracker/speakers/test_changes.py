"""Where a voice passes to another though segmentation heard one: made prints, directions around that of each person."""

from __future__ import annotations

import numpy as np
import pytest

from emotrack.tracker.speakers.changes import DISTINCT, UNLIKE, HeardTurns
from emotrack.tracker.speakers.networks import VoicePrint, of_length_one

ANA, BEN, CLEO = np.eye(3, 8, dtype=np.float32)  # (8,) each


def like(person: VoicePrint, other: VoicePrint, share: float) -> VoicePrint:
    """A voice that is mostly a ``person``'s and has a ``share`` of another's, so that both sound alike."""
    return of_length_one((1.0 - share) * person + share * other)


def alike(one: VoicePrint, other: VoicePrint, likeness: float) -> VoicePrint:
    """A print, as like ``one`` as is said, and else like ``other``."""
    return likeness * one + np.sqrt(1.0 - likeness**2) * other


def heard(*turns: VoicePrint) -> HeardTurns:
    before = HeardTurns()
    for place, print_ in enumerate(turns):
        before.remember(100 * (place + 1), [print_])
    return before


@pytest.mark.parametrize(("likeness", "changes"), [(UNLIKE - 0.01, [(0, 1)]), (UNLIKE + 0.01, [])])
def test_where_nobody_is_known_only_pieces_that_are_unlike_are_two_peoples(
    likeness: float, changes: list[tuple[int, int]]
) -> None:
    assert HeardTurns().changes(0, [ANA, alike(ANA, BEN, likeness)]) == changes
    assert heard(ANA).changes(1000, [ANA, alike(ANA, BEN, likeness)]) == changes, "nor does one turn tell"


def test_two_who_sound_alike_are_told_apart_by_turns_of_each() -> None:
    ana, ben = like(ANA, BEN, 0.3), like(BEN, ANA, 0.3)
    assert ana @ ben > 0.7
    known = heard(ANA, BEN, ANA, BEN, ANA, BEN)
    assert known.changes(1000, [ana, ana, ben, ben]) == [(1, 2)]
    assert known.changes(1000, [ana, ben]) == [(0, 1)]
    assert HeardTurns().changes(0, [ana, ana, ben, ben]) == []


def test_whose_voice_changes_with_an_emotion_goes_on() -> None:
    """Both sides are like the same turns before, and neither like somebody else's."""
    calm, excited = ANA, alike(ANA, CLEO, 0.5)
    known = heard(ANA, BEN, ANA, BEN, ANA, BEN)
    assert known.changes(1000, [calm, calm, excited, excited]) == []
    assert known.changes(1000, [calm]) == known.changes(1000, []) == []


def test_how_distinct_both_must_be() -> None:
    known = heard(ANA, BEN, ANA, BEN)
    for share, changes in ((0.46, []), (0.44, [(0, 1)])):
        ana, ben = like(ANA, BEN, share), like(BEN, ANA, share)
        distinct = 2.0 * float((ANA - BEN) @ ana)  # each side is so much more like its own turns
        assert (distinct >= DISTINCT) == bool(changes), distinct
        assert known.changes(1000, [ana, ben]) == changes


def test_a_piece_that_holds_both_voices_lies_between() -> None:
    both = like(ANA, BEN, 0.5)
    assert HeardTurns().changes(0, [ANA, both, BEN]) == [(0, 2)]
    assert heard(ANA, BEN, ANA, BEN).changes(1000, [ANA, ANA, both, BEN]) == [(1, 3)]


def test_three_people_are_two_changes() -> None:
    assert HeardTurns().changes(0, [ANA, BEN, BEN, CLEO]) == [(0, 1), (2, 3)]


def test_turns_that_had_not_ended_are_not_compared() -> None:
    ana, ben = like(ANA, BEN, 0.3), like(BEN, ANA, 0.3)
    known = heard(ANA, BEN, ANA, BEN)  # which end at 100, 200, 300 and 400
    assert known.changes(400, [ana, ben]) == [(0, 1)]
    assert known.changes(199, [ana, ben]) == []


def test_what_was_heard_long_ago_is_forgotten() -> None:
    ana, ben = like(ANA, BEN, 0.3), like(BEN, ANA, 0.3)
    assert heard(ANA, BEN, *[CLEO] * 1000).changes(10**6, [ana, ben]) == []


def test_a_turn_is_known_by_all_its_pieces() -> None:
    known = HeardTurns()
    known.remember(100, [ANA, ANA, CLEO])
    known.remember(200, [BEN, BEN, CLEO])
    ana, ben = like(ANA, BEN, 0.3), like(BEN, ANA, 0.3)
    assert known.changes(200, [ana, ben]) == [(0, 1)]
