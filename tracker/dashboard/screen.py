"""The dashboard on the alternate screen of a terminal, drawn a few times a second."""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from rich.console import Console
from rich.live import Live

from emotrack.tracker.activity import Activity
from emotrack.tracker.dashboard.frame import Frame
from emotrack.tracker.dashboard.state import DashboardState
from emotrack.tracker.dashboard.summary import summary
from emotrack.tracker.dashboard.terminal import keys_to, stderr_held
from emotrack.tracker.dashboard.view import render
from emotrack.tracker.events import Event

FRAMES_PER_SECOND = 6
REPAINT_S = 2.0  # an unchanged frame is drawn again so often, over whatever else has written to the terminal


class Controls(Protocol):
    """What the keys can do to the session."""

    def stop(self) -> None:
        """Finish the turn under way and end the session."""

    def toggle_pause(self) -> None:
        """Stop listening, or listen again."""

    def mark(self) -> None:
        """Mark this moment."""


class Dashboard:
    """A sink of events that shows them, and the keyboard's way to the session.

    The caller runs ``run`` beside the pipeline, hands every event to ``emit`` and calls ``close`` after the last one;
    ``run`` then restores the terminal, leaves a summary on it and returns. Cancelling ``run`` does the same. The
    screen is a lossy observer: a slow terminal sees fewer frames and delays nothing.
    """

    def __init__(
        self, *, site: str, activity: Activity, controls: Controls, console: Console, saved_to: str | None = None
    ) -> None:
        self.state = DashboardState(site=site, saved_to=saved_to)
        self._activity = activity
        self._controls = controls
        self._console = console
        self._changed = asyncio.Event()
        self._closed = False
        self._last: Frame | None = None
        self._painted_at = 0.0

    async def emit(self, event: Event) -> None:
        """Show an event with the next frame."""
        self.state.apply(event)

    async def close(self) -> None:
        """No event follows: end ``run``."""
        self._closed = True
        self._changed.set()

    async def run(self) -> None:
        """Draw until ``close``; afterwards the terminal is as before, with a summary below what was there."""
        try:
            with (
                stderr_held(sys.stderr),
                keys_to(self._press, sys.stdin),
                Live(console=self._console, screen=True, auto_refresh=False, redirect_stderr=False) as live,
                ThreadPoolExecutor(1, "emotrack-screen") as painter,
            ):
                while not self._closed:
                    await self._draw(live, painter)
                    await self._until_next_frame()
        finally:
            self.state.observe(self._activity)
            self._console.print(summary(self.state))

    async def _draw(self, live: Live, painter: ThreadPoolExecutor) -> None:
        self.state.observe(self._activity)
        frame = render(self.state, self._activity, *self._console.size)
        now = time.monotonic()
        if frame == self._last and now - self._painted_at < REPAINT_S:
            return
        self._last, self._painted_at = frame, now
        # The terminal may be slow to take the bytes: that wait belongs to a thread, not to the event loop.
        await asyncio.get_running_loop().run_in_executor(painter, lambda: live.update(frame, refresh=True))

    async def _until_next_frame(self) -> None:
        try:
            async with asyncio.timeout(1 / FRAMES_PER_SECOND):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def _press(self, key: str) -> None:
        match key:
            case "q":
                self.state.stopping = True
                self._controls.stop()
            case "p":
                self._controls.toggle_pause()
            case "m":
                self._controls.mark()
            case _:
                return
        self._changed.set()  # a key press shows at once
