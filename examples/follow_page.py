"""Follow what a running ``emotrack live --web`` or ``emotrack watch --web`` tells, over its WebSocket.

    python examples/follow_page.py ws://localhost:8717/

Where the page is not for its own computer alone, the link's token goes behind the address: ``ws://host:8717/#TOKEN``.
It comes back by itself, and goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def follow(address: str) -> None:
    """Print every turn as it is known at first."""
    page, _, token = address.partition("#")
    last_event = None
    async for connection in connect(page.rstrip("/") + "/events"):
        enter = {"type": "enter", "token": token or None, "last_event": last_event}
        try:
            await connection.send(json.dumps(enter))
            async for text in connection:
                message = json.loads(text)
                if message["type"] != "events":
                    continue
                last_event = message["last_event"]
                for event in message["events"]:
                    if event["type"] == "turn" and event["revision"] == 0:
                        print(f"{event['start_s']:7.1f} s  {event['speaker']}: {event['emotion']}", flush=True)
        except ConnectionClosed as closed:
            if closed.rcvd and closed.rcvd.code in {4400, 4401}:
                raise SystemExit(closed.rcvd.reason) from None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", default="ws://localhost:8717/", help="(default: %(default)s)")
    asyncio.run(follow(parser.parse_args().address))
