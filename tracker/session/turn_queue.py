"""Finished turns on their way from hearing to understanding: counted, and never more than a few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final

from emotrack.tracker.session.attribution import AttributedTurn
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.understanding.interpreter import TurnWork

MAX_WAITING_TURNS: Final = 8  # finished turns that may wait for the models
MAX_TURNS_IN_HAND: Final = 2  # in work or waiting, with which no more of a file is heard: its turns come soon
SKIP_TEXT_FROM: Final = 4  # with so many waiting, a live source's turns go without recognition until it has caught up


@dataclass(frozen=True, slots=True)
class QueuedTurn:
    """A finished turn that waits to be understood."""

    turn_id: int
    attributed: AttributedTurn
    work: TurnWork | None
    """Begun before it had ended."""
    decided_at: float
    """When it was known that the turn had ended: seconds, ``time.perf_counter``."""


class TurnQueue:
    """Turns in the order in which they ended. A lossless source waits for room, of any other the oldest turn goes."""

    def __init__(self, status: LiveStatus, *, lossless: bool) -> None:
        self._status = status
        self._lossless = lossless
        self._turns: asyncio.Queue[QueuedTurn | None] = asyncio.Queue(MAX_WAITING_TURNS)
        self._put = status.turns_heard  # numbers that were given, sentences not counted
        self._has_few = asyncio.Event()
        self._has_few.set()

    @property
    def is_behind(self) -> bool:
        """Whether so many wait that words had better be skipped."""
        return not self._lossless and self._turns.qsize() >= SKIP_TEXT_FROM

    async def wait_for_few(self) -> None:
        """Return once so few are in hand that more can be heard, of a source that waits."""
        if self._lossless:
            await self._has_few.wait()

    async def put(self, attributed: AttributedTurn, work: TurnWork | None, decided_at: float) -> None:
        """Give a turn its number and let it wait."""
        self._status.turns_heard += 1
        self._put += 1
        if self._turns.full() and not self._lossless:
            dropped = self._turns.get_nowait()
            if dropped and dropped.work:
                dropped.work.cancel()
            self._status.dropped_turns += 1
            self._take_in_hand(-1)
        self._take_in_hand(1)
        await self._turns.put(QueuedTurn(self._put, attributed, work, decided_at))

    async def close(self) -> None:
        """No more turns come."""
        await self._turns.put(None)

    async def turns(self) -> AsyncGenerator[QueuedTurn, None]:
        """The turns, until ``close``; call ``done`` for each when it is understood."""
        while (turn := await self._turns.get()) is not None:
            sentences = self._status.turns_heard - self._put  # of the turns before it, beyond one each
            yield replace(turn, turn_id=turn.turn_id + sentences)

    def take_apart(self, count: int) -> None:
        """Understand the turn in hand as ``count`` turns, with the numbers from its own on."""
        self._status.turns_heard += count - 1
        self._take_in_hand(count - 1)

    def done(self) -> None:
        """A turn is no longer in hand."""
        self._take_in_hand(-1)

    def _take_in_hand(self, turns: int) -> None:
        self._status.thinking += turns
        if self._status.thinking < MAX_TURNS_IN_HAND:
            self._has_few.set()
        else:
            self._has_few.clear()
