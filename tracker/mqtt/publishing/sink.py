"""One session's way out to the broker: its events, what they add up to, and whether the site is there at all.

Every site has a connection of its own, since the Last Will that says ``offline`` belongs to a connection, and so that
no site waits for another. It connects, and connects again, only once it is certain that no other worker serves the
site: what it retains would be out of date otherwise. In a group, the connection is the site's, not the worker's: it
has the same name for all workers, so that the one who takes the site over silences the Will of the one before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Final

from emotrack.tracker.errors import SinkError
from emotrack.tracker.events import (
    Event,
    Provisional,
    SessionEnded,
    SessionStarted,
    SpeakerRenamed,
    SpeakersMerged,
    Turn,
)
from emotrack.tracker.mqtt.connection.broker import BrokerError
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.format.payloads import COMMANDS, TextCaptured
from emotrack.tracker.mqtt.ownership.claims import TakenError
from emotrack.tracker.mqtt.ownership.forget import ForgetError, forget
from emotrack.tracker.mqtt.publishing import commands
from emotrack.tracker.mqtt.publishing.controls import SessionControls
from emotrack.tracker.mqtt.publishing.discovery import discovery
from emotrack.tracker.mqtt.publishing.losses import Losses, Told
from emotrack.tracker.mqtt.publishing.options import Publishing, Serving
from emotrack.tracker.mqtt.publishing.own_claim import OwnClaim
from emotrack.tracker.mqtt.publishing.site_voice import SiteVoice
from emotrack.tracker.mqtt.publishing.snapshots import Snapshots
from emotrack.tracker.mqtt.publishing.state import SiteState
from emotrack.tracker.mqtt.publishing.status_reports import StatusReports
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.session.status import Status

_log = logging.getLogger(__name__)

TAKE_OVER_S: Final = 10  # how long the status of a site whose worker is gone waits for another one of its group


class MqttSink:
    """A sink that publishes the session of ``status``.

    The connection opens with the first event. ``serving`` is how a worker serves the site as one of many; without it
    the sink claims the site by itself, and with ``takes_commands`` lets commands act on the ``controls``.
    """

    def __init__(
        self,
        publishing: Publishing,
        status: Status,
        controls: Controls,
        serving: Serving | None = None,
        *,
        takes_commands: bool = True,
    ) -> None:
        self._publishing = publishing
        self._status = status
        self._controls = controls
        self._serving = serving
        self._site = status.site
        self._losses = serving.losses if serving else Losses(self._site)
        self._told = Told()
        self._own_claim: OwnClaim | None = None
        confirm: Callable[[], Awaitable[None]]
        if serving is None:
            own = OwnClaim(publishing, self._site, self._leave)
            self._own_claim, self._claims, confirm = own, own.claims, own.confirm
        else:
            self._claims, confirm = serving.claims, partial(serving.claims.confirm, self._site)
        self._voice = SiteVoice(self._site, self._connection(confirm, takes_commands=takes_commands))
        self._state = SiteState(self._site)
        if serving and serving.snapshot:
            self._state.restore(serving.snapshot.session, serving.snapshot.recent)
        self._snapshots = Snapshots(publishing, serving, status, self._state, self._voice)
        self._reports = StatusReports(publishing, status, self._losses, self._snapshots, self._voice)
        self._discovery: Message | None = None
        self._taken: TakenError | None = None
        self._is_handed_over = False
        self._is_forgotten = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def has_delivered(self) -> bool:
        """Whether the broker has taken anything."""
        return self._voice.connection.delivered > 0

    @property
    def is_away(self) -> bool:
        """Whether the broker was tried and cannot be reached."""
        return self._voice.connection.is_away

    def publish(self, message: Message) -> None:
        """Send a message on the site's connection."""
        self._voice.publish(message)

    def hand_over(self) -> None:
        """Another worker will go on with the session: do not say that it has ended."""
        self._is_handed_over = True

    def mute(self) -> None:
        """Another worker has the site already: say no more about it."""
        self._voice.mute()

    def forget(self) -> None:
        """Let the state begin anew, for whoever looks at it too."""
        self._delete_speakers(self._state.speakers)
        self._voice.send(self._state.forget(datetime.now(UTC)))

    # -- the sink ------------------------------------------------------------------------------------------------

    async def emit(self, event: Event) -> None:
        if not self._tasks:
            self._open()
            await asyncio.sleep(0)
        if self._voice.is_muted and self._own_claim is None:
            return
        if failure := self._taken or next((task.exception() for task in self._tasks if task.done()), None):
            await self._stop()
            raise SinkError(str(failure))
        if self._is_handed_over and isinstance(event, SessionEnded):
            return
        match event:
            case Provisional() if not self._publishing.is_full:
                return
            case SessionStarted():
                self._introduce(event)
            case SessionEnded():
                self._delete_speakers(self._state.speakers)
                self._snapshots.clear()
        before = self._state.speakers
        self._voice.send(event, *self._state.apply(event))
        self._delete_speakers(speaker for speaker in before if not self._state.has(speaker))
        if isinstance(event, Turn) and not event.revision:
            self._reports.time_stages(event)
            self._tell_hermes(event)
        if isinstance(event, SessionStarted | Turn | SpeakerRenamed | SpeakersMerged):
            self._snapshots.leave(after=event)

    async def close(self) -> None:
        """Say goodbye. Raises ``SinkError`` if the broker has taken nothing from the beginning to the end."""
        self._voice.say_offline()
        waiting = self._voice.connection.waiting
        await self._voice.connection.close(is_away=self._claims.connection.is_away)
        reason = f"{self._publishing.broker}: none of {waiting} messages could be delivered"
        try:
            await self._tasks[0]
        except BrokerError as error:
            reason = str(error)
        if self._own_claim:
            await self._own_claim.release(is_forgotten=self._is_forgotten)
        await self._stop()
        if self._is_forgotten:
            await self._forget_site()
        if not (self.has_delivered or self._voice.is_muted):
            raise SinkError(reason)

    def _connection(self, confirm: Callable[[], Awaitable[None]], *, takes_commands: bool) -> Connection:
        publishing, site = self._publishing, self._site
        group = self._serving.group if self._serving else None
        owner = publishing.worker if group is None else f"{topics.ROOT}-{topics.level(group)}"
        subscriptions = [(topics.HOME_ASSISTANT_STATUS, 1), (topics.status(site), 1)]
        if self._own_claim and takes_commands:
            subscriptions += [(topics.command(site, name), 1) for name in COMMANDS]
        return Connection(
            publishing.broker,
            f"{owner}-{topics.level(site)}",
            on_message=self._receive,
            subscriptions=subscriptions,
            will=channels.to_status(topics.status(site), "offline"),
            session_expiry_s=0 if group is None else TAKE_OVER_S,
            before_connecting=confirm,
        )

    def _open(self) -> None:
        work = [self._voice.connection.run(), self._reports.watch()]
        if self._own_claim:
            work.append(self._own_claim.run())
        if self._publishing.is_full:
            work.append(self._reports.measure())
        self._tasks = [asyncio.create_task(each) for each in work]

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _introduce(self, event: SessionStarted) -> None:
        """Say that the site is there, to everybody and to Home Assistant."""
        self._snapshots.fingerprint = event.bundle.fingerprint
        with_vad = self._publishing.is_full
        self._discovery = discovery(self._site, event.labels, event.bundle.name, version("emotrack"), with_vad=with_vad)
        self._voice.say_online()
        self._reports.tell_source()
        self.publish(self._discovery)

    def _delete_speakers(self, speakers: Iterable[str]) -> None:
        for speaker in speakers:
            self.publish(channels.to_deletion(topics.speaker_state(self._site, speaker)))

    def _tell_hermes(self, turn: Turn) -> None:
        """Give the voice assistant that asked for them the words of a new turn."""
        if self._serving is not None and self._serving.hermes_session is not None and turn.text is not None:
            self._voice.send(
                TextCaptured(
                    site_id=self._site,
                    session_id=self._serving.hermes_session,
                    text=turn.text,
                    likelihood=1.0,  # Hermes wants a number; what was not believed has no text
                    seconds=turn.end_s - turn.start_s,
                )
            )

    # -- what arrives --------------------------------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        if message.topic == topics.HOME_ASSISTANT_STATUS:
            if message.payload == b"online" and not message.retain and self._discovery:
                self.publish(self._discovery)
        elif message.topic == topics.status(self._site):
            if self._voice.is_online and message.payload != b"online" and not message.retain:
                self._voice.say_online()  # the Will of another connection, of a worker that served the site before
        else:
            self._command(message)

    def _command(self, message: Message) -> None:
        controls = SessionControls(self._status.session, self._controls, self.forget, self._forget_soon)
        complaint = commands.follow(message, self._site, controls, self.publish).complaint
        if complaint is None:
            return
        if self._told.is_news(self._site, "bad_command"):
            _log.warning("%s: %s", self._site, complaint)
        if told := self._losses.report("bad_command", complaint, message.topic, self._status.session):
            self._voice.send(told)

    def _leave(self, _site: str, worker: str) -> None:
        """Another process has claimed the site, as this one seemed to be gone."""
        self._taken = TakenError(self._site, worker)
        _log.warning("%s", self._taken)
        self.mute()

    def _forget_soon(self) -> None:
        """End the session; once it has ended, let nothing of the site remain on the broker."""
        self._is_forgotten = True
        self._controls.stop("stopped")

    async def _forget_site(self) -> None:
        publishing = self._publishing
        try:
            await forget(publishing.broker, f"{publishing.worker}-forget", self._site)
        except (BrokerError, ForgetError) as error:
            _log.warning("site %s could not be forgotten: %s", self._site, error)
