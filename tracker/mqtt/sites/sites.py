"""Many microphones on one broker: each site is a conversation of its own, all share the loaded models.

    audio messages ──> SiteSource ──> LiveSession ──> MqttSink     for every site
    commands, Hermes' start and stop ──> open, close, control

A site opens with its first message of audio, or when it is told to start, unless another worker serves it; it closes
when it is told to stop, or after some minutes without audio. In a group of workers a site opens only when told, as each
start reaches one of them.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final

from emotrack.errors import EmotrackError
from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.format.audio_topics import AudioTopics
from emotrack.tracker.mqtt.format.payloads import (
    COMMANDS,
    MAX_NAME_CHARS,
    ErrorCode,
    Hermes,
    HermesError,
    PayloadError,
    Snapshot,
    StartListening,
    StopListening,
    parse,
)
from emotrack.tracker.mqtt.ownership.claims import Claims, TakenError
from emotrack.tracker.mqtt.ownership.forget import forget
from emotrack.tracker.mqtt.publishing import commands
from emotrack.tracker.mqtt.publishing.controls import ClosedControls, SessionControls
from emotrack.tracker.mqtt.publishing.losses import Losses, Told
from emotrack.tracker.mqtt.publishing.sink import Publishing
from emotrack.tracker.mqtt.sites.audio_payload import MAX_AUDIO_BYTES, AudioPayloadError
from emotrack.tracker.mqtt.sites.group import Group
from emotrack.tracker.mqtt.sites.site import Site, SiteOptions
from emotrack.tracker.mqtt.sites.site_source import SiteSource
from emotrack.tracker.understanding.engine import Engine

MAX_REMEMBERED_SITES: Final = 1024  # names of sites that have no session
ASK_AGAIN_S: Final = 30.0  # after another tracker has said that it serves a site
SILENT_S: Final = 10.0  # a site where nobody has spoken for so long makes room for another


class Sites:
    """The conversations of all sites, and the connection on which their audio and commands come in."""

    def __init__(
        self,
        engine: Engine,
        broker: Broker,
        publishing: Publishing,
        options: SiteOptions,
        audio_topics: AudioTopics,
        group: str | None,
        notify: Callable[[str], None],
        on_ready: Callable[[], None],
    ) -> None:
        """``on_ready`` is called once, when the broker is reached."""
        self._engine = engine
        self._publishing = publishing
        self._options = options
        self._audio_topics = audio_topics
        self._notify = notify
        self._sites: dict[str, Site] = {}
        self._opening: dict[str, SiteSource] = {}  # once it is certain that no other worker serves them
        self._tracking: dict[str, asyncio.Task[None]] = {}
        self._held: OrderedDict[str, None] = OrderedDict()  # told to stop: audio alone does not open them again
        self._elsewhere: OrderedDict[str, float] = OrderedDict()  # served by others, and when to ask again
        self._ending: set[asyncio.Task[object]] = set()
        self._losses: OrderedDict[str, Losses] = OrderedDict()
        self._told = Told()
        self._delivered: set[bool] = set()  # whether the broker took anything, of all sites that have closed
        self._on_ready = on_ready
        self._is_ready = False
        self._stopping = asyncio.Event()
        self._end_reason = ""
        self._group = Group(group, publishing.worker, self._resume, self._leave) if group is not None else None
        self._claims = self._group.claims if self._group else Claims(publishing.worker, None, self._leave)
        self._connection = Connection(
            broker,
            publishing.worker,
            notify=notify,
            on_message=self._receive,
            on_connected=self._connected,
            on_lost=self._group.on_lost if self._group else None,
            subscriptions=self._subscriptions(),
            will=self._group.will if self._group else None,
        )
        self._claims.connection = self._connection
        if self._group:
            self._group.connection = self._connection

    async def run(self) -> None:
        """Serve until ``stop``. Raises ``BrokerError`` when the broker turns us away."""
        serving = asyncio.ensure_future(self._connection.run())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for site in self._sites.values():
                site.start_again = False
                if self._goes_on_elsewhere:
                    site.sink.hand_over()
                site.controls.stop(self._end_reason)
            for name in self._opening:
                self._tracking.pop(name).cancel()
            await asyncio.gather(*self._tracking.values())
            await asyncio.gather(*self._ending)
            if self._group:
                self._group.say_goodbye()
            await self._connection.close()
            await serving
        finally:
            serving.cancel()
            stopping.cancel()
            for tracking in self._tracking.values():
                tracking.cancel()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def has_told_nobody(self) -> bool:
        """Whether there were sites, and nothing of any of them could be delivered."""
        return self._delivered == {False}

    def stop(self, reason: str) -> None:
        """End every session in order, then ``run``."""
        self._end_reason = reason
        self._stopping.set()

    @property
    def _goes_on_elsewhere(self) -> bool:
        """Whether this worker leaves and others of its group go on with its sites."""
        return self.is_stopping and self._group is not None and self._group.has_others

    def _connected(self) -> None:
        self._claims.on_connected()
        if self._group:
            self._group.on_connected()
        if not self._is_ready:
            self._is_ready = True
            self._on_ready()

    # -- what arrives --------------------------------------------------------------------------------------------

    def _subscriptions(self) -> list[tuple[str, int]]:
        audio = [(topic_filter, 0) for topic_filter in self._audio_topics.filters]
        if not self._options.takes_commands:
            return [*self._claims.subscriptions, *audio]
        stops = [(topics.HERMES_STOP_LISTENING, 1)]
        if self._group:
            others = [(topics.of_sites(f"cmd/{name}", None), 1) for name in COMMANDS if name != "start"]
            return [*self._claims.subscriptions, *self._group.subscriptions, *stops, *others]
        starts = [(topics.HERMES_START_LISTENING, 1), (topics.ANY_COMMAND, 1)]
        return [*self._claims.subscriptions, *audio, *starts, *stops]

    def _receive(self, message: Message) -> None:
        if self._claims.receive(message) or (self._group and self._group.receive(message)):
            return
        if message.retain and not topics.is_command(message.topic):
            self._leave_out(message)
        elif message.topic == topics.HERMES_START_LISTENING:
            self._hermes(message, StartListening)
        elif message.topic == topics.HERMES_STOP_LISTENING:
            self._hermes(message, StopListening)
        elif (site := self._audio_topics.site(message.topic)) is not None:
            self._hear(site, message)
        elif topics.is_command(message.topic) and (split := topics.split(message.topic)):
            self._command(split[0], message)

    def _leave_out(self, message: Message) -> None:
        """What the broker kept was said before anybody listened, and would be said again at every start."""
        name = self._audio_topics.site(message.topic) or topics.DEFAULT_SITE
        line = "a retained message is not taken for something said now; send it without the retain flag"
        self._report(name[:MAX_NAME_CHARS], "retained", line, message.topic)

    def _hear(self, name: str, message: Message) -> None:
        if len(name) > MAX_NAME_CHARS:
            self._report(name[:MAX_NAME_CHARS], "too_large", "the name of the site is too long", message.topic)
            return
        if not self._is_ours(name):
            return
        if len(message.payload) > MAX_AUDIO_BYTES:
            reason = f"{len(message.payload)} bytes of audio in one message; at most {MAX_AUDIO_BYTES} can be"
            self._report(name, "too_large", reason, message.topic)
            return
        site = self._sites.get(name)
        source = site.source if site else self._opening.get(name)
        is_new = source is None
        if source is None:
            if name in self._held or self._group or self._is_elsewhere(name) or self._is_full(name, message.topic):
                return
            source = SiteSource(name, self._options.idle_s)
        try:
            source.put(message.payload, message.content_type, _sample_number(message), message.arrived_s)
        except AudioPayloadError as error:
            code: ErrorCode = "unsupported_format" if error.unsupported else "bad_audio"
            self._report(name, code, str(error), message.topic)
            return
        if is_new:
            self._open(name, source)
        elif source.pace.is_doubled:
            line = f"audio comes {source.pace.of_two:.1f} times as fast as it is spoken: do two microphones send here?"
            self._report(name, "two_senders", line, message.topic)

    def _hermes(self, message: Message, kind: type[StartListening | StopListening]) -> None:
        try:
            request: Hermes = parse(kind, message.payload)
        except PayloadError as error:
            self._report(topics.DEFAULT_SITE, "bad_payload", str(error), message.topic)
            return
        name, hermes_session = request.site_id, request.session_id or ""
        if not self._is_ours(name):
            return
        if isinstance(request, StartListening):
            self._start(name, hermes_session)
        elif (site := self._sites.get(name)) is None or hermes_session in {"", site.hermes_session}:
            self._stop(name)

    def _command(self, name: str, message: Message) -> None:
        if len(name) > MAX_NAME_CHARS:
            self._report(name[:MAX_NAME_CHARS], "too_large", "the name of the site is too long", message.topic)
            return
        site = self._sites.get(name)
        if not self._is_ours(name) or (site is None and not self._answers_for(name, message.topic.rpartition("/")[2])):
            return
        controls: commands.Controls = ClosedControls(lambda: self._start(name, None), lambda: self._forget(name))
        if site is not None and not site.controls.is_stopping:
            controls = SessionControls(site.status.session, site.controls, site.sink.forget, lambda: self._forget(name))
        outcome = commands.follow(message, name, controls, self._connection.publish)
        if outcome.complaint is not None:
            self._report(name, "bad_command", outcome.complaint, message.topic)
        if outcome.done and message.topic.endswith("/stop"):
            self._hold(name)

    def _is_ours(self, name: str) -> bool:
        """Whether the site is one of those that are to be served here."""
        return not self._options.only or any(fnmatchcase(name, pattern) for pattern in self._options.only)

    def _answers_for(self, name: str, command: str) -> bool:
        """Whether a command to a site that is closed here is this worker's to answer, and not another's."""
        if self._group is None:
            return command == "start" or self._claims.known.of(name) is None
        return command == "start" or (command == "forget" and self._group.is_first_for(name))

    # -- opening and closing -------------------------------------------------------------------------------------

    def _start(self, name: str, hermes_session: str | None) -> None:
        self._held.pop(name, None)
        self._elsewhere.pop(name, None)
        site = self._sites.get(name)
        if site is not None:
            site.start_again = site.controls.is_stopping
        elif (
            name not in self._opening
            and not (self._group and self._group.is_taken(name))
            and not self._is_full(name, None)  # which may close another site
        ):
            self._open(name, SiteSource(name, self._options.idle_s), hermes_session)

    def _stop(self, name: str) -> None:
        self._hold(name)
        if (site := self._sites.get(name)) is not None:
            site.start_again = False
            site.controls.stop("stopped")

    def _hold(self, name: str) -> None:
        self._held[name] = None
        if len(self._held) > MAX_REMEMBERED_SITES:
            self._held.popitem(last=False)

    def _is_elsewhere(self, name: str) -> bool:
        return time.monotonic() < self._elsewhere.get(name, 0.0)

    def _refuse(self, name: str, worker: str) -> None:
        """Another worker serves the site: leave it alone for a while, and say so the first time."""
        if name not in self._elsewhere:
            self._report(name, "served_elsewhere", str(TakenError(name, worker)), None)
            self._notify(str(TakenError(name, worker)))
        self._elsewhere[name] = time.monotonic() + ASK_AGAIN_S
        self._elsewhere.move_to_end(name)
        if len(self._elsewhere) > MAX_REMEMBERED_SITES:
            self._elsewhere.popitem(last=False)

    def _is_full(self, name: str, topic: str | None) -> bool:
        """Whether there is no place for the site, not even that of another where nobody has ever spoken."""
        open_ones = [site for site in self._sites.values() if not site.controls.is_stopping]
        full = len(open_ones) + len(self._opening) >= self._options.max_sites
        if full and (silent := next((site for site in open_ones if site.is_silent_for(SILENT_S)), None)):
            self._notify(f"{silent.name}: nobody has spoken there; its place goes to another site")
            silent.controls.stop("displaced")
            full = False
        if full:
            self._report(name, "too_many_sites", f"{len(open_ones)} sites are open; there is room for no more", topic)
        return full or self.is_stopping

    def _resume(self, name: str, snapshot: Snapshot | None) -> None:
        """Take over the site of a worker that has died."""
        if name in self._sites or name in self._opening or not self._is_ours(name) or self._is_full(name, None):
            return
        if snapshot is None:
            self._notify(f"{name}: taken over; nothing is known of the conversation so far")
            self._open(name, SiteSource(name, self._options.idle_s))
        else:
            self._notify(f"{name}: taken over after turn {snapshot.turns_heard} from {snapshot.worker}")
            source = SiteSource(name, self._options.idle_s, snapshot.stream_s)
            self._open(name, source, snapshot.hermes_session or None, snapshot)

    def _leave(self, name: str, worker: str) -> None:
        """Another worker has taken the site."""
        if (site := self._sites.get(name)) is not None:
            self._notify(f"{name}: taken over by another worker, {worker}")
            site.start_again = False
            site.sink.mute()
            site.controls.stop("taken_over")
            self._elsewhere[name] = time.monotonic() + ASK_AGAIN_S

    def _forget(self, name: str) -> None:
        """End the site's session, if it has one, and let nothing of it remain on the broker."""
        self._stop(name)
        ending = asyncio.create_task(self._clear_away(name, self._tracking.get(name)))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _clear_away(self, name: str, tracking: asyncio.Task[None] | None) -> None:
        if tracking:
            await asyncio.wait([tracking])
        self._claims.release(name, is_forgotten=True)
        try:
            await forget(self._publishing.broker, f"{self._publishing.worker}-forget", name, self._notify)
            self._notify(f"{name}: forgotten")
        except EmotrackError as error:
            self._notify(f"{name}: could not be forgotten: {error}")

    def _open(
        self, name: str, source: SiteSource, hermes_session: str | None = None, snapshot: Snapshot | None = None
    ) -> None:
        self._opening[name] = source
        self._tracking[name] = asyncio.create_task(self._obtain_and_track(name, source, hermes_session, snapshot))

    async def _obtain_and_track(
        self, name: str, source: SiteSource, hermes_session: str | None, snapshot: Snapshot | None
    ) -> None:
        """Open a site if no other worker serves it, and track it to its end."""
        try:
            taken_by = await self._claims.obtain(name)
        finally:
            del self._opening[name]
        if taken_by is not None or name in self._held or self.is_stopping:
            del self._tracking[name]
            self._claims.release(name)
            if taken_by is not None:
                self._refuse(name, taken_by)
            return
        self._elsewhere.pop(name, None)
        losses = self._losses_of(name)
        losses.dropped = source.dropped
        try:
            site = Site(
                name,
                source,
                self._engine,
                self._publishing,
                self._options,
                losses,
                claims=self._claims,
                group=self._group.name if self._group else None,
                hermes_session=hermes_session,
                snapshot=snapshot,
                notify=self._notify,
            )
        except EmotrackError as error:
            del self._tracking[name]
            self._claims.release(name)
            self._hold(name)  # each message of audio would fail again
            self._failed(name, error)
        else:
            self._sites[name] = site
            await self._track(site)

    async def _track(self, site: Site) -> None:
        audio = self._audio_topics.of(site.name) if self._group else []
        try:
            for topic_filter in audio:
                await self._connection.subscribe(topic_filter, 0)
            self._notify(f"{site.name}: listening")
            await site.run()
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not end the others' sessions
            self._failed(site.name, error)
        finally:
            del self._sites[site.name], self._tracking[site.name]
            self._delivered.add(site.sink.has_delivered)
            self._notify(f"{site.name}: closed after {site.status.tally.turns} turns")
            for topic_filter in audio:
                await self._connection.unsubscribe(topic_filter)
            if not self._goes_on_elsewhere:
                self._claims.release(site.name)
        if site.start_again:
            self._start(site.name, None)

    # -- what goes wrong -----------------------------------------------------------------------------------------

    def _failed(self, name: str, error: Exception) -> None:
        line = str(error) if isinstance(error, EmotrackError) else f"failed: {error!r}"
        self._notify(f"{name}: {line}")
        self._report(name, "failed", line[:300], None, recoverable=False)
        site = self._sites.get(name)
        if site and site.hermes_session is not None:
            failure = HermesError(site_id=name, session_id=site.hermes_session, error=line[:300])
            self._connection.publish(channels.to_message(failure))

    def _report(self, name: str, code: ErrorCode, line: str, topic: str | None, *, recoverable: bool = True) -> None:
        """Count what went wrong; tell it on the site's topic unless that was done a moment ago, here only once."""
        if recoverable and self._told.is_news(name, code):
            self._notify(f"{name}: {line}")
        site = self._sites.get(name)
        session = site.status.session if site else None
        if told := self._losses_of(name).report(code, line, topic, session, recoverable=recoverable):
            (site.sink if site else self._connection).publish(channels.to_message(told))

    def _losses_of(self, name: str) -> Losses:
        if name not in self._losses:
            self._losses[name] = Losses(name)
            if len(self._losses) > MAX_REMEMBERED_SITES + len(self._sites):
                del self._losses[next(known for known in self._losses if known not in self._sites)]
        return self._losses[name]


def _sample_number(message: Message) -> int | None:
    """Which sample of its sender's stream a message of raw audio begins with, if it says so."""
    for key, value in message.user:
        if key == "sample" and value.isascii() and value.isdecimal() and len(value) <= 15:
            return int(value)
    return None
