"""What is told of a site without being an event: whether its source is heard, who speaks, and the metrics."""

from __future__ import annotations

import asyncio
from collections import deque
from statistics import median
from typing import Final

from emotrack.tracker.events import Turn
from emotrack.tracker.mqtt.format.payloads import Metrics, SourceState, Vad
from emotrack.tracker.mqtt.publishing.losses import Losses
from emotrack.tracker.mqtt.publishing.options import Publishing
from emotrack.tracker.mqtt.publishing.site_voice import SiteVoice
from emotrack.tracker.mqtt.publishing.snapshots import Snapshots
from emotrack.tracker.session.status import Status

POLL_S: Final = 0.1  # how often the session's status is looked at
VAD_REPEAT_S: Final = 1.0  # levels go out this often even when nobody begins or ends to speak
METRICS_S: Final = 5.0
_STAGE_TURNS: Final = 64  # the latest turns whose stages are measured


class StatusReports:
    """Reads the status of a session and tells what has changed."""

    def __init__(
        self, publishing: Publishing, status: Status, losses: Losses, snapshots: Snapshots, voice: SiteVoice
    ) -> None:
        self._publishing = publishing
        self._status = status
        self._losses = losses
        self._snapshots = snapshots
        self._voice = voice
        self._stage_ms: dict[str, deque[float]] = {}
        self._told_source: tuple[bool, bool] | None = None  # of the source: lost, paused

    async def watch(self) -> None:
        """Tell whether the source can be heard, and who speaks: when that changes, and then and now while audio comes.

        Who speaks is repeated every ``VAD_REPEAT_S``.
        """
        status = self._status
        told, told_at_s = None, 0.0
        while True:
            self.tell_source()
            changed = status.speaking != told
            is_due = changed or status.stream_s - told_at_s >= VAD_REPEAT_S
            if self._publishing.is_full and status.speaking and is_due:
                told, told_at_s = status.speaking, status.stream_s
                self._voice.send(
                    Vad(
                        **status.stamp(),
                        at_s=status.stream_s,
                        speaking=any(status.speaking),
                        channels=status.speaking,
                        levels_dbfs=status.levels_dbfs,
                    )
                )
            await asyncio.sleep(POLL_S)

    async def measure(self) -> None:
        """Tell the metrics every ``METRICS_S``."""
        status, connection = self._status, self._voice.connection
        while True:
            await asyncio.sleep(METRICS_S)
            self._voice.send(
                Metrics(
                    **status.stamp(),
                    at_s=status.stream_s,
                    paused=status.paused,
                    source_lost=status.source_lost,
                    turns=dict(status.tally.emotions),
                    turn_latency_ms=status.tally.after_end,
                    stage_ms={stage: median(values) for stage, values in self._stage_ms.items()},
                    dropped_frames=dict(self._losses.dropped) or {"overrun": status.dropped_frames},
                    dropped_turns=status.dropped_turns,
                    text_skipped=status.text_skipped,
                    left_out=status.left_out,
                    queue_depth={
                        "turns": status.thinking,
                        "mqtt": connection.waiting,
                        **self._publishing.engine.waiting,
                    },
                    errors={**self._losses.errors, "mqtt_refused": connection.refused},
                    mqtt_reconnects=connection.reconnects,
                )
            )

    def tell_source(self) -> None:
        """Say so when the microphone is lost or back, or somebody has paused or gone on."""
        lost, paused = now = self._status.source_lost, self._status.paused
        if self._voice.is_online and now != self._told_source:
            was_paused = self._told_source is not None and self._told_source[1]
            self._told_source = now
            if paused != was_paused:  # before it is told: who takes over must not listen where nobody should
                self._snapshots.leave()
            self._voice.send(SourceState(**self._status.stamp(), lost=lost, paused=paused))

    def time_stages(self, turn: Turn) -> None:
        """Count what the stages of a new turn took."""
        for stage in ("queued", "recognition", "encoding", "context"):
            kept = self._stage_ms.setdefault(stage, deque(maxlen=_STAGE_TURNS))
            kept.append(getattr(turn.latency_ms, stage))
