"""What a watcher knows of sites from their topics alone, and when it says that it may be out of date."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.dashboard.naming import NewName
from emotrack.tracker.dashboard.state import Note
from emotrack.tracker.events import Event
from emotrack.tracker.messages.notices import PASSING_S
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.channels import to_deletion, to_message, to_status
from emotrack.tracker.mqtt.format.payloads import (
    ErrorReport,
    NameSpeaker,
    Shift,
    SitePayload,
    SourceState,
    State,
    Vad,
    parse,
)
from emotrack.tracker.mqtt.publishing.state import SiteState
from emotrack.tracker.mqtt.watching.watched import KINDS, MAX_SITES, STALE_AFTER_S, WatchedSite, WatchedSites, age
from tests.tracker.dashboard.made_up import (
    HEAD,
    ended,
    lost,
    mark,
    merged,
    provisional,
    renamed,
    restored,
    started,
    turn,
)
from tests.tracker.mqtt.playing_sites import PlayingSite

WALL = datetime(2026, 1, 1, tzinfo=UTC)  # when the made-up events are said to have left
ONLINE, OFFLINE = (to_status(topics.status("kitchen"), status) for status in ("online", "offline"))


class Watcher:
    """Sites and a clock that stands still unless told otherwise."""

    def __init__(self) -> None:
        self.all = WatchedSites("mqtt://127.0.0.1:1883")
        self.now = 1000.0
        self.wall = WALL

    @property
    def site(self) -> WatchedSite:
        (site,) = self.all.sites
        return site

    def receive(self, *sent: Message | Event | SitePayload, kept: bool = False) -> None:
        """What arrives; ``kept`` is what the broker had retained."""
        for one in sent:
            message = one if isinstance(one, Message) else to_message(one)
            self.all.receive(replace(message, retain=kept), self.now, self.wall)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.wall += timedelta(seconds=seconds)

    def problem(self, *, connected: bool = True) -> str | None:
        self.site.judge(self.now, connected=connected)
        return self.site.watching.problem


def vad(speaking: bool = True, at_s: float = 12.0) -> Vad:
    return Vad(**HEAD, at_s=at_s, speaking=speaking, channels=(speaking,), levels_dbfs=(-20.0,))


def test_of_what_a_broker_retained_only_state_is_believed() -> None:
    watcher = Watcher()
    for event in (turn(1), provisional(1.0, 2.0), mark(1.0), vad(), lost(1.0)):
        watcher.receive(event, kept=True)
    assert not [site for site in watcher.all.sites if site.state.turn_count or site.status.speaking]
    assert all(site.state.lost_reason is None and not site.state.notes for site in watcher.all.sites)
    assert watcher.all.unreadable == 0
    watcher.receive(started(), ONLINE, kept=True)
    assert watcher.site.state.started is not None


def test_a_pause_and_a_dead_microphone_show_where_there_are_no_metrics() -> None:
    watcher = Watcher()
    watcher.receive(started(), kept=True)
    watcher.receive(SourceState(**HEAD, lost=True, paused=True), kept=True)
    assert watcher.site.status.paused
    assert watcher.site.status.source_lost
    watcher.receive(SourceState(**HEAD, lost=False, paused=False), to_deletion(topics.source("kitchen")))
    assert not watcher.site.status.paused
    assert watcher.all.unreadable == 0


def test_the_dashboards_picture_is_made_of_the_topics() -> None:
    watcher = Watcher()
    watcher.receive(ONLINE, started(), turn(1, "anger"), vad(), mark(8.0), turn(2, "joy", text=None))
    site = watcher.site
    assert (site.name, site.state.turn_count, site.state.marks) == ("kitchen", 2, 1)
    assert site.state.started is not None
    assert site.status.speaking == (True,)
    assert site.status.levels_dbfs == (-20.0,)
    assert watcher.problem() is None


def test_a_turn_is_seen_while_it_goes_on() -> None:
    watcher = Watcher()
    watcher.receive(ONLINE, started(), vad(), provisional(11.0, 12.0, "anger"))
    (seen,) = watcher.site.state.provisional(watcher.site.status)
    assert (seen.emotion, seen.speaker, watcher.site.state.turn_count) == ("anger", "Ana", 0)
    watcher.receive(vad(speaking=False))
    assert not watcher.site.state.provisional(watcher.site.status)


def test_the_figures_and_the_level_are_those_that_were_sent() -> None:
    watcher = Watcher()
    kitchen = PlayingSite("kitchen")
    watcher.receive(*kitchen.live(33.0, speaking=False))
    assert watcher.site.status.stream_s == 33.0
    assert watcher.site.status.speaking == (False,)
    assert not watcher.site.status.paused


def test_a_turn_that_comes_twice_counts_once_and_a_revision_replaces_it() -> None:
    watcher = Watcher()
    watcher.receive(turn(1, "anger"), turn(1, "anger"), turn(1, "joy", revision=1), turn(1, "anger"))
    (shown,) = watcher.site.state.turns
    assert (shown.emotion, watcher.site.state.turn_count) == ("joy", 1)
    spoken_at = watcher.now
    watcher.wait(60)
    watcher.receive(turn(1, "fear", revision=2))
    assert watcher.site.turn_at == spoken_at, "nobody has said anything new"


def test_a_new_session_begins_with_an_empty_screen() -> None:
    watcher = Watcher()
    watcher.receive(started(), turn(1), ended(1), turn(1).model_copy(update={"session": "t"}))
    assert watcher.site.state.turn_count == 1
    assert watcher.site.state.ended is None


def test_another_worker_may_go_on_with_a_session() -> None:
    watcher = Watcher()
    watcher.receive(started(), turn(1), OFFLINE)
    assert watcher.problem() == "offline"
    watcher.receive(started(), turn(2), ONLINE)
    assert watcher.site.state.turn_count == 2
    assert watcher.problem() is None


def test_what_changed_for_good_and_what_went_wrong_is_said() -> None:
    watcher = Watcher()
    report = ErrorReport(
        **HEAD, code="bad_audio", message="no WAV", recoverable=True, topic="emotrack/kitchen/audio", count=1
    )
    watcher.receive(turn(1), Shift(**HEAD, speaker=None, turn_id=1, at_s=5.0, before="joy", after="fear"), report)
    assert [item.text for item in watcher.site.state.latest(9) if isinstance(item, Note)] == [
        "The mood of the room turned from joy to fear"
    ]
    assert watcher.site.state.notice == "bad audio: no WAV"
    watcher.site.judge(watcher.now + PASSING_S - 1.0, connected=True)
    assert watcher.site.state.notice == "bad audio: no WAV"
    watcher.site.judge(watcher.now + PASSING_S + 1.0, connected=True)
    assert watcher.site.state.notice is None


def test_a_lost_source_is_told_and_its_return_too() -> None:
    watcher = Watcher()
    watcher.receive(started(), lost(3.0))
    assert watcher.site.status.source_lost
    watcher.receive(restored(9.0))
    assert not watcher.site.status.source_lost


@pytest.mark.parametrize("waiting", [0.0, 3600.0])
def test_whoever_comes_late_knows_how_old_the_state_is(waiting: float) -> None:
    sent = SiteState("kitchen").apply(turn(7, start_s=30.0, end_s=39.0))[0]
    watcher = Watcher()
    watcher.wait(waiting)
    watcher.receive(sent, kept=True)
    site = watcher.site
    assert isinstance(site.standing, State)
    assert site.turn_at == watcher.now - waiting
    watcher.receive(started(), kept=True)
    said = "1 turn before this; the latest was joy, the mood is joy"
    assert [item.text for item in site.state.latest(9) if isinstance(item, Note)] == [said]
    watcher.wait(60)
    watcher.receive(turn(8), SiteState("kitchen").apply(turn(8))[0])
    assert site.turn_at == watcher.now
    watcher.receive(sent, kept=True)
    assert len(site.state.notes) == 1, "said once, not after every broken connection"


def test_the_mood_is_the_one_that_was_published() -> None:
    site, watcher = SiteState("kitchen"), Watcher()
    for number in range(1, 6):
        published = site.apply(turn(number, probabilities={"joy": 0.9, "anger": 0.1}))
    watcher.receive(*published, kept=True)
    watcher.receive(turn(6, start_s=60.0, end_s=69.0, probabilities={"anger": 0.9, "joy": 0.1}))
    assert next(iter(watcher.site.state.mood())) == "joy", "turns from before count too"
    watcher.receive(to_deletion(topics.state("kitchen")))
    assert next(iter(watcher.site.state.mood())) == "anger"


def test_silence_is_stale_where_there_used_to_be_none() -> None:
    watcher = Watcher()
    watcher.receive(ONLINE, started(), turn(1))
    watcher.wait(3600)
    assert watcher.problem() is None, "a site that sends turns only may be silent for long"
    watcher.receive(vad())
    watcher.wait(STALE_AFTER_S)
    assert watcher.problem() is None
    watcher.wait(101)
    assert watcher.problem() == "stale for 2 min"
    watcher.receive(ONLINE, kept=True)
    assert watcher.problem() == "stale for 2 min", "what the broker kept is no sign of life"
    watcher.receive(vad())
    assert watcher.problem() is None


def test_a_site_that_is_gone_is_told_from_one_that_has_ended() -> None:
    watcher = Watcher()
    watcher.receive(started(), vad(), OFFLINE)
    assert watcher.problem() == "offline"
    watcher.receive(ended(0))
    assert watcher.problem() is None
    assert watcher.problem(connected=False) == "not connected"


def test_what_was_deleted_is_no_longer_shown() -> None:
    watcher = Watcher()
    watcher.receive(SiteState("kitchen").apply(turn(1))[0])
    assert watcher.site.standing is not None
    watcher.receive(to_deletion(topics.state("kitchen")), to_deletion(topics.status("kitchen")))
    assert watcher.site.standing is None
    assert watcher.all.unreadable == 0
    watcher.receive(to_deletion(topics.state("cellar")))
    assert len(watcher.all.sites) == 1, "nothing is known of the cellar"


def test_sites_stand_in_the_order_of_their_names_and_are_bounded() -> None:
    watcher = Watcher()
    for number in reversed(range(3 * MAX_SITES)):
        watcher.receive(replace(ONLINE, topic=topics.status(f"{number:03}")))
    assert [site.name for site in watcher.all.sites] == [f"{n:03}" for n in range(2 * MAX_SITES, 3 * MAX_SITES)]
    assert len(watcher.all.ignored) == MAX_SITES


def test_a_name_that_a_topic_cannot_hold_is_shown_as_it_is() -> None:
    watcher = Watcher()
    watcher.receive(turn(1).model_copy(update={"site": "Küche 1/2"}))
    assert watcher.site.name == "Küche 1/2"


@given(st.sampled_from([*KINDS, "audio", "cmd/stop", "speaker/Ana/state"]), st.binary(max_size=300), st.booleans())
def test_no_payload_does_any_harm(kind: str, payload: bytes, kept: bool) -> None:
    watcher = Watcher()
    watcher.receive(turn(1))
    watcher.receive(Message(f"emotrack/kitchen/{kind}", payload), kept=kept)
    watcher.receive(Message("emotrack", payload), Message("", payload), Message("emotrack/_group/x/worker/1", payload))
    assert watcher.site.state.turn_count == 1
    assert watcher.all.unreadable in {0, 1}


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3, "0 s"), (59, "59 s"), (3599, "60 min"), (90_000, "25 h"), (200_000, "2 days")]
)
def test_age(seconds: float, words: str) -> None:
    assert age(seconds) == words


def test_new_names_and_merges_are_followed() -> None:
    watcher = Watcher()
    watcher.receive(started(), turn(1, speaker="speaker 1"), turn(2, speaker="speaker 2"))
    watcher.receive(renamed("speaker 1", "Ana"))
    assert [shown.speaker for shown in watcher.site.state.turns] == ["Ana", "speaker 2"]
    watcher.receive(merged("speaker 2", "Ana"))
    assert [shown.speaker for shown in watcher.site.state.turns] == ["Ana", "Ana"]


@pytest.mark.parametrize("speaker", ["speaker 1", "n" * 300])
def test_what_the_viewer_calls_a_speaker_is_a_command_to_the_session_that_is_seen(speaker: str) -> None:
    watcher = Watcher()
    watcher.receive(started(), turn(1, speaker=speaker))
    message = watcher.site.renaming(NewName(speaker, "Ana"))
    assert (message.topic, message.qos, message.retain) == ("emotrack/kitchen/cmd/rename", 1, False)
    assert parse(NameSpeaker, message.payload) == NameSpeaker(speaker=speaker[:256], name="Ana", session="s")
