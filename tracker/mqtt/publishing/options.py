"""How a process publishes, and how a worker of many sites serves one of them."""

from __future__ import annotations

from dataclasses import dataclass

from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.format.payloads import Snapshot
from emotrack.tracker.mqtt.ownership.claims import Claims
from emotrack.tracker.mqtt.publishing.losses import Losses
from emotrack.tracker.understanding.engine import Engine


@dataclass(frozen=True, slots=True)
class Publishing:
    """How a process publishes: to which broker, and how much."""

    broker: Broker
    worker: str
    """The process's own name on the broker; client ids begin with it."""
    is_full: bool
    """Publish the voice activity and the metrics too."""
    engine: Engine
    """Whose queues the metrics tell."""
    with_text: bool = True
    """Whether what is left to another worker has words."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How a worker of many sites serves one of them."""

    claims: Claims
    """Those of the worker, which has claimed the site."""
    losses: Losses
    group: str | None = None
    """The workers that share the sites; the site's latest state is left to them after every turn."""
    hermes_session: str | None = None
    """That of the voice assistant which asked for the words."""
    snapshot: Snapshot | None = None
    """Where another worker left the conversation that goes on here."""
