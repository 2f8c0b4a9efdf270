"""A tracker as a process, watched from outside: when it is ready, what it prints, what it takes."""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICKS_PER_S = 100  # of the processor time in /proc
LOOK_EVERY_S = 0.2
AROUND_S = 2.0  # after it is ready and before its end, which are beginning and ending, not going on

EMOTRACK = [sys.executable, "-m", "emotrack.command_line", "live", "--json", "--file"]
SCRIPT = [sys.executable, "-m", "benchmarks.straight_line"]
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen of a process from its start to its end."""

    ready_s: float
    """From its start to its saying so."""
    turns: list[dict[str, Any]]
    """Its turns, each as it was first published."""
    share_of_core: float
    """Processor time over wall time while it goes on; all of a run too short for that."""
    resident_mib: float
    """Memory at the end."""

    def latencies_ms(self, *names: str) -> tuple[float, ...]:
        """The sum of the named latencies, of every turn."""
        return tuple(sum(turn["latency_ms"][name] for name in names) for turn in self.turns)


def watch(command: Sequence[str]) -> Run:
    """Run ``command`` to its end. Raises ``RuntimeError`` when it fails, with what it said."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if "ready" in line:
                break
        ready_s = time.perf_counter() - began
        printed: list[str] = []
        readers = [
            threading.Thread(target=lines.extend, args=(stream,))
            for lines, stream in ((printed, process.stdout), (said, process.stderr))
        ]
        for reader in readers:
            reader.start()
        looks = [(time.perf_counter(), _processor_s(process.pid))]
        resident = 0.0
        while process.poll() is None:
            with contextlib.suppress(OSError, IndexError):  # it may end between two looks
                looks.append((time.perf_counter(), _processor_s(process.pid)))
                resident = resident_mib(process.pid) or resident
            time.sleep(LOOK_EVERY_S)
        for reader in readers:
            reader.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {''.join(said).strip()}")
    events = [json.loads(line) for line in printed]
    turns = [event for event in events if event["type"] == "turn" and not event.get("revision")]
    settled = [look for look in looks if looks[0][0] + AROUND_S <= look[0] <= looks[-1][0] - AROUND_S]
    (since, used_s), *_, (until, in_all_s) = settled if len(settled) > 1 else [looks[0], looks[-1]]
    return Run(ready_s, turns, (in_all_s - used_s) / max(until - since, 1e-9), resident)


def help_s() -> float:
    """Wall time of ``emotrack --help``, seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "emotrack.command_line", "--help"], check=True, capture_output=True)
    return time.perf_counter() - began


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_mib(pid: int | str = "self") -> float:
    """The resident set of a process, in MiB; 0 when it has just ended."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
