"""One session's way out to the broker: its events, what they add up to, and whether the site is there at all.

Every site has a connection of its own, since the Last Will that says ``offline`` belongs to a connection, and so that
no site waits for another. It connects, and connects again, only once it is certain that no other worker serves the
site: what it retains would be out of date otherwise. In a group, the connection is the site's, not the worker's: it
has the same name for all workers, so that the one who takes the site over silences the Will of the one before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Any, Final

from emotrack.tracker.errors import SinkError
from emotrack.tracker.events import Event, Provisional, SessionEnded, SessionStarted, Turn
from emotrack.tracker.mqtt.connection.broker import Broker, BrokerError
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.format.payloads import (
    COMMANDS,
    MAX_CONTEXT_BYTES,
    Hermes,
    Metrics,
    SitePayload,
    Snapshot,
    SourceState,
    TextCaptured,
    Vad,
)
from emotrack.tracker.mqtt.ownership.claims import Claims, TakenError
from emotrack.tracker.mqtt.ownership.forget import ForgetError, forget
from emotrack.tracker.mqtt.publishing import commands
from emotrack.tracker.mqtt.publishing.controls import SessionControls
from emotrack.tracker.mqtt.publishing.discovery import discovery
from emotrack.tracker.mqtt.publishing.losses import Losses, Told
from emotrack.tracker.mqtt.publishing.state import SiteState
from emotrack.tracker.session.pipeline import LiveSession

POLL_S: Final = 0.1  # how often the session's activity is looked at
TAKE_OVER_S: Final = 10  # how long the status of a site whose worker is gone waits for another one of its group
VAD_REPEAT_S: Final = 1.0  # levels go out this often even when nobody begins or ends to speak
METRICS_S: Final = 5.0
_STAGE_TURNS: Final = 64  # the latest turns whose stages are measured


@dataclass(frozen=True, slots=True)
class Publishing:
    """How a process publishes: to which broker, and how much."""

    broker: Broker
    worker: str
    """The process's own name on the broker; client ids begin with it."""
    is_full: bool
    """Publish the voice activity and the metrics too."""
    notify: Callable[[str], None]


