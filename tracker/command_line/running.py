"""What a run over one microphone and a run over those of a broker have in common."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine
from typing import Final, Protocol

from emotrack.tracker.interrupts import stopped_by_signals

CONSENT: Final = "Everyone who can be heard should know that emotions are being estimated here."
NO_COMMANDS: Final = "Commands over MQTT are off: nobody there can start, stop, pause or label."


def saved_to(arguments: argparse.Namespace) -> str | None:
    """Where the session is kept, and whether the voices are; None when nothing is."""
    if not arguments.save:
        return None
    return f"{arguments.save}, voices included" if arguments.keep_audio else str(arguments.save)


class Stoppable(Protocol):
    """What ends in order when it is told to."""

    @property
    def is_stopping(self) -> bool: ...

    def stop(self, reason: str) -> None: ...


async def run_until_interrupted(work: Coroutine[None, None, None], controls: Stoppable) -> None:
    """Run to the end; the first Ctrl-C, SIGTERM or SIGHUP ends it in order, a second one at once."""
    loop = asyncio.get_running_loop()
    running = loop.create_task(work)

    def interrupt() -> None:
        if controls.is_stopping:
            running.cancel()
        controls.stop("interrupted")

    with stopped_by_signals(interrupt):
        try:
            await running
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
