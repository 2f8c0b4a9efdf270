"""Voices of overlapping windows are stitched into voices of the stream."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.speakers.activity import MEMORY_S, Activity
from emotrack.tracker.speakers.networks import FRAMES, STEP, VOICES

HOP = 60  # frames from one window to the next, about a second


def window(truth: NDArray[np.bool_], first: int, order: tuple[int, ...]) -> NDArray[np.bool_]:
    """What a perfect network would say of the window that begins at ``first``: its voices in any ``order``."""
    frames = truth[first : first + FRAMES]  # (frames, people)
    found = np.zeros((len(frames), VOICES), dtype=bool)
    for place, person in enumerate(order):
        found[:, place] = frames[:, person]
    return found


def people(frames: int, *spans: tuple[int, int, int]) -> NDArray[np.bool_]:
    truth = np.zeros((frames, 3), dtype=bool)
    for person, start, end in spans:
        truth[start:end, person] = True
    return truth


@pytest.mark.parametrize("seed", range(5))
def test_voices_keep_their_numbers_however_a_window_orders_them(seed: int) -> None:
    truth = people(2000, (0, 0, 500), (1, 450, 900), (0, 880, 1300), (2, 1300, 1700), (1, 1350, 2000))
    activity, random = Activity(), np.random.default_rng(seed)
    for first in range(0, 2000 - FRAMES + 1, HOP):
        activity.add(first, window(truth, first, tuple(random.permutation(3))))
    last = (2000 - FRAMES) // HOP * HOP + FRAMES
    found = activity.between(0, last)
    assert sorted(found) == [0, 1, 2]
    for person in range(3):
        assert any(np.array_equal(frames, truth[:last, person]) for frames in found.values())


def test_most_windows_decide_where_they_disagree() -> None:
    truth = people(800, (0, 0, 800))
    activity = Activity()
    for first in (0, 60, 120):
        heard = window(truth, first, (0,))
        if first == 60:
            heard[200:300] = False  # this one heard a break
        activity.add(first, heard)
    (frames,) = activity.between(120, 580).values()
    assert frames.all()


def test_somebody_who_is_back_after_a_while_is_a_voice_of_its_own() -> None:
    truth = people(2000, (0, 0, 300), (0, 1500, 1900))
    activity = Activity()
    for first in range(0, 2000 - FRAMES + 1, HOP):
        activity.add(first, window(truth, first, (0,)))
    assert len(activity.between(0, 1900)) == 2, "which voice print tells that they are one, not this"


def test_a_click_is_no_new_voice() -> None:
    activity = Activity()
    activity.add(0, window(people(FRAMES, (0, 0, 500), (1, 200, 204)), 0, (0, 1)))
    assert len(activity.between(0, FRAMES)) == 1


def test_what_is_long_past_is_forgotten_and_memory_stays() -> None:
    activity = Activity()
    memory = round(MEMORY_S * SAMPLE_RATE / STEP)
    for first in range(0, 20 * memory, FRAMES):
        activity.add(first, np.ones((FRAMES, VOICES), dtype=bool))
        assert len(activity.between(first, first + FRAMES)) <= 2 * VOICES
        assert activity._votes.shape[0] <= (memory // FRAMES + 2) * VOICES
        assert activity._votes.shape[1] == memory
    assert activity.between(0, FRAMES) == {}
    (frames, *_) = activity.between(first - memory, first + FRAMES).values()
    assert len(frames) == memory + FRAMES
    assert not frames[0]


def test_the_stream_may_go_on_much_later() -> None:
    activity = Activity()
    activity.add(0, np.ones((FRAMES, VOICES), dtype=bool))
    activity.add(100 * FRAMES, np.ones((FRAMES, 1), dtype=bool) & np.array([[True, False, False]]))
    (voice,) = activity.between(100 * FRAMES, 101 * FRAMES)
    assert voice == VOICES, "no number is given twice"


def test_two_voices_that_are_joined_are_one_from_then_on() -> None:
    truth = people(400, (0, 0, 200), (1, 150, 400))
    activity = Activity()
    activity.add(0, window(truth, 0, (0, 1, 2)))
    activity.join(0, 1)
    found = activity.between(0, 400)
    assert list(found) == [0]
    np.testing.assert_array_equal(found[0], truth.any(axis=1))
    activity.add(300, window(truth, 300, (1, 0, 2)))
    assert list(activity.between(0, 400)) == [0], "what the next window hears there is the same voice, too"
