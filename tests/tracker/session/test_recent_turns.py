"""Turns that can still be revised, by their ids."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emotrack.tracker.events import Event, SpeakerRenamed, SpeakersMerged, Turn
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.session.identification import SpeakerNews
from emotrack.tracker.session.publisher import Publisher
from emotrack.tracker.session.recent_turns import RecentTurns
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.speakers.clusters import REMEMBERED
from tests.tracker.dashboard.made_up import turn
from tests.tracker.scripted import Recorder

HEARD = REMEMBERED + 1


def revised(turn_id: int, **changes: Any) -> tuple[LiveStatus, list[Turn]]:
    """Turns of joy, of which all but the first are remembered, one of them revised; what was sent after them."""
    status, recorder = LiveStatus(site="kitchen"), Recorder()

    async def publish() -> None:
        recent = RecentTurns(2, status, Publisher([recorder], Controls(status, ())))
        for number in range(1, HEARD + 1):
            await recent.publish(turn(number, "joy", speaker="Ana"), [])
        await recent.revise(turn_id, **changes)
        await recent.revise(turn_id, **changes)

    asyncio.run(publish())
    return status, [event for event in recorder.events[HEARD:] if isinstance(event, Turn)]


def test_a_revision_has_the_same_id_and_only_what_changes() -> None:
    status, sent = revised(2, emotion="anger")
    before = turn(2, "joy", speaker="Ana")
    assert [(event.turn_id, event.revision, event.emotion) for event in sent] == [(2, 1, "anger"), (2, 2, "anger")]
    for event in sent:
        assert (event.site, event.session) == ("kitchen", status.session)
        changed = {name for name in Turn.model_fields if getattr(event, name) != getattr(before, name)}
        assert changed <= {"site", "session", "time", "revision", "emotion"}
    assert status.tally.emotions == {"joy": HEARD - 1, "anger": 1}


def test_a_revision_may_change_the_speaker_who_is_then_counted() -> None:
    status, sent = revised(3, speaker="Ben")
    assert [event.speaker for event in sent] == ["Ben", "Ben"]
    assert status.tally.speakers == {"Ana": HEARD - 1, "Ben": 1}


@pytest.mark.parametrize("turn_id", [1, HEARD + 1])
def test_a_turn_that_is_too_old_or_never_was_stays_as_it_is(turn_id: int) -> None:
    status, sent = revised(turn_id, emotion="anger")
    assert not sent
    assert status.tally.emotions == {"joy": HEARD}


def test_what_is_told_of_a_turn_before_it_is_published_is_not_lost() -> None:
    status, recorder = LiveStatus(), Recorder()

    async def publish() -> None:
        recent = RecentTurns(2, status, Publisher([recorder], Controls(status, ())))
        await recent.publish(turn(1, "joy", speaker="Ana"), [])
        await recent.revise(2, speaker="Ben")
        await recent.publish(turn(2, "joy", speaker=None), [])

    asyncio.run(publish())
    sent = [(event.turn_id, event.revision, event.speaker) for event in recorder.events if isinstance(event, Turn)]
    assert sent == [(1, 0, "Ana"), (2, 0, None), (2, 1, "Ben")]


def told(news: SpeakerNews | tuple[str, str]) -> tuple[LiveStatus, list[tuple[Any, ...]]]:
    """Four turns of two speakers, then what becomes known or is asked for; what was sent after."""
    status, recorder = LiveStatus(site="kitchen"), Recorder()

    async def publish() -> None:
        recent = RecentTurns(2, status, Publisher([recorder], Controls(status, ())))
        for number, speaker in enumerate(("Ben", "Ana", "Ben", "Ben"), 1):
            await recent.publish(turn(number, "joy", speaker=speaker), [])
        await (recent.tell(news) if isinstance(news, SpeakerNews) else recent.rename(*news))

    asyncio.run(publish())
    sent: list[tuple[Any, ...]] = []
    for event in recorder.events[4:]:
        match event:
            case Turn():
                sent.append((event.turn_id, event.revision, event.speaker))
            case SpeakerRenamed(speaker=speaker, name=name) | SpeakersMerged(speaker=speaker, into=name):
                sent.append((event.type, speaker, name))
    return status, sent


def test_two_who_are_one_are_told_then_every_turn_once_and_all_are_counted() -> None:
    status, sent = told(SpeakerNews(merged={"Ben": "Ana"}, revised={4: "Ana"}))
    assert sent == [("speakers_merged", "Ben", "Ana"), (1, 1, "Ana"), (3, 1, "Ana"), (4, 1, "Ana")]
    assert status.tally.speakers == {"Ana": 4}


def test_a_new_name_is_told_then_the_turns_that_have_it() -> None:
    status, sent = told(("Ben", "Cleo"))
    assert sent == [("speaker_renamed", "Ben", "Cleo"), (1, 1, "Cleo"), (3, 1, "Cleo"), (4, 1, "Cleo")]
    assert status.tally.speakers == {"Ana": 1, "Cleo": 3}


def test_who_is_called_otherwise_is_told_once_in_order() -> None:
    """For the baseline, which holds turns of any age."""

    async def publish() -> tuple[list[tuple[str, str]], ...]:
        status = LiveStatus()
        recent = RecentTurns(2, status, Publisher([Recorder()], Controls(status, ())))
        await recent.publish(turn(1, "joy", speaker="Ben"), [])
        await recent.tell(SpeakerNews(merged={"Ben": "Ana"}))
        await recent.rename("Ana", "Cleo")
        first, second = recent.take_renamed(), recent.take_renamed()
        await recent.rename("Cleo", "Zoe")
        recent.clear()
        return first, second, recent.take_renamed()

    assert asyncio.run(publish()) == ([("Ben", "Ana"), ("Ana", "Cleo")], [], [])


def test_a_name_that_is_given_while_a_turn_leaves_holds_for_that_turn() -> None:
    status, names = LiveStatus(site="kitchen"), list[str | None]()

    async def publish() -> None:
        asked: list[asyncio.Task[None]] = []

        class SlowSink(Recorder):
            async def emit(self, event: Event) -> None:
                if not asked:
                    asked.append(asyncio.create_task(recent.rename("Ben", "Cleo")))
                    await asyncio.sleep(0)
                await super().emit(event)
                names.append(event.speaker if isinstance(event, Turn) else None)

        recent = RecentTurns(3, status, Publisher([SlowSink()], Controls(status, ())))
        await recent.publish(turn(1, speaker="Ben"), [])
        await asyncio.gather(*asked)
        await recent.revise(1, emotion="anger")

    asyncio.run(publish())
    assert names[-1] == "Cleo"
    assert status.tally.speakers == {"Cleo": 1}


def test_what_is_told_of_turns_that_were_cleared_is_not_kept() -> None:
    status, recorder = LiveStatus(), Recorder()

    async def publish() -> RecentTurns:
        recent = RecentTurns(2, status, Publisher([recorder], Controls(status, ())))
        await recent.publish(turn(1, "joy", speaker="Ana"), [])
        recent.clear()
        await recent.revise(1, speaker="Ben")
        return recent

    assert not asyncio.run(publish())._early
    assert len(recorder.events) == 1
