"""Percentiles, against what the definition gives by hand."""

from __future__ import annotations

import pytest

from emotrack.tracker.summary.percentile import percentile


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([30.0, 10.0, 20.0], 50) == 20.0
    assert percentile([10.0, 20.0], 95) == pytest.approx(19.5)
    assert percentile(iter([7.0]), 95) == 7.0


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 50) is None
