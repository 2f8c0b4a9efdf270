"""Many microphones on one broker: each site is a conversation of its own, all share the loaded models.

    audio messages ──> SiteSource ──> LiveSession ──> MqttSink     for every site
    commands, Hermes' start and stop ──> open, close, control

A site opens with its first message of audio, or when it is told to start, unless another worker serves it; it closes
when it is told to stop, or after some minutes without audio. In a group of workers a site opens only when told, as each
start reaches one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial

from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.audio_topics import AudioTopics
from emotrack.tracker.mqtt.format.payloads import (
    COMMANDS,
    MAX_NAME_CHARS,
    ErrorCode,
    Hermes,
    PayloadError,
    Snapshot,
    StartListening,
    StopListening,
    parse,
)
from emotrack.tracker.mqtt.ownership.claims import Claims, claim_topics
from emotrack.tracker.mqtt.publishing import commands
from emotrack.tracker.mqtt.publishing.controls import ClosedControls, SessionControls
from emotrack.tracker.mqtt.publishing.options import Publishing
from emotrack.tracker.mqtt.sites.audio_payload import MAX_AUDIO_BYTES, AudioPayloadError
from emotrack.tracker.mqtt.sites.group import Group, group_topics, last_will
from emotrack.tracker.mqtt.sites.open_sites import OpenSites
from emotrack.tracker.mqtt.sites.site import SiteOptions
from emotrack.tracker.mqtt.sites.site_source import SiteSource
from emotrack.tracker.understanding.engine import Engine


class Sites:
    """The connection on which the audio and the commands of all sites come in, and where each of them goes."""

    def __init__(
        self,
        engine: Engine,
        broker: Broker,
        publishing: Publishing,
        options: SiteOptions,
        audio_topics: AudioTopics,
        group: str | None,
        on_ready: Callable[[], None],
    ) -> None:
        """``on_ready`` is called once, when the broker is reached."""
        self._options = options
        self._audio_topics = audio_topics
        self._on_ready = on_ready
        self._is_ready = False
        self._stopping = asyncio.Event()
        self._end_reason = ""
        self.connection = Connection(
            broker,
            publishing.worker,
            on_message=self._receive,
            on_connected=self._connected,
            on_lost=self._lost,
            subscriptions=self._subscriptions(publishing.worker, group),
            will=last_will(group, publishing.worker) if group is not None else None,
        )
        worker, connection = publishing.worker, self.connection
        self._group = Group(connection, group, worker, self._resume, self._leave) if group is not None else None
        self._claims = self._group.claims if self._group else Claims(connection, worker, None, self._leave)
        self.open = OpenSites(engine, publishing, options, audio_topics, self.connection, self._claims, self._group)

    async def run(self) -> None:
        """Serve until ``stop``. Raises ``BrokerError`` when the broker turns us away."""
        serving = asyncio.ensure_future(self.connection.run())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await self.open.close(self._end_reason)
            if self._group:
                self._group.say_goodbye()
            await self.connection.close()
            await serving
        finally:
            serving.cancel()
            stopping.cancel()
            self.open.cancel()

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    @property
    def has_told_nobody(self) -> bool:
        """Whether there were sites, and nothing of any of them could be delivered."""
        return self.open.delivered == {False}

    def stop(self, reason: str) -> None:
        """End every session in order, then ``run``."""
        self._end_reason = reason
        self.open.is_stopping = True
        self._stopping.set()

    def _connected(self) -> None:
        self._claims.on_connected()
        if self._group:
            self._group.on_connected()
        if not self._is_ready:
            self._is_ready = True
            self._on_ready()

    def _lost(self) -> None:
        if self._group:
            self._group.on_lost()

    def _resume(self, name: str, snapshot: Snapshot | None) -> None:
        if self._is_ours(name):
            self.open.resume(name, snapshot)

    def _leave(self, name: str, worker: str) -> None:
        self.open.leave(name, worker)

    # -- what arrives --------------------------------------------------------------------------------------------

    def _subscriptions(self, worker: str, group: str | None) -> list[tuple[str, int]]:
        claims = claim_topics(worker)
        audio = [(topic_filter, 0) for topic_filter in self._audio_topics.filters]
        if not self._options.takes_commands:
            return [*claims, *audio]
        stops = [(topics.HERMES_STOP_LISTENING, 1)]
        if group is not None:
            others = [(topics.of_sites(f"cmd/{name}", None), 1) for name in COMMANDS if name != "start"]
            return [*claims, *group_topics(group), *stops, *others]
        starts = [(topics.HERMES_START_LISTENING, 1), (topics.ANY_COMMAND, 1)]
        return [*claims, *audio, *starts, *stops]

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
        self.open.errors.report(name[:MAX_NAME_CHARS], "retained", line, message.topic)

    def _hear(self, name: str, message: Message) -> None:
        if len(name) > MAX_NAME_CHARS:
            self.open.errors.report(
                name[:MAX_NAME_CHARS], "too_large", "the name of the site is too long", message.topic
            )
            return
        if not self._is_ours(name):
            return
        if len(message.payload) > MAX_AUDIO_BYTES:
            reason = f"{len(message.payload)} bytes of audio in one message; at most {MAX_AUDIO_BYTES} can be"
            self.open.errors.report(name, "too_large", reason, message.topic)
            return
        source = self.open.source_of(name)
        is_new = source is None
        if source is None:
            absent = self.open.absent
            if absent.is_held(name) or self._group or absent.is_elsewhere(name):
                return
            if self.open.is_full(name, message.topic):
                return
            source = SiteSource(name, self._options.idle_s)
        try:
            source.put(message.payload, message.content_type, _sample_number(message), message.arrived_s)
        except AudioPayloadError as error:
            code: ErrorCode = "unsupported_format" if error.unsupported else "bad_audio"
            self.open.errors.report(name, code, str(error), message.topic)
            return
        if is_new:
            self.open.open(name, source)
        elif source.pace.is_doubled:
            line = f"audio comes {source.pace.of_two:.1f} times as fast as it is spoken: do two microphones send here?"
            self.open.errors.report(name, "two_senders", line, message.topic)

    def _hermes(self, message: Message, kind: type[StartListening | StopListening]) -> None:
        try:
            request: Hermes = parse(kind, message.payload)
        except PayloadError as error:
            self.open.errors.report(topics.DEFAULT_SITE, "bad_payload", str(error), message.topic)
            return
        name, hermes_session = request.site_id, request.session_id or ""
        if not self._is_ours(name):
            return
        if isinstance(request, StartListening):
            self.open.start(name, hermes_session)
        elif (site := self.open.sites.get(name)) is None or hermes_session in {"", site.hermes_session}:
            self.open.stop(name)

    def _command(self, name: str, message: Message) -> None:
        if len(name) > MAX_NAME_CHARS:
            self.open.errors.report(
                name[:MAX_NAME_CHARS], "too_large", "the name of the site is too long", message.topic
            )
            return
        site = self.open.sites.get(name)
        if not self._is_ours(name) or (site is None and not self._answers_for(name, message.topic.rpartition("/")[2])):
            return
        forget = partial(self.open.forget, name)
        controls: commands.SiteControls = ClosedControls(lambda: self.open.start(name, None), forget)
        if site is not None and not site.controls.is_stopping:
            controls = SessionControls(site.status.session, site.controls, site.sink.forget, forget)
        outcome = commands.follow(message, name, controls, self.connection.publish)
        if outcome.complaint is not None:
            self.open.errors.report(name, "bad_command", outcome.complaint, message.topic)
        if outcome.done and message.topic.endswith("/stop"):
            self.open.absent.hold(name)

    def _is_ours(self, name: str) -> bool:
        """Whether the site is one of those that are to be served here."""
        return not self._options.only or any(fnmatchcase(name, pattern) for pattern in self._options.only)

    def _answers_for(self, name: str, command: str) -> bool:
        """Whether a command to a site that is closed here is this worker's to answer, and not another's."""
        if self._group is None:
            return command == "start" or self._claims.known.of(name) is None
        return command == "start" or (command == "forget" and self._group.is_first_for(name))


def _sample_number(message: Message) -> int | None:
    """Which sample of its sender's stream a message of raw audio begins with, if it says so."""
    for key, value in message.user:
        if key == "sample" and value.isascii() and value.isdecimal() and len(value) <= 15:
            return int(value)
    return None
