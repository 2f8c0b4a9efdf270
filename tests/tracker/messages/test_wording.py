"""Numbers in words."""

from __future__ import annotations

import math

import pytest

from emotrack.tracker.messages.wording import clock, counted


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
