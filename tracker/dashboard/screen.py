"""The dashboard on a terminal: a sink of events, and the keyboard's way to the session."""

from __future__ import annotations

import time

from rich.console import Console

from emotrack.tracker.dashboard.canvas import Canvas
from emotrack.tracker.dashboard.frame import Frame
from emotrack.tracker.dashboard.keys import KeyControls, ReplayControls, bindings
from emotrack.tracker.dashboard.naming import Naming, NewName
from emotrack.tracker.dashboard.state import DashboardState, Playback
from emotrack.tracker.dashboard.summary import summary
from emotrack.tracker.dashboard.terminal import terminal_may_go
from emotrack.tracker.dashboard.view import render
from emotrack.tracker.events import Event
from emotrack.tracker.messages.notices import Notice, NoticeBoard
from emotrack.tracker.session.status import Status


class Dashboard:
    """A sink of events that shows them, and the keyboard's way to the session.

    The caller runs ``run`` beside the pipeline, hands every event to ``emit`` and calls ``close`` after the last one;
    ``run`` then restores the terminal, leaves a summary on it and returns. Cancelling ``run`` does the same.
    ``playback`` tells that a saved session is shown again. ``notices`` holds what there is to say; without it the
    state's notice stays as it is.
    """

    def __init__(
        self,
        *,
        site: str,
        status: Status,
        controls: KeyControls | ReplayControls,
        console: Console,
        saved_to: str | None = None,
        playback: Playback | None = None,
        notices: NoticeBoard | None = None,
    ) -> None:
        self.state = DashboardState(site=site, saved_to=saved_to, playback=playback)
        self._status = status
        self._notices = notices
        self._console = console
        self._bindings = bindings(controls)
        self._rename = None if isinstance(controls, ReplayControls) else controls.rename
        self._canvas = Canvas(console, self._picture, self._press)

    async def emit(self, event: Event) -> None:
        """Show an event with the next frame."""
        self.state.apply(event)

    async def close(self) -> None:
        """No event follows: end ``run``."""
        self._canvas.close()

    def refresh(self) -> None:
        """Draw at once, not with the next frame."""
        self._canvas.refresh()

    async def run(self) -> None:
        """Draw until ``close``; afterwards the terminal is as before, with a summary below what was there."""
        try:
            await self._canvas.run()
        finally:
            self._observe()
            with terminal_may_go():
                self._console.print(summary(self.state))

    def _picture(self, width: int, height: int) -> Frame:
        self._observe()
        return render(self.state, self._status, width, height)

    def _observe(self) -> None:
        if self._notices is not None:
            self.state.notice = self._notices.line(time.monotonic())
            for line in self._notices.unread():
                self.state.tell(line)
        self.state.observe(self._status)

    def _press(self, key: str) -> None:
        if self.state.naming is not None:
            self._name(self.state.naming.press(key))
            return
        key = key.lower()
        if key == "q":
            self.state.stopping = True
        if key == "n" and self._rename is not None:
            self.state.ask_for_name()
            if self.state.naming is None:
                self._say("nobody is known yet who could be named")
        if act := self._bindings.get(key):
            act()

    def _name(self, said: Naming | NewName | None) -> None:
        if not isinstance(said, NewName):
            self.state.naming = said
            return
        self.state.naming = None
        try:
            if self._rename is not None:
                self._rename(said.speaker, said.name)
        except ValueError as error:
            self._say(str(error))

    def _say(self, line: str) -> None:
        if self._notices is None:
            self.state.notice = line
        else:
            self._notices.put(Notice(line), time.monotonic())
