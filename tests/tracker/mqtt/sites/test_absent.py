"""Sites that audio alone does not open."""

from __future__ import annotations

import pytest

from emotrack.tracker.mqtt.sites import absent
from emotrack.tracker.mqtt.sites.absent import AbsentSites


def test_a_site_that_was_told_to_stop_stays_closed_until_it_is_told_to_start() -> None:
    sites = AbsentSites()
    sites.hold("kitchen")
    sites.opens("kitchen")
    assert sites.is_held("kitchen")
    assert not sites.is_held("hall")
    sites.starts("kitchen")
    assert not sites.is_held("kitchen")


def test_a_site_that_is_served_elsewhere_is_news_once_and_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    sites = AbsentSites()
    assert sites.leave_alone("kitchen")
    assert not sites.leave_alone("kitchen")
    assert sites.is_elsewhere("kitchen")
    now_s += absent.ASK_AGAIN_S
    assert not sites.is_elsewhere("kitchen")
    assert not sites.leave_alone("kitchen"), "it was told before"
    sites.opens("kitchen")
    assert not sites.is_elsewhere("kitchen")
    assert sites.leave_alone("kitchen")


def test_a_start_forgets_that_another_serves_it() -> None:
    sites = AbsentSites()
    sites.leave_alone("kitchen")
    sites.starts("kitchen")
    assert not sites.is_elsewhere("kitchen")


def test_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absent, "MAX_REMEMBERED_SITES", 3)
    sites = AbsentSites()
    for number in range(5):
        sites.hold(f"site {number}")
        sites.leave_alone(f"room {number}")
    assert [number for number in range(5) if sites.is_held(f"site {number}")] == [2, 3, 4]
    assert [number for number in range(5) if sites.is_elsewhere(f"room {number}")] == [2, 3, 4]
