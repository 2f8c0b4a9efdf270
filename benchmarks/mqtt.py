"""The tracker among many microphones on an MQTT broker: processor time, latency, losses and memory.

    python benchmarks/mqtt.py [--sites 50] [--seconds 20] [--speed 1] [--asr none]       many at once, at their pace
    python benchmarks/mqtt.py --sites 20 --seconds 1800 --speed 3                        half an hour, hurried: memory

Starts a mosquitto on a loopback port, the installed command, and microphones in a process of their own, each of which
plays the bundled conversation again and again in Hermes frames of 32 ms. ``--speed 1`` is real time; faster than the
tracker can follow shows as frames that were dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' broker and microphones

from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.memory import resident_mib
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.tracker_process import TrackerProcess
from tests.tracker.mqtt.waiting import until

TICKS_PER_S = 100  # of the processor time in /proc


def processor_s(pid: int) -> float:
    """Processor time that a process has used, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


async def measure(sites: int, seconds: float, speed: float, asr: str, folder: Path) -> None:
    mosquitto = Mosquitto(folder)
    mosquitto.start()
    tracker = TrackerProcess(folder, "tracker", "--mqtt", mosquitto.url, "--asr", asr, "--max-sites", str(sites))
    got: list[dict[str, object]] = []

    def hear(message: Message) -> None:
        got.append(json.loads(message.payload))

    filters = [(f"emotrack/+/{kind}", 1) for kind in ("turn", "session", "error")]
    listener = Connection(read(mosquitto.url), "listener", on_message=hear, subscriptions=filters)
    listening = asyncio.create_task(listener.run())

    def count(kind: str) -> int:
        return sum(event["type"] == kind for event in got)

    try:
        await asyncio.to_thread(tracker.wait_until_ready)
        used_s, began = processor_s(tracker.process.pid), time.monotonic()
        command = [sys.executable, "-m", "tests.tracker.mqtt.microphones", str(mosquitto.port), str(sites)]
        microphones = await asyncio.create_subprocess_exec(
            *command, str(seconds), str(speed), stdout=subprocess.DEVNULL
        )
        playing = asyncio.create_task(microphones.wait())
        while not playing.done():
            await asyncio.wait({playing}, timeout=min(60.0, seconds / speed / 4))
            minutes = (time.monotonic() - began) * speed / 60
            print(f"after {minutes:5.1f} minutes: {resident_mib(tracker.process.pid):.0f} MiB", flush=True)
        await until(lambda: count("source_lost") >= sites, 60)
        used_s = processor_s(tracker.process.pid) - used_s
        await asyncio.to_thread(tracker.interrupt)
        await until(lambda: count("session_ended") == sites, 30)
    finally:
        tracker.kill()
        await listener.close()
        await listening
        mosquitto.stop()

    turns = [event for event in got if event["type"] == "turn" and not event["revision"]]
    after_end = sorted(turn["latency_ms"]["after_end"] for turn in turns)  # type: ignore[index]
    ends = [event for event in got if event["type"] == "session_ended"]
    print(f"sites                        {sites}")
    print(f"frames sent                  {sites * round(seconds / 0.032)}")
    print(f"frames dropped               {sum(end['dropped_frames'] for end in ends)}")  # type: ignore[misc]
    print(f"turns scored, dropped        {len(turns)}, {sum(end['dropped_turns'] for end in ends)}")  # type: ignore[misc]
    print(f"errors told                  {count('error')}")
    print(f"processor, of one core       {100 * used_s * speed / seconds:.0f} %")
    print(f"end of turn to event, ms     {statistics.median(after_end):.0f} median, {after_end[-1]:.0f} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0, help="of audio for each site")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--asr", default="none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(arguments.sites, arguments.seconds, arguments.speed, arguments.asr, Path(folder)))


if __name__ == "__main__":
    main()
