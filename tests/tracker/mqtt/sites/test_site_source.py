"""One site's audio messages as a source: what is lost, what is only late, and what comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrack.tracker.audio import SAMPLE_RATE, AudioChunk, SourceItem, SourceLost, SourceRestored
from emotrack.tracker.mqtt.sites import site_source
from emotrack.tracker.mqtt.sites.arrival import DRIFT, LATE_S, Arrival, ArrivalClock
from emotrack.tracker.mqtt.sites.site_source import MAX_WAITING_S, SiteSource
from tests.tracker.mqtt.microphones import wav

FRAME = 512
FRAME_S = FRAME / SAMPLE_RATE
RAW = "audio/x-raw;format=S16LE;rate=16000;channels=1"
RANDOM = np.random.default_rng(7)
NOISE = RANDOM.normal(0, 0.1, (400, FRAME)).astype(np.float32)


def listen(
    script: Callable[[SiteSource], object], later: Sequence[Callable[[SiteSource], object]] = (), start_s: float = 0.0
) -> tuple[list[SourceItem], SiteSource]:
    """Everything a source delivers of what ``script`` puts in, and ``later`` once it has fallen silent."""

    async def run() -> tuple[list[SourceItem], SiteSource]:
        source, items, following = SiteSource("kitchen", idle_s=0.3, start_s=start_s), [], list(later)
        script(source)
        async for item in source.items():
            items.append(item)
            if isinstance(item, SourceLost) and following:
                following.pop(0)(source)
        return items, source

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_source, "STALL_S", 0.1)
    monkeypatch.setattr(site_source, "SETTLE_S", 0.02)


def put(source: SiteSource, number: int, at_s: float | None, *, numbered: bool = False) -> None:
    pcm = (NOISE[number % len(NOISE)] * 32767).astype("<i2").tobytes()
    if numbered:
        source.put(pcm, RAW, number * FRAME, at_s)
    else:
        source.put(wav(NOISE[number % len(NOISE)]), None, None, at_s)


def heard(items: list[SourceItem]) -> list[tuple[int, int]]:
    """The stretches of the stream that came without a break, in frames."""
    stretches: list[tuple[int, int]] = []
    for item in items:
        if isinstance(item, AudioChunk):
            if stretches and stretches[-1][1] == item.start:
                stretches[-1] = (stretches[-1][0], item.end)
            else:
                stretches.append((item.start, item.end))
    return [(round(start / FRAME), round(end / FRAME)) for start, end in stretches]


def test_what_comes_in_time_is_heard_without_a_break() -> None:
    items, source = listen(lambda s: [put(s, n, n * FRAME_S) for n in range(50)])
    assert heard(items) == [(0, 50)]
    assert not source.dropped
    sounds = np.concatenate([item.samples for item in items if isinstance(item, AudioChunk)])
    np.testing.assert_allclose(sounds[:, 0], np.clip(NOISE[:50].ravel(), -1, 1), atol=1e-4)
    assert isinstance(items[-1], SourceLost)


def test_a_session_that_goes_on_here_goes_on_with_its_clock() -> None:
    items, _ = listen(lambda s: put(s, 0, 100.0), start_s=64.0)
    assert heard(items) == [(2000, 2001)]


def test_jitter_and_a_burst_after_a_stall_lose_nothing() -> None:
    def script(source: SiteSource) -> None:
        for n in range(20):
            put(source, n, n * FRAME_S + 0.1 * (n % 2))
        for n in range(20, 60):  # 1 s later all that had been held up at once
            put(source, n, 60 * FRAME_S + n * 1e-4)
        for n in range(60, 80):
            put(source, n, n * FRAME_S + 0.05)

    items, _ = listen(script)
    assert heard(items) == [(0, 80)]


def test_what_was_lost_moves_the_clock_on() -> None:
    def script(source: SiteSource) -> None:
        for n in [*range(20), *range(45, 60)]:  # 0.8 s missing
            put(source, n, n * FRAME_S)

    items, _ = listen(script)
    assert heard(items) == [(0, 20), (45, 60)]


def test_what_waited_here_is_not_late() -> None:
    def script(source: SiteSource) -> None:
        for n in range(20):
            put(source, n, n * FRAME_S)
        for n in range(20, 60):  # we were busy for two seconds, and read them one after the other
            put(source, n, None)
        for n in range(60, 80):
            put(source, n, n * FRAME_S)

    items, _ = listen(script)
    assert heard(items) == [(0, 80)]


def test_a_sender_that_fell_silent_comes_back_later_on_the_clock() -> None:
    items, _ = listen(
        lambda s: [put(s, n, n * FRAME_S) for n in range(10)],
        [lambda s: put(s, 10, 10 * FRAME_S + 5.0)],
    )
    kinds = [type(item) for item in items if not isinstance(item, AudioChunk)]
    assert kinds == [SourceLost, SourceRestored, SourceLost]
    restored = next(item for item in items if isinstance(item, SourceRestored))
    assert restored.seconds_lost == pytest.approx(5.0, abs=0.05)
    assert heard(items)[1][0] == pytest.approx(10 + 5.0 / FRAME_S, abs=2)


def test_numbered_messages_come_in_their_order_once_each_and_gaps_are_exact() -> None:
    order = [0, 1, 2, 4, 3, 5, 5, 6, 2, 7, 12, 13]

    def script(source: SiteSource) -> None:
        for n in order:
            put(source, n, n * FRAME_S, numbered=True)

    items, source = listen(script)
    assert heard(items) == [(0, 8), (12, 14)]
    assert source.dropped == {"late": 2}


def test_a_sender_that_starts_again_is_heard() -> None:
    def script(source: SiteSource) -> None:
        for n in range(100, 200):
            put(source, n, n * FRAME_S, numbered=True)
        for n in range(5):
            put(source, n, (200 + n) * FRAME_S, numbered=True)
        source.put(bytes(2 * FRAME), RAW, 10**14, 205 * FRAME_S)

    items, source = listen(script)
    assert heard(items) == [(0, 106)]
    assert not source.dropped


def test_the_same_message_twice_is_heard_once_but_silence_may_repeat_itself() -> None:
    def script(source: SiteSource) -> None:
        for n in range(20):
            put(source, n, n * FRAME_S)
            put(source, n, n * FRAME_S + 0.001)  # a bridge that loops
        for n in range(20, 40):
            source.put(wav(np.zeros(FRAME, np.float32)), None, None, n * FRAME_S - 1.0)

    items, source = listen(script)
    assert heard(items) == [(0, 40)]
    assert source.dropped == {"repeated": 20}


def test_too_much_at_once_costs_the_oldest_and_the_clock_knows() -> None:
    count = round(2 * MAX_WAITING_S / FRAME_S)
    items, source = listen(lambda s: [put(s, n, n * 1e-5) for n in range(count)])
    ((start, end),) = heard(items)
    assert end == count
    assert start == pytest.approx(count / 2, abs=1)
    assert source.dropped == {"overrun": start}
    assert source.dropped_frames == start


def test_it_tells_how_late_the_oldest_of_what_waits_is() -> None:
    async def run() -> list[float]:
        source = SiteSource("kitchen", idle_s=0.3)
        nothing = source.late_s
        put(source, 0, 0.0)
        put(source, 1, FRAME_S)
        await asyncio.sleep(0.1)
        put(source, 2, 2 * FRAME_S)
        oldest = source.late_s
        return [nothing, oldest, *[source.late_s async for _ in source.items()]]

    nothing, oldest, younger, *_, end = asyncio.run(run())  # a chunk has two messages
    assert nothing == end == 0.0
    assert oldest >= 0.1 > younger


def test_a_site_without_audio_ends() -> None:
    items, _ = listen(lambda _: None)
    assert items == []


@settings(max_examples=30)
@given(st.lists(st.floats(0, 0.2), min_size=200, max_size=200), st.floats(-DRIFT, 0.9 * DRIFT))
def test_neither_jitter_nor_a_drifting_clock_is_taken_for_loss(jitter: list[float], drift: float) -> None:
    clock = ArrivalClock()
    for number in range(20_000):  # ten minutes
        at_s = number * FRAME_S * (1 + drift) + jitter[number % len(jitter)]
        arrival = Arrival(at_s, FRAME_S, number)
        assert clock.behind_s(arrival) < LATE_S
        clock.take(arrival)


@given(st.integers(10, 1000), st.floats(LATE_S + 0.01, 100))
def test_a_loss_shows_as_long_as_it_is(number: int, lost_s: float) -> None:
    clock = ArrivalClock()
    for n in range(number):
        clock.take(Arrival(n * FRAME_S, FRAME_S, n))
    assert clock.behind_s(Arrival(number * FRAME_S + lost_s, FRAME_S, -1)) == pytest.approx(lost_s, abs=1e-6)
