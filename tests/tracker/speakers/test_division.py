"""Parts of turns, and where a turn under way has passed to somebody else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrack.tracker.speakers.activity import Activity
from emotrack.tracker.speakers.division import frames, parts, passed_on
from emotrack.tracker.speakers.networks import FRAMES, VOICES

ANA, BEN = 0, 1


def heard(*spans: tuple[int, float, float]) -> Activity:
    """Ten seconds in which these voices are active from .. to, in seconds."""
    active: NDArray[np.bool_] = np.zeros((FRAMES, VOICES), dtype=bool)
    for voice, start_s, end_s in spans:
        active[frames(start_s) : frames(end_s), voice] = True
    activity = Activity()
    activity.add(0, active)
    return activity


def of(activity: Activity, start_s: float, end_s: float) -> list[tuple[int | None, float, float]]:
    return [
        (part.voice, round(part.start * 0.016875, 1), round(part.end * 0.016875, 1))
        for part in parts(activity, frames(start_s), frames(end_s))
    ]


def test_each_voice_has_its_part() -> None:
    activity = heard((ANA, 1.0, 3.0), (BEN, 3.2, 5.0))
    assert of(activity, 1.0, 5.0) == [(ANA, 1.0, 3.0), (BEN, 3.2, 5.0)]
    assert of(activity, 1.0, 2.5) == [(ANA, 1.0, 2.5)], "no part reaches beyond the turn"


def test_a_breath_does_not_divide_and_a_break_does() -> None:
    assert of(heard((ANA, 1.0, 2.0), (ANA, 2.3, 4.0)), 1.0, 4.0) == [(ANA, 1.0, 4.0)]
    assert of(heard((ANA, 1.0, 2.0), (ANA, 2.6, 4.0)), 1.0, 4.0) == [(ANA, 1.0, 2.0), (ANA, 2.6, 4.0)]


def test_nobody_heard_is_one_part_of_nobody() -> None:
    (part,) = parts(heard(), frames(2.0), frames(4.0))
    assert (part.voice, part.start, part.end, part.overlap) == (None, frames(2.0), frames(4.0), 0.0)
    assert part.clean.all()


def test_speech_that_segmentation_misses_is_not_lost() -> None:
    activity = heard((ANA, 1.0, 3.0), (BEN, 6.0, 7.0))
    assert of(activity, 1.0, 9.0) == [(ANA, 1.0, 3.0), (None, 3.0, 6.0), (BEN, 6.0, 7.0), (None, 7.0, 9.0)]
    assert of(activity, 1.0, 7.6) == [(ANA, 1.0, 3.0), (None, 3.0, 6.0), (BEN, 6.0, 7.0)], (
        "silence after a turn is none"
    )


def test_what_is_shorter_than_a_fifth_of_a_second_is_no_part() -> None:
    assert of(heard((ANA, 1.0, 4.0), (BEN, 2.0, 2.15)), 1.0, 4.0) == [(ANA, 1.0, 4.0)]
    assert of(heard((ANA, 1.0, 4.0), (BEN, 4.5, 4.75)), 1.0, 5.0)[1][0] == BEN


def test_overlap_is_measured_and_is_not_clean() -> None:
    ana, ben = parts(heard((ANA, 1.0, 5.0), (BEN, 4.0, 6.0)), frames(1.0), frames(6.0))
    assert ana.overlap == pytest.approx(0.25, abs=0.01)
    assert ben.overlap == pytest.approx(0.5, abs=0.01)
    assert ana.clean.sum() == pytest.approx(frames(3.0), abs=2)
    assert ben.clean.sum() == pytest.approx(frames(1.0), abs=2)
    assert not ben.clean[: frames(1.0) - 1].any()


@pytest.mark.parametrize("gap_s", [-0.8, 0.0, 0.3, 0.6])
def test_a_turn_passes_on_when_somebody_else_has_taken_over(gap_s: float) -> None:
    activity = heard((ANA, 1.0, 4.0), (BEN, 4.0 + gap_s, 8.0))
    found = passed_on(activity, frames(1.0), frames(6.0))
    assert found is not None
    (ana,) = parts(activity, frames(1.0), found.settled)
    assert (ana.voice, ana.start, ana.end) == (ANA, frames(1.0), frames(4.0))
    assert found.goes_on_from == frames(min(4.0, 4.0 + gap_s)), "of overlapping speech both have theirs"
    rest = parts(activity, found.goes_on_from, frames(8.0), found.settled)
    assert [(part.voice, part.start) for part in rest] == [(BEN, frames(4.0 + gap_s))], "Ana's end is hers once"
    assert passed_on(activity, found.goes_on_from, frames(7.0), found.settled) is None


def test_it_has_not_passed_on_before_the_first_has_been_silent_for_a_breath() -> None:
    activity = heard((ANA, 1.0, 4.0), (BEN, 3.9, 8.0))
    assert passed_on(activity, frames(1.0), frames(4.3)) is None
    assert passed_on(activity, frames(1.0), frames(4.5)) is not None


def test_an_uh_huh_of_another_cuts_nobody_off() -> None:
    activity = heard((ANA, 1.0, 9.0), (BEN, 4.0, 4.5))
    assert passed_on(activity, frames(1.0), frames(8.0)) is None
    assert of(activity, 1.0, 9.0) == [(ANA, 1.0, 9.0)], "it is no turn either"
    assert of(heard((ANA, 1.0, 9.0), (BEN, 4.0, 5.5)), 1.0, 9.0) == [(ANA, 1.0, 9.0), (BEN, 4.0, 5.5)]


def test_one_speaker_alone_is_never_cut() -> None:
    assert passed_on(heard((ANA, 0.0, 9.0)), 0, frames(8.0)) is None
    assert passed_on(heard((ANA, 0.0, 3.0)), 0, frames(8.0)) is None, "silence ends a turn, not this"


def test_a_turn_passes_on_to_somebody_who_has_spoken_in_it_before() -> None:
    activity = heard((ANA, 1.0, 2.0), (BEN, 2.1, 4.0), (ANA, 4.2, 8.0))
    found = passed_on(activity, frames(1.0), frames(6.0))
    assert found is not None
    assert (found.goes_on_from, found.settled) == (frames(4.0), frames(4.0))
    before = [(part.voice, part.start) for part in parts(activity, frames(1.0), found.settled)]
    assert before == [(ANA, frames(1.0)), (BEN, frames(2.1))]


def test_a_breath_during_an_uh_huh_of_another_cuts_nobody_off() -> None:
    activity = heard((ANA, 1.0, 4.0), (BEN, 4.0, 4.3), (ANA, 4.35, 9.0))
    assert passed_on(activity, frames(1.0), frames(8.0)) is None


@pytest.mark.parametrize(
    "said", [((ANA, 1.0, 4.0), (ANA, 4.5, 9.0)), ((ANA, 1.0, 4.0), (BEN, 4.1, 4.7), (ANA, 4.9, 9.0))]
)
def test_what_is_divided_in_the_end_is_divided_as_soon_as_it_is_over(
    said: tuple[tuple[int, float, float], ...],
) -> None:
    """A longer silence in which somebody laughs or says "uh-huh", so that the turn itself goes on."""
    activity = heard(*said)
    found = passed_on(activity, frames(1.0), frames(6.0))
    assert found is not None
    before = parts(activity, frames(1.0), found.settled)
    after = parts(activity, found.goes_on_from, frames(9.0), found.settled)
    whole = parts(activity, frames(1.0), frames(9.0))
    assert [(part.voice, part.start, part.end) for part in [*before, *after]] == [
        (part.voice, part.start, part.end) for part in whole
    ]
