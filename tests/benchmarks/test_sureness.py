"""What is counted of turns in the benchmark of sureness."""

from __future__ import annotations

from benchmarks.sureness import Sureness
from tests.tracker.dashboard.made_up import turn


def test_only_certain_turns_count_as_unhappy() -> None:
    turns = [
        turn(1, emotion="fear", uncertain=True, doubt="short"),
        turn(2, emotion="fear"),
        turn(3, emotion="joy"),
        turn(4, emotion="anger", uncertain=True),
    ]
    found = Sureness.of(turns)
    assert (found.turns, found.certain, found.unhappy, dict(found.doubts)) == (4, 2, [turns[1]], {"short": 1})
    assert found.row("voice") == "| voice | 4 | 2 | short 1 | 1 (25.0%) |"
    assert Sureness.of([]).row("voice") == "| voice | 0 | 0 |  | 0 (0.0%) |"
