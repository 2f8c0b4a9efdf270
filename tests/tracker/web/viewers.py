"""Ten viewers and one who sends audio, as a process of their own: ``python -m tests.tracker.web.viewers HOST:PORT``."""

from __future__ import annotations

import asyncio
import json
import sys

from websockets.asyncio.client import connect

VIEWERS = 10
RATE, BLOCK = 48_000, 2048  # as a browser sends


async def view(host: str) -> None:
    async with connect(f"ws://{host}/events", proxy=None) as connection:
        await connection.send('{"type":"enter"}')
        async for _ in connection:
            pass


async def send(host: str) -> None:
    async with connect(f"ws://{host}/audio", proxy=None) as connection:
        await connection.send(json.dumps({"type": "audio", "rate": RATE, "channels": 1, "format": "s16le"}))
        await connection.recv()
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        while True:
            await connection.send(bytes(2 * BLOCK))
            sent += 1
            await asyncio.sleep(began + sent * BLOCK / RATE - loop.time())


async def main(host: str) -> None:
    async with asyncio.TaskGroup() as together:
        for _ in range(VIEWERS):
            together.create_task(view(host))
        together.create_task(send(host))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