class MqttSink:
    """A sink that publishes ``session`` as ``site``.

    The connection opens with the first event. ``claims`` are those of the worker, which has claimed the site; without
    them the sink claims it, and with ``takes_commands`` follows the site's commands too. ``hermes_session`` is that of
    the voice assistant which asked for the words. In a ``group`` it leaves after every turn what another worker needs
    to go on.
    """

    def __init__(
        self,
        publishing: Publishing,
        site: str,
        session: LiveSession,
        *,
        losses: Losses | None = None,
        claims: Claims | None = None,
        takes_commands: bool = True,
        group: str | None = None,
        hermes_session: str | None = None,
        resumed: Snapshot | None = None,
    ) -> None:
        self._publishing = publishing
        self._site = site
        self._session = session
        self._losses = losses or Losses(site)
        self._told = Told()
        self._hermes_session = hermes_session
        self._keeps_snapshots = group is not None
        self._state = SiteState(site)
        if resumed:
            self._state.restore(resumed.session, resumed.recent)
        self._stage_ms: dict[str, deque[float]] = {}
        self._discovery: Message | None = None
        self._fingerprint = ""
        self._turns_heard = resumed.turns_heard if resumed else 0
        self._is_handed_over = False
        self._is_muted = False
        self._is_claimed = False
        self._taken: TakenError | None = None
        self._is_online = False
        self._is_forgotten = False
        self._told_source: tuple[bool, bool] | None = None  # of the source: lost, paused
        self._tasks: list[asyncio.Task[None]] = []
        self._worker: Connection | None = None
        if claims is None:
            claims, self._worker = self._standing_alone()
        self._claims = claims
        subscriptions = [(topics.HOME_ASSISTANT_STATUS, 1), (topics.status(site), 1)]
        if self._worker and takes_commands:
            subscriptions += [(topics.command(site, name), 1) for name in COMMANDS]
        owner = publishing.worker if group is None else f"{topics.ROOT}-{topics.level(group)}"
        self._connection = Connection(
            publishing.broker,
            f"{owner}-{topics.level(site)}",
            notify=publishing.notify,
            on_message=self._receive,
            subscriptions=subscriptions,
            will=channels.to_status(topics.status(site), "offline"),
            session_expiry_s=0 if group is None else TAKE_OVER_S,
            before_connecting=self._confirm,
        )

    @property
    def has_delivered(self) -> bool:
        """Whether the broker has taken anything."""
        return self._connection.delivered > 0

    def _standing_alone(self) -> tuple[Claims, Connection]:
        """Claims, and a worker's connection for them, of a process that serves this site alone."""
        claims = Claims(self._publishing.worker, None, self._leave, site=self._site)

        def receive(message: Message) -> None:
            claims.receive(message)

        claims.connection = Connection(
            self._publishing.broker,
            self._publishing.worker,
            notify=self._publishing.notify,
            on_message=receive,
            on_connected=claims.on_connected,
            subscriptions=claims.subscriptions,
        )
        return claims, claims.connection

    async def _confirm(self) -> None:
        """Return once it is certain that the site is served here. Raises ``TakenError`` if it is not."""
        if self._worker and not self._is_claimed:
            if taken_by := await self._claims.obtain(self._site):
                raise TakenError(self._site, taken_by)
            self._is_claimed = True
        else:
            await self._claims.confirm(self._site)

    def _leave(self, _site: str, worker: str) -> None:
        """Another process has claimed the site, as this one seemed to be gone."""
        self._taken = TakenError(self._site, worker)
        self._publishing.notify(str(self._taken))
        self.mute()

    def publish(self, message: Message, *, latest_only: bool = False) -> None:
        """Send a message on the site's connection."""
        if not self._is_muted:
            self._connection.publish(message, latest_only=latest_only)

    def hand_over(self) -> None:
        """Another worker will go on with the session: do not say that it has ended."""
        self._is_handed_over = True

    def mute(self) -> None:
        """Another worker has the site already: say no more about it."""
        self._is_muted = True
        self._connection.abandon()

    def forget(self) -> None:
        """Let the state begin anew, for whoever looks at it too."""
        self._delete_speakers()
        self._send(self._state.forget(datetime.now(UTC)))

    # -- the sink ------------------------------------------------------------------------------------------------

    async def emit(self, event: Event) -> None:
        if not self._tasks:
            self._open()
            await asyncio.sleep(0)
        if self._is_muted and not self._worker:
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
                self._clear_away()
        self._send(event, *self._state.apply(event))
        if isinstance(event, Turn):
            self._add_up(event)
        if self._keeps_snapshots and isinstance(event, SessionStarted | Turn):
            self._leave_snapshot()

    async def close(self) -> None:
        """Say goodbye. Raises ``SinkError`` if the broker has taken nothing from the beginning to the end."""
        self._is_online = False
        self.publish(channels.to_status(topics.status(self._site), "offline"))
        waiting = self._connection.waiting
        await self._connection.close(is_away=self._claims.connection.is_away)
        reason = f"{self._publishing.broker}: none of {waiting} messages could be delivered"
        try:
            await self._tasks[0]
        except BrokerError as error:
            reason = str(error)
        if self._worker:
            self._claims.release(self._site, is_forgotten=self._is_forgotten)
            await self._worker.close()
        await self._stop()
        if self._is_forgotten:
            await self._forget_site()
        if not (self.has_delivered or self._is_muted):
            raise SinkError(reason)

    def _open(self) -> None:
        self._tasks = [asyncio.create_task(self._connection.run()), asyncio.create_task(self._watch())]
        if self._worker:
            self._tasks.append(asyncio.create_task(self._worker.run()))
        if self._publishing.is_full:
            self._tasks.append(asyncio.create_task(self._measure()))

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _introduce(self, event: SessionStarted) -> None:
        """Say that the site is there, to everybody and to Home Assistant."""
        self._fingerprint = event.bundle.fingerprint
        with_vad = self._publishing.is_full
        self._discovery = discovery(self._site, event.labels, event.bundle.name, version("emotrack"), with_vad=with_vad)
        self._is_online = True
        self.publish(channels.to_status(topics.status(self._site), "online"))
        self._tell_source()
        self.publish(self._discovery)

    def _clear_away(self) -> None:
        """Let the broker forget what is of no meaning without the session."""
        self._delete_speakers()
        if self._keeps_snapshots:
            self.publish(channels.to_deletion(topics.snapshot(self._site)))

    def _delete_speakers(self) -> None:
        for speaker in self._state.speakers:
            self.publish(channels.to_deletion(topics.speaker_state(self._site, speaker)))

    def _send(self, *payloads: Event | SitePayload | Hermes) -> None:
        for payload in payloads:
            # Of what is merely a state, only the latest matters to somebody who was away.
            self.publish(channels.to_message(payload), latest_only=isinstance(payload, SitePayload | Provisional))

    def _add_up(self, turn: Turn) -> None:
        self._turns_heard = max(self._turns_heard, turn.turn_id)
        if turn.revision:
            return
        for stage in ("queued", "recognition", "encoding", "context"):
            kept = self._stage_ms.setdefault(stage, deque(maxlen=_STAGE_TURNS))
            kept.append(getattr(turn.latency_ms, stage))
        if self._hermes_session is not None and turn.text is not None:
            self._send(
                TextCaptured(
                    site_id=self._site,
                    session_id=self._hermes_session,
                    text=turn.text,
                    likelihood=1.0,  # Hermes wants a number; what was not believed has no text
                    seconds=turn.end_s - turn.start_s,
                )
            )

    def _leave_snapshot(self) -> None:
        context = self._session.remembered()
        if len(context) > MAX_CONTEXT_BYTES:
            self._keeps_snapshots = False
            self.publish(channels.to_deletion(topics.snapshot(self._site)))
            self._publishing.notify(
                f"{self._site}: {len(context)} bytes of context are too many to be left to another worker, which would "
                "start without them; choose a smaller --context"
            )
            return
        self._send(
            Snapshot(
                **self._stamp(),
                worker=self._publishing.worker,
                hermes_session=self._hermes_session or "",
                fingerprint=self._fingerprint,
                stream_s=self._session.activity.stream_s,
                turns_heard=self._turns_heard,
                paused=self._session.activity.paused,
                context=context,
                recent=self._state.dump(),
            )
        )

    # -- what is told without being an event ---------------------------------------------------------------------

    async def _watch(self) -> None:
        """Tell whether the source can be heard, and who speaks: when that changes, and then and now while audio comes.

        Who speaks is repeated every ``VAD_REPEAT_S``.
        """
        activity = self._session.activity
        told, told_at_s = None, 0.0
        while True:
            self._tell_source()
            changed = activity.speaking != told
            is_due = changed or activity.stream_s - told_at_s >= VAD_REPEAT_S
            if self._publishing.is_full and activity.speaking and is_due:
                told, told_at_s = activity.speaking, activity.stream_s
                self._send(
                    Vad(
                        **self._stamp(),
                        at_s=activity.stream_s,
                        speaking=any(activity.speaking),
                        channels=activity.speaking,
                        levels_dbfs=activity.levels_dbfs,
                    )
                )
            await asyncio.sleep(POLL_S)

    def _tell_source(self) -> None:
        """Say so when the microphone is lost or back, or somebody has paused or gone on."""
        activity = self._session.activity
        lost, paused = now = activity.source_lost, activity.paused
        if self._is_online and now != self._told_source:
            was_paused = self._told_source is not None and self._told_source[1]
            self._told_source = now
            self._send(SourceState(**self._stamp(), lost=lost, paused=paused))
            if self._keeps_snapshots and paused != was_paused:  # who takes over must not listen where nobody should
                self._leave_snapshot()

    async def _measure(self) -> None:
        session, activity, tally = self._session, self._session.activity, self._session.tally
        while True:
            await asyncio.sleep(METRICS_S)
            self._send(
                Metrics(
                    **self._stamp(),
                    at_s=activity.stream_s,
                    paused=activity.paused,
                    source_lost=activity.source_lost,
                    turns=dict(tally.emotions),
                    turn_latency_ms=tally.after_end,
                    stage_ms={stage: median(values) for stage, values in self._stage_ms.items()},
                    dropped_frames=dict(self._losses.dropped) or {"overrun": activity.dropped_frames},
                    dropped_turns=activity.dropped_turns,
                    text_skipped=activity.text_skipped,
                    left_out=activity.left_out,
                    queue_depth={
                        "turns": activity.thinking,
                        "mqtt": self._connection.waiting,
                        **session.models_waiting,
                    },
                    errors={**self._losses.errors, "mqtt_refused": self._connection.refused},
                    mqtt_reconnects=self._connection.reconnects,
                )
            )

    def _stamp(self) -> dict[str, Any]:
        return {"site": self._site, "session": self._session.session, "time": datetime.now(UTC)}

    def _receive(self, message: Message) -> None:
        if message.topic == topics.HOME_ASSISTANT_STATUS:
            if message.payload == b"online" and not message.retain and self._discovery:
                self.publish(self._discovery)
            return
        if message.topic == topics.status(self._site):
            if self._is_online and message.payload != b"online" and not message.retain:
                # The Will of another connection, of a worker that served the site before.
                self.publish(channels.to_status(message.topic, "online"))
            return
        controls = SessionControls(self._session, self.forget, self._forget_soon)
        complaint = commands.follow(message, self._site, controls, self.publish).complaint
        if complaint is None:
            return
        if self._told.is_news(self._site, "bad_command"):
            self._publishing.notify(f"{self._site}: {complaint}")
        if told := self._losses.report("bad_command", complaint, message.topic, self._session.session):
            self._send(told)

    def _forget_soon(self) -> None:
        """End the session; once it has ended, let nothing of the site remain on the broker."""
        self._is_forgotten = True
        self._session.stop("stopped")

    async def _forget_site(self) -> None:
        publishing = self._publishing
        try:
            await forget(publishing.broker, f"{publishing.worker}-forget", self._site, publishing.notify)
        except (BrokerError, ForgetError) as error:
            publishing.notify(f"site {self._site} could not be forgotten: {error}")
