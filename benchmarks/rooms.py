"""How many conversations one process holds: rooms in which people never stop talking, until answers come late.

Every room plays the bundled conversation from a place of its own, at its own pace. A step is too much when the 95th
percentile of the time from the end of a turn to its event exceeds half a second, or when turns go without their words
to catch up. The time counts from when the audio was there, so a listener that lags behind is late, too. Turns that the
end of the audio cuts off do not count: no rooms fall silent all at once. With and without batching, each in a process
of its own, take turns at every step.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np

from benchmarks.figures import Benchmark, Figure, Found, Note, Settings, percentile
from benchmarks.processes import resident_mib
from benchmarks.speech import CONVERSATION, Room, mono
from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE
from emotrack.tracker.events import Event, Turn
from emotrack.tracker.hearing.segmenter import SegmenterOptions

if TYPE_CHECKING:
    from emotrack.tracker.understanding.engine import Engine

STEPS = {"no recogniser": (10, 20, 40, 60, 80, 120, 160), "Moonshine tiny": (2, 4, 8, 12, 16, 24)}
LATE_MS = 500.0
SKIPPED = "skipped_to_catch_up"
SECONDS = 20.0
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE


class Answers:
    """A sink that notes how late each turn's event is."""

    def __init__(self, room: Room) -> None:
        self.late_ms: list[float] = []
        self.wordless = 0
        self._room = room

    async def emit(self, event: Event) -> None:
        if isinstance(event, Turn) and not event.revision:
            speech_end_s = event.end_s - SegmenterOptions().trailing_s
            decided_s = max(event.end_s, speech_end_s + event.latency_ms.end_of_turn / 1000)
            if decided_s > self._room.seconds - FRAME_S:
                return
            self.wordless += event.text_rejected == SKIPPED
            self.late_ms.append(1000 * (time.monotonic() - self._room.began - decided_s))

    async def close(self) -> None: ...


@dataclass(slots=True)
class Held:
    """What a number of rooms took."""

    share_of_core: float
    resident_mib: float
    late_ms: list[float]
    lost: int
    """Turns that were scored without their words to catch up, and turns that were dropped."""


def measure(settings: Settings) -> Found:
    """Yield how late turns are, ms, what that takes, and how many rooms were held."""
    spawn = multiprocessing.get_context("spawn")
    for kind, steps in STEPS.items():
        asr = "none" if kind == "no recogniser" else "moonshine"
        open_ones = {}
        held = {}
        try:
            for column, batches in (("batched", True), ("one by one", False)):
                open_ones[column] = ProcessPoolExecutor(1, spawn, initializer=_start, initargs=(asr, batches))
            for count in steps[:2] if settings.quick else steps:
                for column, process in list(open_ones.items()):
                    found = process.submit(_hold, count, 8.0 if settings.quick else SECONDS).result()
                    yield from _figures(f"{count} rooms, {kind}", column, found)
                    if percentile(found.late_ms, 95) > LATE_MS or found.lost:
                        open_ones.pop(column).shutdown()
                    else:
                        held[column] = count
        finally:
            for process in open_ones.values():
                process.shutdown()
        for column, count in held.items():
            yield Figure(f"held, {kind}", column, "rooms", (float(count),))
    yield Note(f"Rooms are held while the 95th percentile is at most {LATE_MS:.0f} ms and no turn is degraded.")


def _figures(row: str, column: str, held: Held) -> Found:
    yield Figure(row, column, "ms", tuple(held.late_ms))
    yield Figure(f"{row}, of one core", column, "%", (100 * held.share_of_core,))
    yield Figure(f"{row}, memory", column, "MiB", (held.resident_mib,))
    yield Figure(f"{row}, turns degraded or dropped", column, "%", (100 * held.lost / len(held.late_ms),))


_engine: Engine  # of the process that holds rooms


def _start(asr: str, batches: bool) -> None:
    global _engine
    from emotrack.tracker.understanding import engine
    from emotrack.tracker.understanding.batching import ALONE
    from emotrack.tracker.understanding.loading import load_engine

    if not batches:
        mock.patch.multiple(engine, _CPU_SPEECH=ALONE, _CPU_TEXT=ALONE, _CONTEXT=ALONE).start()
    _engine = load_engine("mini", asr, "cpu", "en", own_process=True)


def _hold(count: int, seconds: float) -> Held:
    return asyncio.run(hold(_engine, count, seconds))


async def hold(engine: Engine, count: int, seconds: float) -> Held:
    """Let ``count`` rooms talk for ``seconds``."""
    from emotrack.tracker.session.controls import Controls
    from emotrack.tracker.session.live_session import LiveSession
    from emotrack.tracker.session.options import SessionOptions
    from emotrack.tracker.session.status import LiveStatus

    audio = mono(CONVERSATION)
    draw = random.Random(count)  # noqa: S311  # the same places at every run
    rooms = [Room(np.roll(audio, draw.randrange(len(audio))), seconds) for _ in range(count)]
    answers = [Answers(room) for room in rooms]
    options, statuses = SessionOptions(speculate=True, provisional=True), [LiveStatus() for _ in rooms]
    sessions = [
        LiveSession(room, engine, [sink], Controls(status, engine.network.labels), options)
        for room, sink, status in zip(rooms, answers, statuses, strict=True)
    ]
    used_s, began = _processor_s(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for session in sessions:
            group.create_task(session.run())
            await asyncio.sleep(seconds / 20 / count)  # their frames do not come at one moment either
    share = (_processor_s() - used_s) / (time.monotonic() - began)
    lost = sum(status.dropped_turns for status in statuses) + sum(sink.wordless for sink in answers)
    late_ms = [late for sink in answers for late in sink.late_ms] or [1000 * seconds]  # if nobody answered, that late
    return Held(share, resident_mib(), late_ms, lost)


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


BENCHMARK = Benchmark("rooms", "Rooms: how many conversations one process holds", measure)
