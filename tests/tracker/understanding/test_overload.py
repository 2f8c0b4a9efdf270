"""When things are left out, and when they come back."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from emotrack.tracker.understanding.overload import (
    CALM_S,
    LATE_LOOKS,
    LOOK_EVERY_S,
    MAX_CALM_S,
    Lateness,
    LeftOut,
    Overload,
    OverloadPolicy,
)

WELL = Lateness(0.0, 0.0)
FAR_TOO_LATE = Lateness(9.0, 9.0)


class Looks:
    """A policy that looks as often as the tracker does."""

    def __init__(self) -> None:
        self.policy = OverloadPolicy()
        self.now_s = 100.0

    def take(self, lateness: Lateness, seconds: float = LOOK_EVERY_S) -> list[LeftOut]:
        """Look for ``seconds``; the levels that were entered or left for."""
        levels = []
        for _ in range(round(seconds / LOOK_EVERY_S)):
            self.now_s += LOOK_EVERY_S
            if self.policy.look(lateness, self.now_s):
                levels.append(self.policy.level)
        return levels


@pytest.mark.parametrize(
    ("lateness", "level"),
    [
        (Lateness(0.15, 0.7), LeftOut.NOTHING),
        (Lateness(0.22, 0.0), LeftOut.SPEAKERS),
        (Lateness(0.0, 0.9), LeftOut.SPEAKERS),
        (Lateness(0.3, 0.0), LeftOut.EXTRAS),
        (Lateness(0.0, 1.5), LeftOut.EXTRAS),
        (Lateness(1.2, 0.0), LeftOut.WORDS),
        (Lateness(0.0, 60.0), LeftOut.WORDS),
        (Lateness(3.0, 0.0), LeftOut.SHORT_TURNS),
        (Lateness(0.0, 0.0, 0.9), LeftOut.NOTHING),
        (Lateness(0.0, 0.0, 1.1), LeftOut.SPEAKERS),
        (Lateness(0.0, 0.0, 1.6), LeftOut.EXTRAS),
        (Lateness(0.0, 0.0, 2.1), LeftOut.WORDS),
        (Lateness(0.0, 0.0, 2.6), LeftOut.SHORT_TURNS),
    ],
)
def test_the_later_things_are_the_more_is_left_out(lateness: Lateness, level: LeftOut) -> None:
    looks = Looks()
    assert looks.take(lateness, 10.0) == list(LeftOut)[1 : level + 1], "what is missed least comes first"
    assert looks.policy.level == level


def test_a_stall_of_the_whole_machine_costs_nothing() -> None:
    looks = Looks()
    assert LATE_LOOKS == 2
    assert looks.take(WELL, 5) + looks.take(FAR_TOO_LATE) + looks.take(WELL, 5) + looks.take(FAR_TOO_LATE) == []


def test_it_recovers_by_itself_one_level_after_the_other() -> None:
    looks = Looks()
    looks.take(FAR_TOO_LATE, 2.0)
    assert looks.take(WELL, CALM_S - LOOK_EVERY_S) == []
    levels = [LeftOut.WORDS, LeftOut.EXTRAS, LeftOut.SPEAKERS, LeftOut.NOTHING]
    assert looks.take(WELL, 4 * CALM_S + 1) == levels


def test_just_below_a_bound_is_not_well() -> None:
    looks = Looks()
    looks.take(Lateness(0.3, 0.0), 1.0)
    assert looks.take(Lateness(0.2, 0.0), 60.0) == []
    assert looks.take(Lateness(0.1, 0.0), 6.0) == [LeftOut.SPEAKERS]
    assert looks.take(Lateness(0.1, 0.0), 60.0) == []
    assert looks.take(Lateness(0.09, 0.0), 6.0) == [LeftOut.NOTHING]


def test_relapses_make_it_wait_longer_and_are_forgotten() -> None:
    looks, waits = Looks(), []
    for _ in range(6):
        looks.take(Lateness(0.22, 0.0), 1.0)
        began_s = looks.now_s
        while not looks.take(WELL):
            pass
        waits.append(looks.now_s - began_s)
    assert waits == pytest.approx([5, 10, 20, 40, 40, 40], abs=2)
    looks.take(WELL, MAX_CALM_S)
    looks.take(Lateness(0.22, 0.0), 1.0)
    assert looks.take(WELL, CALM_S + 1) == [LeftOut.NOTHING]


@given(st.lists(st.builds(Lateness, st.floats(0, 5), st.floats(0, 20)), max_size=200))
def test_whatever_happens_it_goes_step_by_step_and_comes_back(lateness: list[Lateness]) -> None:
    looks = Looks()
    levels = [LeftOut.NOTHING]
    for one in lateness:
        levels += looks.take(one)
    assert all(abs(after - before) == 1 for before, after in pairwise(levels))
    looks.take(WELL, 4 * MAX_CALM_S)
    assert looks.policy.level == LeftOut.NOTHING


def test_whoever_watches_is_told_once_of_each_change(notices: list[str]) -> None:
    async def watch() -> tuple[list[LeftOut], list[LeftOut]]:
        early, late = list[LeftOut](), list[LeftOut]()
        overload = Overload(lambda: FAR_TOO_LATE)
        reached = {level: asyncio.Event() for level in LeftOut}
        with overload.watched_by(early.append), overload.watched_by(lambda level: reached[level].set()):
            await reached[LeftOut.WORDS].wait()
            with overload.watched_by(late.append):
                await reached[LeftOut.SHORT_TURNS].wait()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with overload.watched_by(late.append):
            assert overload.level == LeftOut.NOTHING, "whoever comes when nobody is left begins anew"
        return early, late

    early, late = asyncio.run(watch())
    assert early == [LeftOut.SPEAKERS, LeftOut.EXTRAS, LeftOut.WORDS, LeftOut.SHORT_TURNS]
    assert late == [LeftOut.WORDS, LeftOut.SHORT_TURNS]
    assert len(notices) == 4


def test_an_event_loop_that_is_blocked_counts_as_late() -> None:
    async def block() -> LeftOut:
        overload = Overload(lambda: WELL)
        with overload.watched_by(lambda _: None):
            for _ in range(8):
                await asyncio.sleep(LOOK_EVERY_S / 2)
                time.sleep(0.6)  # noqa: ASYNC251 - which is the point
            return overload.level

    assert asyncio.run(block()) >= LeftOut.EXTRAS


@pytest.mark.parametrize(
    ("encoding_s", "recognition_s", "level"),
    [
        (0.2, 0.0, LeftOut.SPEAKERS),
        (0.0, 0.8, LeftOut.SPEAKERS),
        (0.25, 0.0, LeftOut.EXTRAS),
        (0.0, 1.0, LeftOut.EXTRAS),
        (1.0, 0.0, LeftOut.WORDS),
        (0.0, 4.0, LeftOut.WORDS),
        (2.0, 0.0, LeftOut.SHORT_TURNS),
    ],
)
def test_on_a_bound_it_is_late(encoding_s: float, recognition_s: float, level: LeftOut) -> None:
    assert Lateness(encoding_s, recognition_s).calls_for() == level
    less = Lateness(max(0.0, encoding_s - 0.01), max(0.0, recognition_s - 0.01))
    assert less.calls_for() == level - 1
    half = Lateness(encoding_s / 2, recognition_s / 2)
    assert half.calls_for(share=0.5) == level, "with bounds of half the size"
    assert half.calls_for() < level


@pytest.mark.parametrize(
    ("hearing_s", "level"),
    [(1.0, LeftOut.SPEAKERS), (1.5, LeftOut.EXTRAS), (2.0, LeftOut.WORDS), (2.5, LeftOut.SHORT_TURNS)],
)
def test_on_a_bound_hearing_is_late(hearing_s: float, level: LeftOut) -> None:
    assert Lateness(0.0, 0.0, hearing_s).calls_for() == level
    assert Lateness(0.0, 0.0, hearing_s - 0.01).calls_for() == level - 1
    assert Lateness(0.0, 0.0, hearing_s / 2).calls_for(share=0.5) == level


def test_a_relapse_is_one_within_forty_seconds() -> None:
    for pause_s, calm_s in ((MAX_CALM_S - 1.0, 2 * CALM_S), (MAX_CALM_S + 1.0, CALM_S)):
        policy = OverloadPolicy()
        for now_s in (100.0, 100.25):
            policy.look(Lateness(0.22, 0.0), now_s)
        assert policy.level == LeftOut.SPEAKERS
        assert policy.look(WELL, 100.25 + CALM_S), "well for exactly as long as it takes"
        again_s = 100.25 + CALM_S + pause_s
        policy.look(Lateness(0.22, 0.0), again_s - 0.25)
        assert policy.look(Lateness(0.22, 0.0), again_s)
        assert not policy.look(WELL, again_s + calm_s - 0.01)
        assert policy.look(WELL, again_s + calm_s)


def test_a_late_look_in_between_is_forgotten() -> None:
    looks = Looks()
    for _ in range(5):
        assert looks.take(FAR_TOO_LATE) == []
        assert looks.take(WELL) == []
    assert looks.take(FAR_TOO_LATE, 2 * LOOK_EVERY_S) == [LeftOut.SPEAKERS]
