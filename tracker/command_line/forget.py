"""``emotrack forget``: have a broker and Home Assistant forget sites that are no more."""

from __future__ import annotations

import argparse
import asyncio
import secrets

from emotrack.errors import UsageError
from emotrack.tracker.command_line.broker_options import broker_options
from emotrack.tracker.messages.output import say
from emotrack.tracker.mqtt.connection.broker import read_broker
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.payloads import MAX_NAME_CHARS
from emotrack.tracker.mqtt.ownership.forget import end, forget


def run_forget(arguments: argparse.Namespace) -> int:
    """Forget each of the sites; returns the exit code. Raises ``EmotrackError`` for what the user can mend."""
    broker = read_broker(arguments.broker, broker_options(arguments))
    if not all(0 < len(site) <= MAX_NAME_CHARS for site in arguments.site):
        raise UsageError(f"SITE: a name of 1 to {MAX_NAME_CHARS} characters")

    async def run() -> None:
        client_id = f"{topics.ROOT}-forget-{secrets.token_hex(4)}"
        for site in arguments.site:
            was_served = await end(broker, client_id, site)
            was_kept = await forget(broker, client_id, site)
            say(f"{site}: {'forgotten' if was_served or was_kept else 'the broker kept nothing of it'}")

    asyncio.run(run())
    return 0
