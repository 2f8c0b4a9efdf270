"""Many microphones on one broker: each site is a conversation of its own, all share the loaded models.

    audio messages ──> SiteSource ──> LiveSession ──> MqttSink     for every site
    commands, Hermes' start and stop ──> open, close, control

A site opens with its first message of audio, or when it is told to start; it closes when it is told to stop, or after
some minutes without audio. In a group of workers a site opens only when told, as each start reaches one of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from emotrack.tracker.engine import Engine
from emotrack.tracker.errors import EmotrackError
from emotrack.tracker.mqtt import channels, commands, topics
from emotrack.tracker.mqtt.audio_payload import MAX_AUDIO_BYTES, AudioPayloadError
from emotrack.tracker.mqtt.audio_topics import AudioTopics
from emotrack.tracker.mqtt.broker import Broker
from emotrack.tracker.mqtt.connection import Connection
from emotrack.tracker.mqtt.controls import ClosedControls, SessionControls
from emotrack.tracker.mqtt.group import Group
from emotrack.tracker.mqtt.losses import Losses, Told
from emotrack.tracker.mqtt.message import Message
from emotrack.tracker.mqtt.payloads import (
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
from emotrack.tracker.mqtt.sink import Publishing
from emotrack.tracker.mqtt.site import Site, SiteOptions
from emotrack.tracker.mqtt.site_source import SiteSource

MAX_REMEMBERED_SITES: Final = 1024  # names of sites that have no session


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
        self._tracking: dict[str, asyncio.Task[None]] = {}
        self._held: OrderedDict[str, None] = OrderedDict()  # told to stop: audio alone does not open them again
        self._losses: OrderedDict[str, Losses] = OrderedDict()
        self._told = Told()
        self._delivered: set[bool] = set()  # whether the broker took anything, of all sites that have closed
        self._on_ready = on_ready
        self._is_ready = False
        self._stopping = asyncio.Event()
        self._end_reason = ""
        self._group = Group(group, publishing.worker, self._resume, self._leave) if group is not None else None
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
                site.live.stop(self._end_reason)
            await asyncio.gather(*self._tracking.values())
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
        if self._group:
            self._group.on_connected()
        if not self._is_ready:
            self._is_ready = True
            self._on_ready()

    # -- what arrives --------------------------------------------------------------------------------------------

    def _subscriptions(self) -> list[tuple[str, int]]:
        audio = [(topic_filter, 0) for topic_filter in self._audio_topics.filters]
        if not self._options.takes_commands:
            return audio
        stops = [(topics.HERMES_STOP_LISTENING, 1)]
        if self._group:
            others = [(topics.of_sites(f"cmd/{name}", None), 1) for name in COMMANDS if name != "start"]
            return [*self._group.subscriptions, *stops, *others]
        return [*audio, (topics.HERMES_START_LISTENING, 1), *stops, (topics.ANY_COMMAND, 1)]

    def _receive(self, message: Message) -> None:
        if self._group and self._group.receive(message):
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
        if len(message.payload) > MAX_AUDIO_BYTES:
            reason = f"{len(message.payload)} bytes of audio in one message; at most {MAX_AUDIO_BYTES} can be"
            self._report(name, "too_large", reason, message.topic)
            return
        site = self._sites.get(name)
        source = site.source if site else None
        if source is None:
            if name in self._held or self._group or self._is_full(name, message.topic):
                return
            source = SiteSource(name, self._options.idle_s)
        try:
            source.put(message.payload, message.content_type, _sample_number(message), message.arrived_s)
        except AudioPayloadError as error:
            code: ErrorCode = "unsupported_format" if error.unsupported else "bad_audio"
            self._report(name, code, str(error), message.topic)
            return
        if site is None:
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
        if isinstance(request, StartListening):
            self._start(name, hermes_session)
        elif (site := self._sites.get(name)) is None or hermes_session in {"", site.hermes_session}:
            self._stop(name)

    def _command(self, name: str, message: Message) -> None:
        if len(name) > MAX_NAME_CHARS:
            self._report(name[:MAX_NAME_CHARS], "too_large", "the name of the site is too long", message.topic)
            return
        site = self._sites.get(name)
        if site is None and self._group and not message.topic.endswith("/start"):
            return  # it is another worker's, or nobody's
        controls: commands.Controls = ClosedControls(lambda: self._start(name, None))
        if site is not None and not site.live.is_stopping:
            controls = SessionControls(site.live, site.sink.forget)
        outcome = commands.follow(message, name, controls, self._connection.publish)
        if outcome.complaint is not None:
            self._report(name, "bad_command", outcome.complaint, message.topic)
        if outcome.done and message.topic.endswith("/stop"):
            self._hold(name)

    # -- opening and closing -------------------------------------------------------------------------------------

    def _start(self, name: str, hermes_session: str | None) -> None:
        self._held.pop(name, None)
        site = self._sites.get(name)
        if site is not None:
            site.start_again = site.live.is_stopping
        elif not self._is_full(name, None) and not (self._group and self._group.is_taken(name)):
            self._open(name, SiteSource(name, self._options.idle_s), hermes_session)

    def _stop(self, name: str) -> None:
        self._hold(name)
        if (site := self._sites.get(name)) is not None:
            site.start_again = False
            site.live.stop("stopped")

    def _hold(self, name: str) -> None:
        self._held[name] = None
        if len(self._held) > MAX_REMEMBERED_SITES:
            self._held.popitem(last=False)

    def _is_full(self, name: str, topic: str | None) -> bool:
        full = len(self._sites) >= self._options.max_sites
        if full:
            self._report(name, "too_many_sites", f"{len(self._sites)} sites are open; there is room for no more", topic)
        return full or self.is_stopping

    def _resume(self, name: str, snapshot: Snapshot | None) -> None:
        """Take over the site of a worker that has died."""
        if name in self._sites or self._is_full(name, None):
            return
        if snapshot is None:
            self._notify(f"{name}: taken over; nothing is known of the conversation so far")
            self._open(name, SiteSource(name, self._options.idle_s))
        else:
            self._notify(f"{name}: taken over after turn {snapshot.turns_heard} from {snapshot.worker}")
            source = SiteSource(name, self._options.idle_s, snapshot.stream_s)
            self._open(name, source, snapshot.hermes_session or None, snapshot)

    def _leave(self, name: str) -> None:
        """Another worker has taken the site."""
        if (site := self._sites.get(name)) is not None:
            self._notify(f"{name}: taken over by another worker")
            site.sink.mute()
            site.live.stop("taken_over")

    def _open(
        self, name: str, source: SiteSource, hermes_session: str | None = None, snapshot: Snapshot | None = None
    ) -> None:
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
                hermes_session=hermes_session,
                snapshot=snapshot,
                keeps_snapshots=self._group is not None,
                notify=self._notify,
            )
        except EmotrackError as error:
            self._hold(name)  # each message of audio would fail again
            self._failed(name, error)
        else:
            self._sites[name] = site
            self._tracking[name] = asyncio.create_task(self._track(site))

    async def _track(self, site: Site) -> None:
        audio = self._audio_topics.of(site.name)
        try:
            if self._group:
                self._group.claim(site.name)
                for topic_filter in audio:
                    await self._connection.subscribe(topic_filter, 0)
            self._notify(f"{site.name}: listening")
            await site.run()
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not end the others' sessions
            self._failed(site.name, error)
        finally:
            del self._sites[site.name], self._tracking[site.name]
            self._delivered.add(site.sink.has_delivered)
            self._notify(f"{site.name}: closed after {site.live.tally.turns} turns")
            if self._group:
                for topic_filter in audio:
                    await self._connection.unsubscribe(topic_filter)
                if not self._goes_on_elsewhere:
                    self._group.release(site.name)
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
        session = site.live.session if site else None
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
