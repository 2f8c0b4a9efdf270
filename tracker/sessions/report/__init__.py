"""One self-contained web page of a saved session: it opens without a network and asks for none."""

from __future__ import annotations

from emotrack.tracker.sessions.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
