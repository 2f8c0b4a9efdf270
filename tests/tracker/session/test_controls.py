"""Commands to a session: what holds at once, what waits, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from emotrack.models.network import EmotionNetwork
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.events import Correction, Event, Mark, Turn
from emotrack.tracker.session.controls import MAX_WAITING_COMMANDS, Command, Controls, ForgetTurns, RenameSpeaker
from emotrack.tracker.session.status import LiveStatus
from tests.tracker.dashboard.made_up import turn
from tests.tracker.scripted import Recorder, ScriptedSession, ScriptedSource, chunks, mono, session

LABELS = ("neutral", "joy", "anger")


def commands_of(controls: Controls) -> list[Command]:
    """What was asked so far."""

    async def taken() -> list[Command]:
        return [command async for command in controls.commands()]

    controls.close()
    return asyncio.run(taken())


def test_commands_wait_in_order_and_are_stamped_when_they_are_asked_for() -> None:
    status = LiveStatus(site="kitchen", stream_s=12.5, turns_heard=3)
    controls = Controls(status, LABELS)
    controls.mark()
    status.stream_s = 99.0
    controls.forget()
    controls.correct(3, "happiness")
    mark, forget, correction = commands_of(controls)
    assert isinstance(mark, Mark)
    assert (mark.site, mark.session, mark.at_s) == ("kitchen", status.session, 12.5)
    assert forget == ForgetTurns()
    assert isinstance(correction, Correction)
    assert (correction.turn_id, correction.emotion) == (3, "joy")


@pytest.mark.parametrize(
    ("turn_id", "emotion", "why"),
    [(0, "joy", "no turn 0"), (3, "joy", "no turn 3"), (1, "a colour", "neutral, joy, anger")],
)
def test_a_correction_of_what_is_not_known_is_refused(turn_id: int, emotion: str, why: str) -> None:
    controls = Controls(LiveStatus(turns_heard=2), LABELS)
    with pytest.raises(ValueError, match=why):
        controls.correct(turn_id, emotion)
    assert not commands_of(controls)


def test_a_name_that_a_speaker_has_already_changes_nothing() -> None:
    status = LiveStatus()
    status.tally.add(turn(1, speaker="Ana"))
    controls = Controls(status, LABELS)
    controls.rename("Ana", " Ana ")
    controls.rename("Ana", "Bea")
    assert commands_of(controls) == [RenameSpeaker("Ana", "Bea")]


def test_of_too_many_commands_the_latest_are_refused() -> None:
    controls = Controls(LiveStatus(turns_heard=1), LABELS)
    for _ in range(MAX_WAITING_COMMANDS):
        controls.correct(1, "joy")
    with pytest.raises(ValueError, match="too many"):
        controls.correct(1, "joy")
    controls.mark()  # a key that is held down must not end the dashboard
    assert len(commands_of(controls)) == MAX_WAITING_COMMANDS


def test_what_is_asked_for_after_the_end_is_too_late() -> None:
    controls = Controls(LiveStatus(), LABELS)
    controls.close()
    controls.mark()
    controls.forget()
    assert not commands_of(controls)


def test_the_first_reason_to_stop_counts_and_a_pause_can_be_set_or_toggled() -> None:
    status = LiveStatus()
    controls = Controls(status, LABELS)
    assert not controls.is_stopping
    controls.stop("interrupted")
    controls.stop()
    assert controls.is_stopping
    assert controls.stop_reason == "interrupted"
    for paused in (True, True, False):
        controls.pause(paused)
        assert status.paused is paused
    controls.toggle_pause()
    assert status.paused


def test_stopping_ends_a_source_that_waits_and_closes_it() -> None:
    closed = []

    async def silent() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def hear() -> list[int]:
        controls = Controls(LiveStatus(), LABELS)
        heard = []
        async for item in controls.until_stopped(silent()):
            heard.append(item)
            asyncio.get_running_loop().call_later(0.01, controls.stop)
        return heard

    assert asyncio.run(asyncio.wait_for(hear(), 10)) == [1]
    assert closed


def test_a_timeout_of_the_source_is_its_own() -> None:
    async def impatient() -> AsyncGenerator[int, None]:
        raise TimeoutError
        yield 1

    async def hear() -> None:
        async for _ in Controls(LiveStatus(), LABELS).until_stopped(impatient()):
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(hear())


def test_after_forgetting_no_earlier_turn_is_in_the_context_or_revised(
    network: EmotionNetwork, stereo: Samples
) -> None:
    """Forgotten after the third turn, when the window holds three: the fourth is then alone in it."""
    remembered = list[int]()

    def forget(event: Event) -> None:
        if isinstance(event, Turn) and not event.revision:
            context = live.status.context
            assert context is not None
            remembered.append(len(context))
            if event.turn_id == 3:
                live.controls.forget()

    live: ScriptedSession
    recorder = Recorder(forget)
    live = session(ScriptedSource(chunks(mono(stereo[: 18 * SAMPLE_RATE]))), network, recorder)
    asyncio.run(live.run())
    assert remembered[:5] == [1, 2, 3, 1, 2]
    after = recorder.events.index(next(e for e in recorder.events if isinstance(e, Turn) and e.turn_id == 4))
    assert all(event.turn_id > 3 for event in recorder.events[after:] if isinstance(event, Turn))
