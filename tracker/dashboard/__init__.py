"""The full-screen view of a running session, for a terminal."""

from emotrack.tracker.dashboard.screen import Controls, Dashboard
from emotrack.tracker.dashboard.state import DashboardState
from emotrack.tracker.dashboard.summary import summary
from emotrack.tracker.dashboard.view import render

__all__ = ["Controls", "Dashboard", "DashboardState", "render", "summary"]
