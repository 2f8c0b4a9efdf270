"""The sites that have a session, or are about to: opening, taking over, making room, closing and forgetting them."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from emotrack.errors import EmotrackError
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.format.audio_topics import AudioTopics
from emotrack.tracker.mqtt.format.payloads import Snapshot
from emotrack.tracker.mqtt.ownership.claims import Claims, TakenError
from emotrack.tracker.mqtt.ownership.forget import forget
from emotrack.tracker.mqtt.publishing.options import Publishing, Serving
from emotrack.tracker.mqtt.sites.absent import AbsentSites
from emotrack.tracker.mqtt.sites.group import Group
from emotrack.tracker.mqtt.sites.site import Site, SiteOptions
from emotrack.tracker.mqtt.sites.site_errors import SiteErrors
from emotrack.tracker.mqtt.sites.site_source import SiteSource
from emotrack.tracker.understanding.engine import Engine

_log = logging.getLogger(__name__)

SILENT_S: Final = 10.0  # a site where nobody has spoken for so long makes room for another


class OpenSites:
    """The open sites by their names, each tracked by a task of its own; a site opens once nobody else serves it."""

    def __init__(
        self,
        engine: Engine,
        publishing: Publishing,
        options: SiteOptions,
        audio_topics: AudioTopics,
        connection: Connection,
        claims: Claims,
        group: Group | None,
    ) -> None:
        self.sites: dict[str, Site] = {}
        self.absent = AbsentSites()
        self.errors = SiteErrors(self.sites, connection)
        self.delivered: set[bool] = set()
        """Whether the broker took anything, of all sites that have closed."""
        self.is_stopping = False
        """Whether no more sites are to open."""
        self._engine = engine
        self._publishing = publishing
        self._options = options
        self._audio_topics = audio_topics
        self._connection = connection
        self._claims = claims
        self._group = group
        self._opening: dict[str, SiteSource] = {}  # once it is certain that no other worker serves them
        self._tracking: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[object]] = set()

    def source_of(self, name: str) -> SiteSource | None:
        """Where the audio of a site goes that is open, or about to be."""
        site = self.sites.get(name)
        return site.source if site else self._opening.get(name)

    def open(self, name: str, source: SiteSource, hermes: str | None = None, snapshot: Snapshot | None = None) -> None:
        """Open a site unless another worker serves it; ``hermes`` is the session of the assistant that asked for it."""
        self._opening[name] = source
        self._tracking[name] = asyncio.create_task(self._obtain_and_track(name, source, hermes, snapshot))

    def start(self, name: str, hermes_session: str | None) -> None:
        """Somebody wants the site to be tracked."""
        self.absent.starts(name)
        site = self.sites.get(name)
        if site is not None:
            site.start_again = site.controls.is_stopping
        elif (
            name not in self._opening
            and not (self._group and self._group.is_taken(name))
            and not self.is_full(name, None)  # which may close another site
        ):
            self.open(name, SiteSource(name, self._options.idle_s), hermes_session)

    def stop(self, name: str) -> None:
        """Somebody wants the site to be tracked no more."""
        self.absent.hold(name)
        if (site := self.sites.get(name)) is not None:
            site.start_again = False
            site.controls.stop("stopped")

    def forget(self, name: str) -> None:
        """End the site's session, if it has one, and let nothing of it remain on the broker."""
        self.stop(name)
        ending = asyncio.create_task(self._clear_away(name, self._tracking.get(name)))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def resume(self, name: str, snapshot: Snapshot | None) -> None:
        """Take over the site of a worker that has died."""
        if self.source_of(name) is not None or self.is_full(name, None):
            return
        if snapshot is None:
            _log.info("%s: taken over; nothing is known of the conversation so far", name)
            self.open(name, SiteSource(name, self._options.idle_s))
        else:
            _log.info("%s: taken over after turn %d from %s", name, snapshot.turns_heard, snapshot.worker)
            source = SiteSource(name, self._options.idle_s, snapshot.stream_s)
            self.open(name, source, snapshot.hermes_session or None, snapshot)

    def leave(self, name: str, worker: str) -> None:
        """Another worker has taken the site."""
        if (site := self.sites.get(name)) is not None:
            _log.info("%s: taken over by another worker, %s", name, worker)
            site.start_again = False
            site.sink.mute()
            site.controls.stop("taken_over")
            self.absent.leave_alone(name)

    def is_full(self, name: str, topic: str | None) -> bool:
        """Whether there is no place for the site, not even that of another where nobody has ever spoken."""
        open_ones = [site for site in self.sites.values() if not site.controls.is_stopping]
        full = len(open_ones) + len(self._opening) >= self._options.max_sites
        if full and (silent := next((site for site in open_ones if site.is_silent_for(SILENT_S)), None)):
            _log.info("%s: nobody has spoken there; its place goes to another site", silent.name)
            silent.controls.stop("displaced")
            full = False
        if full:
            line = f"{len(open_ones)} sites are open; there is room for no more"
            self.errors.report(name, "too_many_sites", line, topic)
        return full or self.is_stopping

    async def close(self, reason: str) -> None:
        """End every session in order."""
        for site in self.sites.values():
            site.start_again = False
            if self._goes_on_elsewhere:
                site.sink.hand_over()
            site.controls.stop(reason)
        for name in self._opening:
            self._tracking.pop(name).cancel()
        await asyncio.gather(*self._tracking.values())
        await asyncio.gather(*self._ending)

    def cancel(self) -> None:
        """End every session at once."""
        for tracking in self._tracking.values():
            tracking.cancel()

    @property
    def _goes_on_elsewhere(self) -> bool:
        """Whether this worker leaves and others of its group go on with its sites."""
        return self.is_stopping and self._group is not None and self._group.has_others

    async def _obtain_and_track(
        self, name: str, source: SiteSource, hermes_session: str | None, snapshot: Snapshot | None
    ) -> None:
        """Open a site if no other worker serves it, and track it to its end."""
        try:
            taken_by = await self._claims.obtain(name)
        finally:
            del self._opening[name]
        if taken_by is not None or self.absent.is_held(name) or self.is_stopping:
            del self._tracking[name]
            self._claims.release(name)
            if taken_by is not None:
                self._refuse(name, taken_by)
            return
        self.absent.opens(name)
        losses = self.errors.of(name)
        losses.dropped = source.dropped
        group = self._group.name if self._group else None
        serving = Serving(self._claims, losses, group, hermes_session, snapshot)
        try:
            site = Site(name, source, self._engine, self._publishing, self._options, serving)
        except EmotrackError as error:
            del self._tracking[name]
            self._claims.release(name)
            self.absent.hold(name)  # each message of audio would fail again
            self.errors.failed(name, error)
        else:
            self.sites[name] = site
            await self._track(site)

    async def _track(self, site: Site) -> None:
        audio = self._audio_topics.of(site.name) if self._group else []
        try:
            for topic_filter in audio:
                await self._connection.subscribe(topic_filter, 0)
            _log.info("%s: listening", site.name)
            await site.run()
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not end the others' sessions
            self.errors.failed(site.name, error)
        finally:
            del self.sites[site.name], self._tracking[site.name]
            self.delivered.add(site.sink.has_delivered)
            _log.info("%s: closed after %d turns", site.name, site.status.tally.turns)
            for topic_filter in audio:
                await self._connection.unsubscribe(topic_filter)
            if not self._goes_on_elsewhere:
                self._claims.release(site.name)
        if site.start_again:
            self.start(site.name, None)

    def _refuse(self, name: str, worker: str) -> None:
        """Another worker serves the site: leave it alone for a while, and say so the first time."""
        if self.absent.leave_alone(name):
            line = str(TakenError(name, worker))
            self.errors.report(name, "served_elsewhere", line, None)
            _log.warning("%s", line)

    async def _clear_away(self, name: str, tracking: asyncio.Task[None] | None) -> None:
        if tracking:
            await asyncio.wait([tracking])
        self._claims.release(name, is_forgotten=True)
        try:
            await forget(self._publishing.broker, f"{self._publishing.worker}-forget", name)
            _log.info("%s: forgotten", name)
        except EmotrackError as error:
            _log.warning("%s: could not be forgotten: %s", name, error)
