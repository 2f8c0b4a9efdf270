"""What whoever operates a tracker is told."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from emotrack.command_line import main
from emotrack.errors import UsageError
from emotrack.models.network import EmotionNetwork
from emotrack.tracker.events import Event
from emotrack.tracker.metrics import endpoint as endpoints
from emotrack.tracker.metrics.endpoint import MetricsEndpoint
from emotrack.tracker.metrics.figures import MAX_SITES, OTHER, TrackerFigures
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.understanding.engine import Engine
from tests.tracker.dashboard.made_up import ended, started, turn

T = TypeVar("T")


@pytest.fixture
def figures(network: EmotionNetwork) -> TrackerFigures:
    return TrackerFigures(Engine(network, None), "1.2.3")


def count(figures: TrackerFigures, status: LiveStatus, *events: Event) -> None:
    async def run() -> None:
        counts = figures.of(status)
        for event in events:
            await counts.emit(event)
        await counts.close()

    asyncio.run(run())


def value(figures: TrackerFigures, name: str, **labels: str) -> float | None:
    return figures.registry.get_sample_value(name, labels)


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def serve(registry: CollectorRegistry, then: Callable[[int], T], *, is_ready: bool = True, blocked: bool = False) -> T:
    """What ``then`` finds at the port while the endpoint serves, its event loop ``blocked`` or not."""
    endpoint = MetricsEndpoint("127.0.0.1", 0)

    async def run() -> T:
        async with endpoint.serving(registry, lambda: is_ready):
            if blocked:
                return then(endpoint.port)
            return await asyncio.to_thread(then, endpoint.port)

    return asyncio.run(run())


def test_turns_are_counted_once_and_their_delays_are_in_seconds(figures: TrackerFigures) -> None:
    first = turn(1, "joy", after_end=40.0)
    count(
        figures, LiveStatus(site="kitchen"), started(), first, first.model_copy(update={"revision": 1}), turn(2, "rage")
    )
    assert value(figures, "emotrack_turns_total", site="kitchen", emotion="joy") == 1
    assert value(figures, "emotrack_turns_total", site="kitchen", emotion=OTHER) == 1  # the bundle knows no rage
    assert value(figures, "emotrack_revisions_total") == 1
    assert value(figures, "emotrack_turn_delay_seconds_sum") == pytest.approx(0.24)
    assert value(figures, "emotrack_turn_delay_seconds_bucket", le="0.05") == 1
    assert value(figures, "emotrack_stage_seconds_sum", stage="recognition") == pytest.approx(0.3)
    assert value(figures, "emotrack_sessions") == 1
    count(figures, LiveStatus(), ended(1))
    assert value(figures, "emotrack_sessions") == 0


def test_what_is_lost_is_counted_by_site_over_all_its_sessions(figures: TrackerFigures) -> None:
    for dropped in (2, 3):
        count(figures, LiveStatus(site="hall", dropped_turns=dropped, text_skipped=1), started(), turn(1))
    assert value(figures, "emotrack_dropped_turns_total", site="hall") == 5
    assert value(figures, "emotrack_text_skipped_total", site="hall") == 2
    assert value(figures, "emotrack_dropped_frames_total", site="hall") is None


def test_sites_without_end_share_a_label(figures: TrackerFigures) -> None:
    for number in range(MAX_SITES + 40):
        count(figures, LiveStatus(site=f"site {number}"), turn(1, "joy"))
    (turns,) = [family for family in figures.registry.collect() if family.name == "emotrack_turns"]
    assert len({sample.labels["site"] for sample in turns.samples}) == MAX_SITES + 1
    assert value(figures, "emotrack_turns_total", site=OTHER, emotion="joy") == 40


def test_a_scrape_is_quick_and_can_be_read(figures: TrackerFigures) -> None:
    for number in range(MAX_SITES):
        count(
            figures, LiveStatus(site=f'a "site"\n{number}'), *(turn(1, label) for label in ("joy", "anger", "neutral"))
        )

    def scrape(port: int) -> tuple[float, str]:
        took = []
        for _ in range(5):
            began = time.perf_counter()
            status, text = ask(port, "/metrics")
            took.append(time.perf_counter() - began)
            assert status == 200
        return min(took), text

    took, text = serve(figures.registry, scrape)
    assert took < 0.1, "with as many sites as there can be; with one it takes 3 ms"
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families["emotrack_turns"].samples) >= 3 * MAX_SITES
    assert families["emotrack_info"].samples[0].labels["version"] == "1.2.3"
    assert {sample.labels["model"] for sample in families["emotrack_queue_depth"].samples} >= {"recognition", "context"}


def test_health_is_the_event_loops_and_readiness_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = CollectorRegistry()

    def states(port: int) -> list[int]:
        return [ask(port, path)[0] for path in ("/healthz", "/readyz", "/elsewhere")]

    assert serve(empty, states) == [200, 200, 404]
    assert serve(empty, states, is_ready=False) == [200, 503, 404]
    monkeypatch.setattr(endpoints, "STALLED_S", 0.0)
    assert serve(empty, states, blocked=True) == [503, 503, 404]


@pytest.mark.parametrize("given", ["", "x", "0", "65536", "host:", ":1", "1:2:3", "-1"])
def test_what_is_no_port_is_one_line(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "--mic", f"--metrics={given}"]) == 2
    assert capsys.readouterr().err.startswith(f"emotrack: --metrics: {given!r} is no [HOST:]PORT")


def test_a_port_that_is_taken_is_one_line() -> None:
    first = MetricsEndpoint("127.0.0.1", 0)
    with pytest.raises(UsageError, match=rf"--metrics: cannot listen at 127.0.0.1:{first.port}: "):
        MetricsEndpoint("127.0.0.1", first.port)
