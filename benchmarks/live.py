"""How long the parts of ``emotrack live`` take, as a user meets them.

    python benchmarks/live.py [--repeats N] [--json FILE]

Runs the installed command on the bundled conversation and prints medians (and the range): time of ``--help``, time
from start to ready, and each turn's latency with captions at real pace. Times differ from machine to machine and from
hour to hour: compare figures of one run only.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

CONVERSATION = Path(__file__).parents[1] / "examples" / "kitchen-table"
EMOTRACK = [sys.executable, "-m", "emotrack.tracker.cli"]


def help_s() -> float:
    """Wall time of ``emotrack --help``, seconds."""
    began = time.perf_counter()
    subprocess.run([*EMOTRACK, "--help"], check=True, capture_output=True)
    return time.perf_counter() - began


def ready_s(*options: str) -> float:
    """Wall time from the start of the process to the line "ready", seconds."""
    began = time.perf_counter()
    command = [*EMOTRACK, "live", "--file", str(CONVERSATION.with_suffix(".flac")), "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if re.match(r"emotrack: ready", line):
                taken = time.perf_counter() - began
                process.terminate()
                return taken
    raise RuntimeError("emotrack live never became ready")


def latencies_ms(*options: str) -> dict[str, list[float]]:
    """Every turn's latency figures over the conversation at its own pace, milliseconds."""
    command = [*EMOTRACK, "live", "--file", str(CONVERSATION.with_suffix(".flac")), "--json", *options]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    turns = [event for line in result.stdout.splitlines() if (event := json.loads(line))["type"] == "turn"]
    return {name: [turn["latency_ms"][name] for turn in turns] for name in turns[0]["latency_ms"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each start-up figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the raw figures")
    arguments = parser.parse_args()

    captions = ("--captions", str(CONVERSATION.with_suffix(".vtt")))
    figures: dict[str, list[float]] = {
        "--help, s": [help_s() for _ in range(arguments.repeats)],
        "start to ready, captions, s": [ready_s(*captions) for _ in range(arguments.repeats)],
        "start to ready, PocketSphinx, s": [ready_s("--asr", "pocketsphinx") for _ in range(arguments.repeats)],
    }
    for name, values in latencies_ms(*captions).items():
        figures[f"turn, captions, {name}, ms"] = values
    for name, values in latencies_ms("--asr", "pocketsphinx").items():
        figures[f"turn, PocketSphinx, {name}, ms"] = values
    print(f"{'':44} {'median':>8} {'min':>8} {'max':>8}")
    for name, values in figures.items():
        print(f"{name:44} {statistics.median(values):8.2f} {min(values):8.2f} {max(values):8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
