"""``emotrack replay``: the dashboard again, fed from a saved session at the pace of the conversation."""

from __future__ import annotations

import asyncio
import bisect
import os
import sys

from rich.console import Console

from emotrack.errors import UsageError
from emotrack.tracker.dashboard import Dashboard, DashboardState, Playback
from emotrack.tracker.dashboard.terminal import has_keys
from emotrack.tracker.interrupts import stopped_by_signals
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.sessions.reading.reader import Session
from emotrack.tracker.sessions.replay.replay_timeline import Playhead, TimedEvent, moments

TICK_S = 0.05  # between looks at the clock; the screen is drawn less often
KEEP_EVERY = 5_000  # events after which a picture is kept to go back to; they take a tenth of a second
NEAR_TURNS = 8  # turns that may overlap a moment: no more people speak at once


def run_replay(session: Session, speed: float) -> int:
    """Show ``session`` again until the viewer quits; returns the exit code.

    Without a keyboard it ends with the session. Raises ``UsageError`` where there is no terminal to show it on.
    """
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        raise UsageError("replay needs a terminal; emotrack export writes a session in other formats")
    asyncio.run(_Replay(session, speed).run())
    return 0


class _Replay:
    """A playhead, what it passes, and the dashboard that shows it; these are the controls that the keys act on."""

    def __init__(self, session: Session, speed: float) -> None:
        self._moments: list[TimedEvent] = moments(session)
        self._times = [moment.at_s for moment in self._moments]
        self._turns = sorted(session.turns, key=lambda turn: turn.end_s)
        self._head = Playhead(max(session.seconds, *self._times[-1:], 0.0), speed)
        self._shown = 0
        self._kept: dict[int, DashboardState] = {}  # by how many events are in it
        self._stops_at_end = not has_keys(sys.stdin)
        self._stopping = False
        self._pressed = asyncio.Event()
        marks_s = tuple(mark.at_s for mark in session.marks)
        self._playback = Playback(str(session.path), self._head.length_s, speed, marks_s)
        self._status = LiveStatus()
        if session.ended is not None:
            self._status.dropped_frames = session.ended.dropped_frames
            self._status.dropped_turns = session.ended.dropped_turns
            self._status.text_skipped = session.ended.text_skipped
        site = next((moment.event.site for moment in self._moments), "default")
        self._dashboard = Dashboard(
            site=site, status=self._status, controls=self, console=Console(), playback=self._playback
        )
        self._dashboard.state.notice = "; ".join(session.problems) or None

    async def run(self) -> None:
        """Play until the viewer has had enough."""
        with stopped_by_signals(self.stop):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._dashboard.run())
                tasks.create_task(self._play())

    async def _play(self) -> None:
        clock = asyncio.get_running_loop().time
        before = clock()
        while not self._stopping:
            now = clock()
            self._head.advance(now - before)
            before = now
            self._show()
            if self._stops_at_end and self._head.at_end:
                break
            try:
                async with asyncio.timeout(TICK_S):
                    await self._pressed.wait()
            except TimeoutError:
                continue
            self._pressed.clear()
            self._show()
            self._dashboard.refresh()
        await self._dashboard.close()

    def _show(self) -> None:
        """Bring the dashboard to where the playhead is; backwards, by playing from a picture before it again."""
        head = self._head
        reached = bisect.bisect_right(self._times, head.position_s)
        if reached < self._shown:
            self._shown = max((shown for shown in self._kept if shown <= reached), default=0)
            start = self._dashboard.state.before_any_event()
            self._dashboard.state = self._kept[self._shown].copy() if self._shown else start
        state = self._dashboard.state
        for place in range(self._shown, reached):
            if place and place % KEEP_EVERY == 0 and place not in self._kept:
                self._kept[place] = state.copy()
            state.apply(self._moments[place].event)
        self._shown = reached
        first = bisect.bisect_right(self._turns, head.position_s, key=lambda turn: turn.end_s)
        near = self._turns[first : first + NEAR_TURNS]
        self._status.stream_s = state.stream_s = head.position_s
        self._status.paused = head.paused
        self._status.speaking = (any(turn.start_s <= head.position_s for turn in near),)
        self._status.source_lost = state.lost_reason is not None
        self._playback.speed = head.speed

    # -- controls ------------------------------------------------------------------------------------------------
    # They only move the playhead: of a key held down the dashboard is brought along once, not for every repetition.

    def stop(self) -> None:
        self._stopping = True
        self._pressed.set()

    def toggle_pause(self) -> None:
        self._head.paused = not self._head.paused
        self._pressed.set()

    def seek(self, by_s: float) -> None:
        self._head.seek(by_s)
        self._pressed.set()

    def restart(self) -> None:
        self.seek(-self._head.length_s)

    def faster(self) -> None:
        self._head.faster()
        self._pressed.set()

    def slower(self) -> None:
        self._head.slower()
        self._pressed.set()
