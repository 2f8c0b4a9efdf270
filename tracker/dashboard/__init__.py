"""The full-screen view of a running session, for a terminal."""

from emotrack.tracker.dashboard.keys import KeyControls, ReplayControls
from emotrack.tracker.dashboard.screen import Dashboard
from emotrack.tracker.dashboard.state import DashboardState, Playback
from emotrack.tracker.dashboard.summary import summary
from emotrack.tracker.dashboard.view import render

__all__ = ["Dashboard", "DashboardState", "KeyControls", "Playback", "ReplayControls", "render", "summary"]
