"""The alternate screen of a terminal: drawn a few times a second, with keys, and everything put back after."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.live import Live

from emotrack.tracker.dashboard.frame import Frame
from emotrack.tracker.dashboard.terminal import keys_to, stderr_held, terminal_may_go

FRAMES_PER_SECOND = 6
REPAINT_S = 2.0  # an unchanged frame is drawn again so often, over whatever else has written to the terminal


class Canvas:
    """Shows what ``picture`` paints for a width and a height, and hands the keys to ``on_key``.

    The screen is a lossy observer: a slow terminal sees fewer frames and delays nothing.
    """

    def __init__(self, console: Console, picture: Callable[[int, int], Frame], on_key: Callable[[str], None]) -> None:
        self._console = console
        self._picture = picture
        self._on_key = on_key
        self._changed = asyncio.Event()
        self._closed = False
        self._last: Frame | None = None
        self._painted_at = 0.0

    def refresh(self) -> None:
        """Draw at once, not with the next frame."""
        self._changed.set()

    def close(self) -> None:
        """End ``run``."""
        self._closed = True
        self._changed.set()

    async def run(self) -> None:
        """Draw until ``close`` or until the terminal is gone; afterwards, or when cancelled, it is as before."""
        with (
            terminal_may_go(),
            stderr_held(sys.stderr),
            keys_to(self._press, sys.stdin),
            Live(console=self._console, screen=True, auto_refresh=False, redirect_stderr=False) as live,
            ThreadPoolExecutor(1, "emotrack-screen") as painter,
        ):
            while not self._closed:
                await self._draw(live, painter)
                await self._until_next_frame()

    async def _draw(self, live: Live, painter: ThreadPoolExecutor) -> None:
        frame = self._picture(*self._console.size)
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
        self._on_key(key)
        self.refresh()
