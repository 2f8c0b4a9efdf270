"""What the tests of the examples share with those of the tracker."""

from __future__ import annotations

from tests.tracker.conftest import network  # noqa: F401 - a fixture
