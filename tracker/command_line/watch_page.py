"""``emotrack watch --web``: the page of sites that are tracked elsewhere, from the topics of a broker alone."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import UTC, datetime
from typing import Final

from emotrack.tracker.dashboard.naming import NewName
from emotrack.tracker.dashboard.palette import ALARM
from emotrack.tracker.dashboard.state import NAME_CHARS, NOTICE_CHARS
from emotrack.tracker.dashboard.view import state_chip
from emotrack.tracker.events import Event
from emotrack.tracker.interrupts import stopped_by_signals
from emotrack.tracker.messages.notices import Notice, NoticeBoard
from emotrack.tracker.messages.output import say
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.payloads import PayloadError
from emotrack.tracker.mqtt.watching.watched import KINDS, MAX_SITES, WatchedSite, WatchedSites
from emotrack.tracker.web.feed import Feed
from emotrack.tracker.web.figures import FiguresOf, looks
from emotrack.tracker.web.messages import Correct, Deed, PauseListening, Rename, SiteList, SiteTile, Wish
from emotrack.tracker.web.server import WebServer

KEEP_EVENTS: Final = 2_000  # of each site
KEEP_BYTES: Final = 2_000_000
MAX_FEEDS: Final = 2 * MAX_SITES  # those of sites that a viewer has asked for included
_KEPT: Final = "Nothing is recorded here."  # what is done where the session runs, a watcher cannot know


class WatchedPages:
    """What the page shows of the sites of a broker: each, and all of them as tiles."""

    may: tuple[Deed, ...] = ("rename", "correct", "pause", "stop")
    microphone = None

    def __init__(self, broker: Broker, only: str | None) -> None:
        """``only`` is the one site that is watched; None: all of them."""
        self._only = only
        self._broker = str(broker)
        self._sites = WatchedSites(self._broker, self._take)
        self._feeds: dict[str, tuple[Feed, FiguresOf]] = {}
        self._all = Feed()
        self._notices = NoticeBoard()
        self.connection = Connection(
            broker,
            f"emotrack-watch-{secrets.token_hex(4)}",
            on_message=self._receive,
            subscriptions=[(topics.of_sites(kind, only), 1) for kind in KINDS],
        )

    def notice(self, notice: Notice) -> None:
        """Show a notice on the terminal and on the page."""
        say(notice.line)
        self._notices.put(notice, time.monotonic())

    def feed(self, site: str | None, /) -> tuple[str | None, Feed]:
        name = self._only if site is None else site
        if name is None or (name not in self._feeds and len(self._feeds) >= MAX_FEEDS):
            return None, self._all
        return name, self._feed_of(name)[0]  # also of a site that is yet to say something

    def follow(self, site: str | None, wish: Wish, /) -> None:
        watched = self._site(site)
        if watched is None:
            raise ValueError("nothing is known of this site")
        try:
            match wish:
                case Rename():
                    command = watched.renaming(NewName(wish.speaker, wish.name))
                case Correct():
                    command = watched.labelling(wish.turn_id, wish.emotion)
                case PauseListening():
                    command = watched.pausing(wish.paused)
                case _:
                    command = watched.stopping()
        except PayloadError as error:
            raise ValueError(str(error)) from None
        self.connection.publish(command)

    def refresh(self) -> None:
        now, connected = time.monotonic(), self.connection.connected
        notice = self._notices.line(now)
        for site in self._sites.sites:
            site.judge(now, connected=connected)
            feed, figures = self._feed_of(site.name)
            if not feed.is_read:
                continue
            told = figures.now(site.state, site.status, (feed.end, site.standing), site.state.notice or notice)
            feed.tell("figures", told.to_json())
        if self._only is None:
            sites = [_tile(site) for site in self._sites.sites]
            labels = looks(label for site in self._sites.sites for label in site.state.labels)
            shown = plain(notice, NOTICE_CHARS) if notice else None if connected else "Waiting for the broker."
            told_sites = SiteList(sites=tuple(sites), labels=labels, notice=shown).to_json()
            for feed in (self._all, *(feed for feed, _ in self._feeds.values())):
                feed.tell("sites", told_sites)

    def _site(self, name: str | None) -> WatchedSite | None:
        return next((site for site in self._sites.sites if site.name == name), None)

    def _feed_of(self, name: str) -> tuple[Feed, FiguresOf]:
        if name not in self._feeds:
            self._feeds[name] = Feed(KEEP_EVENTS, KEEP_BYTES), FiguresOf(_KEPT)
        return self._feeds[name]

    def _take(self, site: str, event: Event) -> None:
        self._feed_of(site)[0].add(event)

    def _receive(self, message: Message) -> None:
        self._sites.receive(message, time.monotonic(), datetime.now(UTC))


def _tile(site: WatchedSite) -> SiteTile:
    words, style = state_chip(site.state, site.status)
    standing = site.standing
    emotion, mood = (standing.emotion, standing.mood) if standing else (None, None)
    return SiteTile(
        site=site.name,
        doing=words,
        is_alarm=style == ALARM,
        emotion=plain(emotion, NAME_CHARS) if emotion else None,
        confidence=standing.confidence if standing else None,
        uncertain=bool(standing and standing.uncertain),
        mood=plain(mood, NAME_CHARS) if mood else None,
        turns=standing.turns if standing else site.state.turn_count,
    )


async def run_watch_page(pages: WatchedPages, server: WebServer) -> None:
    """Serve the page until Ctrl-C. Raises ``BrokerError`` if the broker turns us away."""
    loop = asyncio.get_running_loop()
    serving = loop.create_task(server.run())
    connected = loop.create_task(pages.connection.run())
    ended = asyncio.Event()
    connected.add_done_callback(lambda _: ended.set())
    with stopped_by_signals(ended.set):
        try:
            await ended.wait()
        finally:
            await server.close()
            await serving
            await pages.connection.close()
            await connected
