"""Turn latency as a user's machine has it, who never runs emotrack alone: beside one and two busy programs.

A busy program is an endless loop, at the same priority. Everything else is as in ``turn_latency``. Latency counts from
when the turn was heard to have ended: where a machine is too slow for a recording's pace, emotrack and the script both
read it later, and lose nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.figures import Benchmark, Figure, Found, Note, Settings
from benchmarks.processes import watch
from benchmarks.turn_latency import TRACKERS, word_sources
from benchmarks.whisper import whisper

LOADS = (1, 2)
COMPARED = ("emotrack", "straight-line script")
# It ends by itself when the benchmark has ended, however that was.
_BUSY = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(100_000):
        pass
"""


@contextmanager
def busy_programs(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many programs that want a core each."""
    with ExitStack() as started:
        programs = []
        for _ in range(count):
            program = started.enter_context(subprocess.Popen([sys.executable, "-c", _BUSY, str(os.getpid())]))
            started.callback(program.kill)
            programs.append(program)
        yield programs


def measure(settings: Settings) -> Found:
    """Yield the latencies, ms; a quick look takes the recogniser that suffers most, beside two."""
    tiny = whisper("tiny", settings.workspace)
    kinds = word_sources(tiny)
    if settings.quick:
        kinds = {"Whisper tiny": kinds["Whisper tiny"]}
    for count in LOADS[-1:] if settings.quick else LOADS:
        for kind, options in kinds.items():
            for tracker in COMPARED:
                with busy_programs(count):
                    run = watch([*TRACKERS[tracker], *options])
                row = f"after the end, {kind}, beside {count}"
                yield Figure(row, tracker, "ms", run.latencies_ms("after_end"))
    yield Note(tiny.note)


BENCHMARK = Benchmark("busy", "Turn latency beside busy programs", measure)
