"""The latest turns of a session, each as it is known now: they are published, and can still be revised."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Any

from emotrack.models.context import Revision
from emotrack.tracker.events import SpeakerRenamed, SpeakersMerged, Turn
from emotrack.tracker.session.event_making import estimated
from emotrack.tracker.session.identification import SpeakerNews
from emotrack.tracker.session.publisher import Publisher
from emotrack.tracker.session.status import Status
from emotrack.tracker.speakers.clusters import REMEMBERED


class RecentTurns:
    """The last ``size`` turns, or REMEMBERED, by their ids; the status's tally counts all turns as known now."""

    def __init__(self, size: int, status: Status, publisher: Publisher) -> None:
        self._size = max(size, REMEMBERED)
        self._status = status
        self._publisher = publisher
        self._turns: OrderedDict[int, Turn] = OrderedDict()
        self._latest = 0  # the id of the newest turn, also when what came before was cleared
        self._early: dict[int, dict[str, Any]] = {}
        self._renamed: list[tuple[str, str]] = []

    @property
    def speakers(self) -> list[str | None]:
        """Who says each turn, oldest first."""
        return [turn.speaker for turn in self._turns.values()]

    def take_renamed(self) -> list[tuple[str, str]]:
        """Who is called otherwise since this was asked for last, in order: the speaker, and the new name."""
        renamed, self._renamed = self._renamed, []
        return renamed

    async def publish(self, turn: Turn, revisions: Sequence[Revision]) -> None:
        """Publish the newest turn, then what it changes about earlier ones."""
        self._status.tally.add(turn)
        earlier = list(self._turns)
        self._latest = turn.turn_id
        self._turns[turn.turn_id] = turn  # at once: somebody may rename its speaker while it leaves
        await self._publisher.send(turn)
        for revision in revisions:
            if revision.turns_ago <= len(earlier):  # a session that was taken over has none from before
                turn_id = earlier[-revision.turns_ago]
                await self.revise(turn_id, **estimated(revision.estimate, self._turns[turn_id].doubt), why=None)
        if (early := self._early.pop(turn.turn_id, None)) is not None:
            await self.revise(turn.turn_id, **early)
        if len(self._turns) > self._size:
            self._turns.popitem(last=False)

    async def revise(self, turn_id: int, **changes: Any) -> None:
        """Publish anew an earlier turn of which something else is now believed; one that is too old stays as it is."""
        if turn_id > self._latest:
            self._early[turn_id] = changes  # it is about to be published
        if (before := self._turns.get(turn_id)) is None:
            return
        after = before.model_copy(update={**self._status.stamp(), **changes, "revision": before.revision + 1})
        self._turns[turn_id] = after
        self._status.tally.revise(before, after)
        await self._publisher.send(after)

    async def follow(self, news: AsyncIterator[SpeakerNews]) -> None:
        """Publish what becomes known about speakers, until the ``news`` end."""
        async for told in news:
            await self.tell(told)

    async def tell(self, told: SpeakerNews) -> None:
        """Publish what has become known about speakers."""
        for speaker, into in told.merged.items():
            await self._publisher.send(SpeakersMerged(**self._status.stamp(), speaker=speaker, into=into))
            await self._call(speaker, into)
        for turn_id, name in told.revised.items():
            if (turn := self._turns.get(turn_id)) is None or turn.speaker != name:
                await self.revise(turn_id, speaker=name)

    async def rename(self, speaker: str, name: str) -> None:
        """Publish a new name, and the recent turns with it."""
        await self._publisher.send(SpeakerRenamed(**self._status.stamp(), speaker=speaker, name=name))
        await self._call(speaker, name)

    async def _call(self, speaker: str, name: str) -> None:
        """Revise the turns of a speaker who has another name now; those that are too old are counted as theirs."""
        self._renamed.append((speaker, name))
        for turn_id in [turn_id for turn_id, turn in self._turns.items() if turn.speaker == speaker]:
            await self.revise(turn_id, speaker=name)
        self._status.tally.rename(speaker, name)

    def clear(self) -> None:
        """Nothing of what was said so far is revised any more."""
        self._turns.clear()
        self._renamed.clear()
