"""Numbers in words."""

from __future__ import annotations

import math

import pytest

from emotrack.tracker.messages.wording import affect, clock, counted


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0:00"),
        (59.9, "0:59"),
        (61.0, "1:01"),
        (3599.0, "59:59"),
        (3600.0, "1:00:00"),
        (-1.0, "0:00"),
        (math.inf, "0:00"),
    ],
)
def test_stream_time_has_hours_from_an_hour_on(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_no_time_is_the_beginning() -> None:
    assert clock(math.inf) == clock(math.nan) == "0:00"


def test_one_thing_is_singular() -> None:
    assert [counted(count, "turn") for count in (0, 1, 2, 20_000)] == ["0 turns", "1 turn", "2 turns", "20,000 turns"]


@pytest.mark.parametrize(
    ("valence", "arousal", "said"),
    [
        (0.67, 0.46, "pleasant 0.7, aroused 0.5"),
        (-1.0, -0.1, "unpleasant 1.0, calm 0.1"),
        (0.09, -0.27, "calm 0.3"),
        (0.0, 0.0, ""),
        (None, None, ""),
    ],
)
def test_affect_is_said_of_what_is_not_in_the_middle(valence: float | None, arousal: float | None, said: str) -> None:
    assert affect(valence, arousal) == said
