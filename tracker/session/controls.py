"""What people can make a session do: the dashboard's keys, commands over MQTT and Python programs share it.

``stop`` and the pause hold at once. Every other command waits here until the session takes it: to add one, write the
method that asks for it and, unless it is an event, the line of ``LiveSession._obey`` that does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from emotrack.models.labels import canonical
from emotrack.tracker.events import Correction, Mark
from emotrack.tracker.messages.plain import plain_text
from emotrack.tracker.session.status import LiveStatus

MAX_WAITING_COMMANDS: Final = 256
MAX_NAME: Final = 80  # characters of a speaker's name

T = TypeVar("T")


def speaker_name(name: str) -> str:
    """A person's name as events have it, without superfluous blanks.

    Raises ``ValueError`` for one that is empty or too long, or that would hide or turn round what stands beside it.
    """
    words = " ".join(name.split())
    if not 1 <= len(words) <= MAX_NAME or plain_text(words) != words:
        raise ValueError(f"a name has 1 to {MAX_NAME} characters, and each can be seen")
    return words


@dataclass(frozen=True, slots=True)
class ForgetTurns:
    """Let the turns so far no longer colour the ones to come."""


@dataclass(frozen=True, slots=True)
class RenameSpeaker:
    """Call a speaker by another name, for turns past and to come."""

    speaker: str
    name: str


Command = ForgetTurns | RenameSpeaker | Mark | Correction
"""What a session is asked to do; what a person adds to its events is the event itself."""


class Controls:
    """The commands to one session, called on the event loop."""

    def __init__(self, status: LiveStatus, labels: Sequence[str]) -> None:
        """``labels`` are the emotions that a turn can be corrected to."""
        self.status = status
        self.stop_reason: str | None = None
        """Why the session was told to stop; None until then."""
        self._labels = tuple(labels)
        self._asked: asyncio.Queue[Command | None] = asyncio.Queue()
        self._closed = False
        self._waiting: asyncio.Timeout | None = None  # for the source

    @property
    def is_stopping(self) -> bool:
        """Whether the session was told to stop."""
        return self.stop_reason is not None

    def stop(self, reason: str = "quit") -> None:
        """End the session in order: the turn under way is finished, scored and written."""
        if self.stop_reason is None:
            self.stop_reason = reason
            if self._waiting is not None:
                self._waiting.reschedule(0.0)

    def toggle_pause(self) -> None:
        """Stop listening, or go on. The turn under way ends at a pause."""
        self.pause(not self.status.paused)

    def pause(self, paused: bool) -> None:
        """Stop listening, or go on, whatever was before."""
        self.status.paused = paused

    def mark(self) -> None:
        """Note that a person found this moment worth finding again."""
        with suppress(ValueError):  # of so many marks that wait one more tells nothing
            self._ask(Mark(**self.status.stamp(), at_s=self.status.stream_s))

    def forget(self) -> None:
        """Let the turns so far no longer colour the ones to come. Raises ``ValueError`` if too much waits."""
        self._ask(ForgetTurns())

    def rename(self, speaker: str, name: str) -> None:
        """Call a speaker by another name, for turns past and to come; two who get one name become one.

        The name that they have already changes nothing.

        Raises ``ValueError`` for a speaker of whom there is no turn, for what is no name, and if too much waits.
        """
        speakers = self.status.tally.speakers
        if speaker not in speakers:
            raise ValueError(f"there is no speaker {speaker}: there are {', '.join(speakers) or 'none yet'}")
        if (new := speaker_name(name)) != speaker:
            self._ask(RenameSpeaker(speaker, new))

    def correct(self, turn_id: int, emotion: str) -> None:
        """Note what a turn really sounded like.

        Raises ``ValueError`` for a turn or an emotion that is not known, and if too much waits.
        """
        if not 1 <= turn_id <= self.status.turns_heard:
            raise ValueError(f"there is no turn {turn_id} in this session")
        label = emotion if emotion in self._labels else canonical(emotion)
        if label not in self._labels:
            raise ValueError(f"the emotions are {', '.join(self._labels)}")
        self._ask(Correction(**self.status.stamp(), turn_id=turn_id, emotion=label))

    # -- the session's side --------------------------------------------------------------------------------------

    async def commands(self) -> AsyncGenerator[Command, None]:
        """What is asked for, in order, until ``close``."""
        while (command := await self._asked.get()) is not None:
            yield command

    async def until_stopped(self, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The ``items`` of a source until they end or the session is told to stop; then they are closed."""
        async with aclosing(items):
            while not self.is_stopping:
                try:
                    async with asyncio.timeout(None) as waiting:  # for ever, or until ``stop``
                        self._waiting = waiting
                        item = await anext(items, None)
                except TimeoutError:
                    if not waiting.expired():  # it is the source's own
                        raise
                    return
                finally:
                    self._waiting = None
                if item is None:
                    return
                yield item

    def close(self) -> None:
        """The session ends: what was asked for is still done, what comes now is too late."""
        self._closed = True
        self._asked.put_nowait(None)

    def _ask(self, command: Command) -> None:
        if self._closed:
            return
        if self._asked.qsize() >= MAX_WAITING_COMMANDS:
            raise ValueError("too many commands wait already")
        self._asked.put_nowait(command)
