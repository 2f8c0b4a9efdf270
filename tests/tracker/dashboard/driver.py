"""Run the dashboard in this terminal with a made-up session until q is pressed; ``fail`` breaks it off instead."""

from __future__ import annotations

import asyncio
import os
import sys

from rich.console import Console

from emotrack.tracker.dashboard import Dashboard
from emotrack.tracker.session.status import LiveStatus
from tests.tracker.dashboard.made_up import ended, mark, renamed, started, turn


class MadeUpSession:
    """Controls over a session that only counts."""

    def __init__(self) -> None:
        self.status = LiveStatus(levels_dbfs=(-20.0,), speaking=(True,))
        self.dashboard = Dashboard(site="kitchen", status=self.status, controls=self, console=Console(), saved_to=None)
        self.stopped = asyncio.Event()

    def stop(self) -> None:
        self.stopped.set()

    def toggle_pause(self) -> None:
        self.status.paused = not self.status.paused

    def mark(self) -> None:
        self.marking = asyncio.get_running_loop().create_task(self.dashboard.emit(mark(42.0)))

    def rename(self, speaker: str, name: str) -> None:
        if name == "Nobody":
            raise ValueError("nobody is called that")
        self.marking = asyncio.get_running_loop().create_task(self.dashboard.emit(renamed(speaker, name)))

    async def run(self, mode: str) -> None:
        await self.dashboard.emit(started())
        for number in range(1, 31):
            await self.dashboard.emit(
                turn(number, speaker=f"speaker {1 + number % 2}", text=f"Turn {number} \x1b[2J of a long talk.")
            )
            await asyncio.sleep(0.01)
        os.write(2, b"a library complains\n")
        if mode == "fail":
            await asyncio.sleep(1)
            raise RuntimeError("the pipeline broke")
        await self.stopped.wait()
        await self.dashboard.emit(ended(30))
        await self.dashboard.close()


async def main(mode: str) -> None:
    session = MadeUpSession()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(session.dashboard.run())
        tasks.create_task(session.run(mode))


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except* RuntimeError as broken:
        print(f"emotrack: {broken.exceptions[0]}", file=sys.stderr)
