"""Who says a turn: by what is known of it, else by its voice, and by names that people give.

Who is known by a caption is known by voice from then on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from emotrack.tracker.session.attribution import AttributedTurn
from emotrack.tracker.session.options import SpeakerOptions
from emotrack.tracker.speakers.channel_voices import VoicedTurn, overlapping
from emotrack.tracker.speakers.clusters import REMEMBERED, Identified, Speakers
from emotrack.tracker.understanding.interpreter import TurnWork

PATIENCE_S: Final = 0.03  # that a live turn waits for its voice print once voice and words are there


@dataclass(frozen=True, slots=True)
class SpeakerNews:
    """What has become known about speakers, in the order in which events should say it."""

    merged: Mapping[str, str] = field(default_factory=dict)
    """Speakers that turned out to be another one."""
    revised: Mapping[int, str | None] = field(default_factory=dict)
    """Speakers of earlier turns, by turn."""


class Identification:
    """The speakers of one session.

    A live turn whose voice print takes too long leaves with the speaker that it most likely has; what the print then
    tells is a revision.
    """

    def __init__(self, options: SpeakerOptions | None, *, patient: bool) -> None:
        """``patient``: nobody is waiting, so a turn waits for its voice print."""
        self._speakers = Speakers(options.count if options else None)
        for name, voice_print in (options.enrolled if options else {}).items():
            self._speakers.enroll(name, voice_print)
        self._patience_s = None if patient else PATIENCE_S
        self._recent: deque[tuple[int, VoicedTurn]] = deque(maxlen=REMEMBERED)
        self._given: dict[str, str] = {}  # new names of speakers who are known by other means than their voice
        self._known: set[str] = set()  # speakers whom captions name, and whose voices were heard
        self._told: asyncio.Queue[SpeakerNews | None] = asyncio.Queue()
        self._late: set[asyncio.Task[None]] = set()

    async def identify(self, turn_id: int, attributed: AttributedTurn, work: TurnWork) -> str | None:
        """The speaker of a turn, as far as can be told by now; call it for one turn after the other."""
        known, voiced = attributed.speaker, attributed.voiced
        if known is not None:
            if voiced is not None:
                self._known.add(known)
                self._recent.append((turn_id, voiced))
                learning = self._later(self._learn(turn_id, known, voiced, work))
                if self._patience_s is None:
                    await learning
            return self._given.get(known, known)
        if voiced is None:
            return None
        like = self._like(voiced)
        apart = [
            turn_id
            for turn_id, other in self._recent
            if other.turn.channel == voiced.turn.channel
            and other.voice != voiced.voice
            and overlapping(other.turn, voiced.turn)
        ]
        self._recent.append((turn_id, voiced))
        printing = asyncio.ensure_future(self._hear(turn_id, voiced, work, like, apart))
        await asyncio.wait([printing], timeout=self._patience_s)
        if printing.done():
            return printing.result()
        guess = self._speakers.speaker(like) if like is not None else None
        self._later(self._follow(turn_id, guess, printing))
        return guess

    def guess(self, attributed: AttributedTurn) -> str | None:
        """The speaker of a turn that still goes on, by what segmentation tells of its voice."""
        if attributed.speaker is not None:
            return self._given.get(attributed.speaker, attributed.speaker)
        if attributed.voiced is None:
            return None
        like = self._like(attributed.voiced)
        return None if like is None else self._speakers.speaker(like)

    def rename(self, speaker: str, name: str) -> None:
        """Call a speaker by another name from now on. Raises ``ValueError`` for a speaker whom nobody knows."""
        is_heard = speaker in self._speakers.names
        if is_heard:
            self._told.put_nowait(SpeakerNews(revised=self._speakers.rename(speaker, name).revised))
        self._given.update({known: name for known, given in self._given.items() if given == speaker})
        if speaker in self._known or not is_heard:
            self._given[speaker] = name

    async def told(self) -> AsyncGenerator[SpeakerNews, None]:
        """What becomes known about earlier turns, until ``close``."""
        while (told := await self._told.get()) is not None:
            yield told

    async def close(self) -> None:
        """No more turns come."""
        await asyncio.gather(*self._late)
        await self._told.put(None)

    def _like(self, voiced: VoicedTurn) -> int | None:
        """The latest turn of the same voice on the same channel."""
        same = (
            turn_id
            for turn_id, other in reversed(self._recent)
            if other.turn.channel == voiced.turn.channel and other.voice == voiced.voice is not None
        )
        return next(same, None)

    async def _hear(
        self, turn_id: int, voiced: VoicedTurn, work: TurnWork, like: int | None, apart: list[int]
    ) -> str | None:
        voice_print = await work.voice_print
        found = self._speakers.hear(turn_id, voice_print, voiced.clean_s, like=like, apart=apart)
        await self._tell(found)
        return found.speaker

    async def _learn(self, turn_id: int, known: str, voiced: VoicedTurn, work: TurnWork) -> None:
        voice_print = await work.voice_print
        await self._tell(self._speakers.learn(turn_id, self._given.get(known, known), voice_print, voiced.clean_s))

    async def _tell(self, found: Identified) -> None:
        if found.merged or found.revised:
            await self._told.put(SpeakerNews(found.merged, found.revised))

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that no turn waits for, and the end of the session does."""
        task = asyncio.ensure_future(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return task

    async def _follow(self, turn_id: int, guess: str | None, printing: asyncio.Task[str | None]) -> None:
        speaker = await printing
        if speaker is not None and speaker != guess:
            await self._told.put(SpeakerNews(revised={turn_id: speaker}))
