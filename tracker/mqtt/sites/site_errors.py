"""What goes wrong at sites: counted for each, told on its topic, and once at the terminal."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from emotrack.errors import EmotrackError
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.format import channels
from emotrack.tracker.mqtt.format.payloads import ErrorCode, HermesError
from emotrack.tracker.mqtt.publishing.losses import Losses, Told
from emotrack.tracker.mqtt.sites.absent import MAX_REMEMBERED_SITES
from emotrack.tracker.mqtt.sites.site import Site

_log = logging.getLogger(__name__)

_LINE_CHARS: Final = 300


class SiteErrors:
    """The losses of all sites, the open ones and those that once were heard of."""

    def __init__(self, sites: Mapping[str, Site], connection: Connection) -> None:
        """``sites`` are those that are open at the moment."""
        self._sites = sites
        self._connection = connection
        self._losses: OrderedDict[str, Losses] = OrderedDict()
        self._told = Told()

    def of(self, name: str) -> Losses:
        """The counts of one site."""
        if name not in self._losses:
            self._losses[name] = Losses(name)
            if len(self._losses) > MAX_REMEMBERED_SITES + len(self._sites):
                del self._losses[next(known for known in self._losses if known not in self._sites)]
        return self._losses[name]

    def report(self, name: str, code: ErrorCode, line: str, topic: str | None, *, recoverable: bool = True) -> None:
        """Count what went wrong; tell it on the site's topic unless that was done a moment ago, here only once."""
        if recoverable and self._told.is_news(name, code):
            _log.warning("%s: %s", name, line)
        site = self._sites.get(name)
        session = site.status.session if site else None
        if told := self.of(name).report(code, line, topic, session, recoverable=recoverable):
            (site.sink if site else self._connection).publish(channels.to_message(told))

    def failed(self, name: str, error: Exception) -> None:
        """A site's session has failed, or could not begin."""
        line = str(error) if isinstance(error, EmotrackError) else f"failed: {error!r}"
        _log.warning("%s: %s", name, line)
        self.report(name, "failed", line[:_LINE_CHARS], None, recoverable=False)
        site = self._sites.get(name)
        if site and site.hermes_session is not None:
            failure = HermesError(site_id=name, session_id=site.hermes_session, error=line[:_LINE_CHARS])
            self._connection.publish(channels.to_message(failure))
