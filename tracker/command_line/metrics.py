"""``--metrics``: figures for Prometheus, and whether the tracker is healthy. Its library is an extra."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from emotrack.errors import UsageError
from emotrack.tracker.options import PORTS

if TYPE_CHECKING:
    from emotrack.tracker.metrics.endpoint import MetricsEndpoint
    from emotrack.tracker.session.status import Status
    from emotrack.tracker.sinks.json_lines import Sink
    from emotrack.tracker.understanding.engine import Engine

_ADDRESS: Final = re.compile(r"(?:(?P<host>[\w.-]+|\[[0-9A-Fa-f:]+\]):)?(?P<port>\d{1,5})")


def add_metrics_option(group: argparse._ArgumentGroup) -> None:
    """Add ``--metrics``."""
    group.add_argument(
        "--metrics",
        metavar="[HOST:]PORT",
        help="serve figures for Prometheus at /metrics, and /healthz and /readyz (HOST: 127.0.0.1 unless given)",
    )


def open_metrics(arguments: argparse.Namespace) -> MetricsEndpoint | None:
    """The endpoint, its port taken already; None where none is wanted. Raises ``UsageError``."""
    if arguments.metrics is None:
        return None
    found = _ADDRESS.fullmatch(arguments.metrics)
    if found is None or int(found["port"]) not in PORTS:
        raise UsageError(f"--metrics: {arguments.metrics!r} is no [HOST:]PORT, such as 9464 or 0.0.0.0:9464")
    from emotrack.tracker.metrics.endpoint import DEFAULT_HOST, MetricsEndpoint

    return MetricsEndpoint((found["host"] or DEFAULT_HOST).strip("[]"), int(found["port"]))


def metrics_of(
    endpoint: MetricsEndpoint | None, engine: Engine, is_ready: Callable[[], bool]
) -> tuple[Callable[[Status], list[Sink]], AbstractAsyncContextManager[None]]:
    """What makes the sinks that count a session, if any, and the block within which their figures are served."""
    if endpoint is None:
        return lambda _: [], nullcontext()
    from importlib.metadata import version

    from emotrack.tracker.metrics.figures import TrackerFigures

    figures = TrackerFigures(engine, version("emotrack"))
    return lambda status: [figures.of(status)], endpoint.serving(figures.registry, is_ready)
