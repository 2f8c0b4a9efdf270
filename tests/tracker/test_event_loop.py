"""The event loop is never held up: what takes long is done in threads."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from emotrack.models.bundle import load_bundle
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.sinks.json_lines import JsonLines
from emotrack.tracker.understanding.captions import Captions, read_captions
from emotrack.tracker.understanding.loading import recogniser_threads
from tests.tracker.kitchen_table import CAPTIONS, samples
from tests.tracker.scripted import Recorder, ScriptedSource, chunks, session

LONGEST_S = 0.020


@contextmanager
def watched() -> Iterator[list[float]]:
    """What each callback of the event loop costs: seconds of its thread's own time, which other programs do not share.

    Time in which it waits for nothing but a core is not counted, else a busy machine would be to blame. Nor is what the
    process of the tests holds searched for garbage meanwhile: a tracker's process keeps what it loads out of that, too.
    """
    costs: list[float] = []
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        costs.append(time.thread_time() - began)

    gc.collect()
    gc.freeze()
    try:
        with patch.object(asyncio.Handle, "_run", timed):
            yield costs
    finally:
        gc.unfreeze()


def test_the_watch_sees_who_holds_the_loop_up() -> None:
    async def hog() -> None:
        began = time.thread_time()
        while time.thread_time() - began < 1.5 * LONGEST_S:
            pass

    with watched() as costs:
        asyncio.run(hog())
    assert max(costs) > LONGEST_S


def test_a_session_never_holds_the_event_loop_up(tmp_path: Path) -> None:
    """Words, voice, speculation, looks at turns under way, and a file to write to."""
    network = load_bundle("mini")
    source = ScriptedSource(chunks(samples()[: 25 * SAMPLE_RATE]), channels=2)
    recorder, file = Recorder(), JsonLines.to_file(tmp_path / "session.jsonl")
    captions = Captions(read_captions(CAPTIONS))
    live = session(source, network, recorder, file, captions=captions, speculate=True, provisional=True)
    source.is_ready = lambda: live.is_idle
    with watched() as costs:
        asyncio.run(live.run())
    assert len(recorder.turns) >= 6
    assert "provisional" in recorder.types
    assert len(costs) > 1000
    assert max(costs) < LONGEST_S


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 3), (64, 4)])
def test_a_recogniser_leaves_a_core_of_several_to_the_others(cores: int, threads: int) -> None:
    assert recogniser_threads(cores) == threads
