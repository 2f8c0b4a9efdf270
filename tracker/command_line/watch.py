"""``emotrack watch``: the dashboard of sites that are tracked elsewhere, from the topics of a broker alone."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import time
from datetime import UTC, datetime

from rich.console import Console

from emotrack.errors import UsageError
from emotrack.tracker.command_line.broker_options import broker_options
from emotrack.tracker.command_line.page import page_address, page_server
from emotrack.tracker.dashboard.canvas import Canvas
from emotrack.tracker.dashboard.frame import Frame
from emotrack.tracker.dashboard.naming import Naming, NewName
from emotrack.tracker.dashboard.view import render as render_site
from emotrack.tracker.interrupts import stopped_by_signals
from emotrack.tracker.messages.notices import NoticeBoard, notices_to
from emotrack.tracker.mqtt.connection.broker import Broker, read_broker
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.watching.overview import Overview, grid
from emotrack.tracker.mqtt.watching.overview import render as render_overview
from emotrack.tracker.mqtt.watching.watched import KINDS, MAX_SITES, WatchedSite, WatchedSites


def run_watch(arguments: argparse.Namespace) -> int:
    """Show the sites until the viewer quits, in the terminal or on a page; returns the exit code.

    Raises ``UsageError`` where there is no terminal to show them on, ``BrokerError`` if the broker turns us away.
    """
    broker = read_broker(arguments.broker, broker_options(arguments))
    if (address := page_address(arguments)) is not None:
        from emotrack.tracker.command_line.watch_page import WatchedPages, run_watch_page

        pages = WatchedPages(broker, arguments.site)
        with notices_to(pages.notice):
            asyncio.run(run_watch_page(pages, page_server(address, pages)))
        return 0
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        raise UsageError("watch needs a terminal, or --web; any MQTT client can read the topics emotrack/#")
    asyncio.run(_Watch(broker, arguments.site, Console()).run())
    return 0


class _Watch:
    """A connection, what it tells of the sites, and the screen; the keys choose what is on it."""

    def __init__(self, broker: Broker, site: str | None, console: Console) -> None:
        self._broker = str(broker)
        self._console = console
        self._sites = WatchedSites(self._broker)
        self._chosen: str | None = site
        """The site that is open, or the one that the overview's mark is on."""
        self._only = site
        self._is_open = site is not None
        self._notices = NoticeBoard()
        self._connection = Connection(
            broker,
            f"emotrack-watch-{secrets.token_hex(4)}",
            on_message=self._receive,
            subscriptions=[(topics.of_sites(kind, site), 1) for kind in KINDS],
        )
        self._canvas = Canvas(console, self._picture, self._press)

    async def run(self) -> None:
        """Show until the viewer has had enough."""
        loop = asyncio.get_running_loop()
        connected = loop.create_task(self._connection.run())
        connected.add_done_callback(lambda _: self._canvas.close())
        with notices_to(lambda line: self._notices.put(line, time.monotonic())), stopped_by_signals(self._canvas.close):
            try:
                await self._canvas.run()
            finally:
                await self._connection.close()
                await connected

    # -- what comes in -------------------------------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        self._sites.receive(message, time.monotonic(), datetime.now(UTC))

    # -- what is shown -------------------------------------------------------------------------------------------

    def _picture(self, width: int, height: int) -> Frame:
        overview = self._overview()
        if not self._is_open or not overview.sites:
            return render_overview(overview, width, height)
        site = overview.sites[overview.chosen]
        site.state.notice = site.state.notice or overview.notice
        site.watching.place = "" if self._only else f"{overview.chosen + 1} of {len(overview.sites)}"
        return render_site(site.state, site.status, width, height)

    def _overview(self) -> Overview:
        sites, connected, now = self._sites.sites, self._connection.connected, time.monotonic()
        for site in sites:
            site.judge(now, connected=connected)
        chosen = next((number for number, site in enumerate(sites) if site.name == self._chosen), 0)
        return Overview(sites, chosen, self._broker, connected, self._notice_now(now), now)

    def _notice_now(self, now: float) -> str | None:
        if (line := self._notices.line(now)) is not None:
            return line
        if self._sites.ignored:
            return f"more than {MAX_SITES} sites: the others are left out; --site NAME shows one of them"
        if self._sites.unreadable:
            return f"{self._sites.unreadable} messages could not be read; they may come from another version"
        return None

    def _press(self, key: str) -> None:
        overview = self._overview()
        site = overview.sites[overview.chosen] if self._is_open and overview.sites else None
        if site is not None and site.state.naming is not None:
            self._name(site, site.state.naming.press(key))
        elif site is not None and key in {"n", "N"}:
            site.state.ask_for_name()
        else:
            self._go(key.lower())

    def _name(self, site: WatchedSite, said: Naming | NewName | None) -> None:
        site.state.naming = said if isinstance(said, Naming) else None
        if isinstance(said, NewName):
            self._connection.publish(site.renaming(said))

    def _go(self, key: str) -> None:
        if key == "q":
            self._canvas.close()
        elif key in {"backspace", "a"}:
            self._is_open = self._only is not None
        elif key == "enter":
            self._is_open = True
        elif key.isdecimal():
            self._choose(int(key) - 1, opened=True)
        else:
            self._move(key)

    def _move(self, key: str) -> None:
        overview = self._overview()
        columns = 1 if self._is_open else grid(overview, *self._console.size).columns
        by = {"right": 1, "tab": 1, "left": -1, "down": columns, "up": -columns}.get(key, 0)
        number = overview.chosen + by
        self._choose(number % max(1, len(overview.sites)) if abs(by) == 1 else number, opened=self._is_open)

    def _choose(self, number: int, *, opened: bool) -> None:
        if 0 <= number < len(self._sites.sites):
            self._chosen = self._sites.sites[number].name
            self._is_open = opened
