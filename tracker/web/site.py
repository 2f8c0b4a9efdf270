"""What the page shows: one session that runs here, or the sites that are tracked elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from emotrack.tracker.dashboard.state import DashboardState
from emotrack.tracker.events import Event
from emotrack.tracker.messages.notices import NoticeBoard
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.sources import Source
from emotrack.tracker.web.feed import Feed
from emotrack.tracker.web.figures import FiguresOf
from emotrack.tracker.web.messages import Correct, Deed, MarkMoment, PauseListening, Rename, Wish
from emotrack.tracker.web.microphone import WebMicrophone


class Shown(Protocol):
    """What the server shows to whoever comes."""

    may: tuple[Deed, ...]
    """The wishes that can be followed."""

    @property
    def microphone(self) -> WebMicrophone | None:
        """Where viewers may send audio."""

    def feed(self, site: str | None, /) -> tuple[str | None, Feed]:
        """What viewers of a site are told, and its name; without one, of the only site or of all of them."""

    def follow(self, site: str | None, wish: Wish, /) -> None:
        """Do what a viewer wishes. Raises ``ValueError`` where that cannot be, in one line."""

    def refresh(self) -> None:
        """Tell what holds now; called a few times a second while somebody looks."""


class LiveSite:
    """The session that runs here: a sink of its events, and its controls."""

    may: tuple[Deed, ...] = ("rename", "correct", "mark", "pause", "stop")

    def __init__(
        self,
        controls: Controls,
        kept: str,
        notices: NoticeBoard,
        source: Source | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``kept`` says what is recorded, ``notices`` are shown by the ``clock``; the ``source`` may want samples."""
        self.microphone = source if isinstance(source, WebMicrophone) else None
        self._controls = controls
        self._notices = notices
        self._clock = clock
        self._state = DashboardState(site=controls.status.site)
        self._figures = FiguresOf(kept, microphone=self.microphone is not None)
        self._feed = Feed()

    async def emit(self, event: Event) -> None:
        """Tell every viewer of an event, and wait for none."""
        self._state.apply(event)
        self._feed.add(event)

    async def close(self) -> None:
        """The last event was told; the figures once more."""
        self.refresh()

    def feed(self, _site: str | None) -> tuple[str | None, Feed]:
        return self._controls.status.site, self._feed

    def follow(self, _site: str | None, wish: Wish) -> None:
        controls = self._controls
        match wish:
            case Rename():
                controls.rename(wish.speaker, wish.name)
            case Correct():
                controls.correct(wish.turn_id, wish.emotion)
            case MarkMoment():
                controls.mark()
            case PauseListening():
                controls.pause(wish.paused)
            case _:
                self._state.stopping = True
                controls.stop()
        self.refresh()

    def refresh(self) -> None:
        connected = self.microphone is not None and self.microphone.is_connected
        notice = self._notices.line(self._clock())
        figures = self._figures.now(self._state, self._controls.status, self._feed.end, notice, is_connected=connected)
        self._feed.tell("figures", figures.to_json())
