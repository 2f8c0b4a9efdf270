"""What is counted: turns and their delays as they leave, what is lost, and how the models keep up.

Names follow Prometheus' conventions (base units, ``_total`` for counters). Labels are bounded: a site that is one too
many counts as "other".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emotrack.tracker.events import Event, SessionEnded, SessionStarted, Turn
from emotrack.tracker.session.status import Status
from emotrack.tracker.sinks.json_lines import SilentSink
from emotrack.tracker.understanding.engine import Engine

MAX_SITES: Final = 256  # with names of their own
OTHER: Final = "other"
SECONDS: Final = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.35, 0.5, 1.0, 2.0, 5.0)
"""Upper ends of a delay's buckets."""
_LOST: Final = {
    "dropped_turns": "Turns lost because the models could not keep up.",
    "dropped_frames": "Blocks of audio lost because nobody read them in time.",
    "text_skipped": "Turns scored on the voice alone to catch up.",
}


class TrackerFigures:
    """The figures of all sessions of a process; ``of`` makes what counts those of one."""

    def __init__(self, engine: Engine, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        info = Info("emotrack", "What runs.", registry=self.registry)
        recogniser = engine.recogniser.name if engine.recogniser else "none"
        bundle = {"bundle": engine.network.name, "fingerprint": engine.network.fingerprint}
        info.info({"version": version, "recogniser": recogniser, **bundle})
        self.sessions = Gauge("emotrack_sessions", "Sessions that are open.", registry=self.registry)
        labels = ["site", "emotion"]
        self.turns = Counter("emotrack_turns", "Turns, as first estimated.", labels, registry=self.registry)
        self.revisions = Counter("emotrack_revisions", "Turns sent again.", registry=self.registry)
        self.delay = self._histogram("emotrack_turn_delay_seconds", "From the end of a turn to its event.")
        self.wait = self._histogram("emotrack_end_of_turn_seconds", "From the last speech to the turn's end.")
        self.stage = self._histogram("emotrack_stage_seconds", "Where a turn's time went.", ["stage"])
        self.lost = {
            name: Counter(f"emotrack_{name}", told, ["site"], registry=self.registry) for name, told in _LOST.items()
        }
        self.registry.register(_Models(engine))
        self._labels = frozenset(engine.network.labels)
        self._sites: set[str] = set()

    def of(self, status: Status) -> SessionFigures:
        """A sink that counts one session."""
        return SessionFigures(self, status)

    def site(self, name: str) -> str:
        """The label of a site."""
        if name in self._sites or len(self._sites) < MAX_SITES:
            self._sites.add(name)
            return name
        return OTHER

    def emotion(self, name: str) -> str:
        """The label of an emotion."""
        return name if name in self._labels else OTHER

    def _histogram(self, name: str, told: str, labels: list[str] | None = None) -> Histogram:
        return Histogram(name, told, labels or [], buckets=SECONDS, registry=self.registry)


class SessionFigures(SilentSink):
    """Counts the events of one session, and what its status says is lost."""

    def __init__(self, figures: TrackerFigures, status: Status) -> None:
        self._figures = figures
        self._status = status
        self._site = figures.site(status.site)
        self._counted = dict.fromkeys(_LOST, 0)

    async def emit(self, event: Event) -> None:
        """Count it."""
        figures = self._figures
        match event:
            case SessionStarted():
                figures.sessions.inc()
            case SessionEnded():
                figures.sessions.dec()
            case Turn(revision=0):
                figures.turns.labels(self._site, figures.emotion(event.emotion)).inc()
                latency = event.latency_ms
                figures.delay.observe(latency.after_end / 1000)
                figures.wait.observe(latency.end_of_turn / 1000)
                for stage in ("queued", "recognition", "encoding", "context"):
                    figures.stage.labels(stage).observe(getattr(latency, stage) / 1000)
            case Turn():
                figures.revisions.inc()
        self._count_losses()

    async def close(self) -> None:
        """Count what was lost last."""
        self._count_losses()

    def _count_losses(self) -> None:
        for name, before in self._counted.items():
            if (now := getattr(self._status, name)) > before:
                self._figures.lost[name].labels(self._site).inc(now - before)
                self._counted[name] = now


class _Models(Collector):
    """How the models keep up, asked for at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        level = GaugeMetricFamily("emotrack_overload_level", "0: nothing is left out; each step leaves out more.")
        level.add_metric([], int(self._engine.overload.level))
        yield level
        depth = GaugeMetricFamily("emotrack_queue_depth", "Turns that wait for a model.", labels=["model"])
        for model, waiting in self._engine.waiting.items():
            depth.add_metric([model], waiting)
        yield depth
