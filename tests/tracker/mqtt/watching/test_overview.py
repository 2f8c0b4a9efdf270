"""The overview of many sites: exactly as large as the screen, readable without colour, every tile in its place."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from emotrack.tracker.dashboard.frame import Frame
from emotrack.tracker.dashboard.view import render as render_site
from emotrack.tracker.mqtt.format.payloads import MAX_NAME_CHARS, Shift
from emotrack.tracker.mqtt.publishing.state import SiteState
from emotrack.tracker.mqtt.watching.overview import Grid, Overview, render
from emotrack.tracker.mqtt.watching.watched import WatchedSites
from emotrack.tracker.session.status import LiveStatus
from tests.tracker.dashboard.made_up import HEAD, started, turn
from tests.tracker.mqtt.playing_sites import MOODS, PlayingSite
from tests.tracker.mqtt.watching.test_watched import OFFLINE, WALL, Watcher, vad

SIZES = [(60, 15), (80, 24), (120, 30), (200, 50)]
ODD_SIZES = [(1, 1), (5, 3), (20, 6), (36, 7), (71, 9), (72, 10), (300, 90), (400, 12)]


def watched(turns: int = 12, copies: int = 1) -> WatchedSites:
    """The made-up sites after some turns."""
    sites = WatchedSites("mqtt://127.0.0.1:1883")
    for name in MOODS:
        site = PlayingSite(name)
        messages = [*site.begin(), *(message for _ in range(turns) for message in site.say())]
        for message in messages + list(site.live(6.0 * turns, speaking=True)):
            for copy in range(copies):
                place = message.topic if not copy else message.topic.replace("emotrack/", f"emotrack/{copy}-")
                sites.receive(type(message)(place, message.payload), 1000.0, WALL)
    return sites


def overview(sites: WatchedSites, *, chosen: int = 0, connected: bool = True, notice: str | None = None) -> Overview:
    for site in sites.sites:
        site.judge(1003.0, connected=connected)
    return Overview(sites.sites, chosen, "mqtt://127.0.0.1:1883", connected, notice, 1003.0)


def late() -> Watcher:
    """Somebody who came when six turns had been spoken."""
    site, watcher = SiteState("kitchen"), Watcher()
    for number in range(1, 7):
        published = site.apply(turn(number, "fear", probabilities={"fear": 0.8, "joy": 0.2}))
    watcher.receive(started(), *published, kept=True)
    return watcher


def situations() -> dict[str, Overview]:
    gone = Watcher()
    gone.receive(started(), vad(), OFFLINE)
    return {
        "nothing": overview(WatchedSites("mqtt://127.0.0.1:1883")),
        "no broker": overview(
            WatchedSites("mqtt://127.0.0.1:1883"), connected=False, notice="cannot be reached \x1b[2J" * 20
        ),
        "four": overview(watched(), chosen=3),
        "not connected": overview(watched(), connected=False),
        "no turns": overview(watched(turns=0)),
        "forty": overview(watched(turns=3, copies=10), chosen=33),
        "gone": overview(gone.all),
        "late": overview(late().all),
    }


SITUATIONS = situations()


def lines_of(frame: Frame) -> list[str]:
    console = Console(file=io.StringIO(), width=frame.width, height=frame.height)
    return ["".join(segment.text for segment in row) for row in console.render_lines(frame, pad=False)]


@pytest.mark.parametrize("size", SIZES + ODD_SIZES, ids=lambda size: "{}x{}".format(*size))
@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_frame_has_exactly_the_size_of_the_screen(situation: str, size: tuple[int, int]) -> None:
    lines = lines_of(render(SITUATIONS[situation], *size))
    assert len(lines) == size[1]
    assert {cell_len(line) for line in lines} == {size[0]}


@settings(max_examples=80)
@given(st.integers(1, 260), st.integers(1, 70), st.sampled_from(sorted(SITUATIONS)))
def test_any_size_of_screen_is_filled_exactly(width: int, height: int, situation: str) -> None:
    lines = lines_of(render(SITUATIONS[situation], width, height))
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}


@pytest.mark.parametrize("size", SIZES[1:], ids=lambda size: "{}x{}".format(*size))
def test_every_tile_tells_what_matters(size: tuple[int, int]) -> None:
    screen = "\n".join(lines_of(render(SITUATIONS["four"], *size)))
    for words in (
        *MOODS, "4 sites", "mqtt://127.0.0.1:1883", "connected", "speaking", "75%", "Ana", "Ben", "Mood", "12 turns",
        "latest 3 s ago", "quit", "choose", "open", "emotions", "estimated", "Nothing is recorded here.",
    ):  # fmt: skip
        assert words in screen, words


def test_who_comes_late_sees_the_state_and_no_word_against_it() -> None:
    watcher = late()
    tile = "\n".join(lines_of(render(overview(watcher.all), 80, 24)))
    for words in ("F  fear", "Mood F fear", "80%", "6 turns, latest"):
        assert words in tile, words
    assert "No turns" not in tile
    site = "\n".join(lines_of(render_site(watcher.site.state, LiveStatus(), 80, 24)))
    for words in ("6 turns before this", "F fear", "No turns seen yet."):
        assert words in site, words


def test_where_no_words_are_known_no_line_is_kept_for_them() -> None:
    watcher = Watcher()
    watcher.receive(started(recogniser=None), turn(1, text=None))
    assert "voice only" not in "\n".join(lines_of(render(overview(watcher.all), 80, 24)))
    watcher.receive(started(recogniser="base.en"))
    assert "voice only" in "\n".join(lines_of(render(overview(watcher.all), 80, 24)))


def test_what_is_out_of_date_says_so_in_words() -> None:
    assert "\n".join(lines_of(render(SITUATIONS["not connected"], 80, 24))).count("! not connected") == 5
    assert "! offline" in "\n".join(lines_of(render(SITUATIONS["gone"], 80, 24)))
    assert "Waiting for the broker." in "\n".join(lines_of(render(SITUATIONS["no broker"], 80, 24)))
    assert "No site has said anything yet." in "\n".join(lines_of(render(SITUATIONS["nothing"], 80, 24)))


def test_the_chosen_site_is_on_the_page_that_is_shown() -> None:
    sites = watched(turns=1, copies=10)
    for chosen in range(40):
        screen = "\n".join(lines_of(render(overview(sites, chosen=chosen), 80, 24)))
        assert f"╭─ ▸ {chosen + 1} " in screen, "marked not by colour alone"
        assert f"sites {chosen // 6 * 6 + 1} to {min(40, chosen // 6 * 6 + 6)} of 40" in screen


@given(st.integers(1, 64), st.integers(1, 400), st.integers(1, 100))
def test_a_grid_shows_at_least_one_site_and_all_where_they_fit(count: int, width: int, height: int) -> None:
    grid = Grid.fitting(count, width, height)
    assert grid.columns >= 1
    assert grid.rows >= 1
    if (width // 36) * (height // 6) >= count:
        assert grid.columns * grid.rows >= count
        assert (grid.rows - 1) * grid.columns < count, "no row is empty"


@pytest.mark.parametrize("size", SIZES + ODD_SIZES, ids=lambda size: "{}x{}".format(*size))
def test_a_site_that_is_watched_fills_the_screen_too(size: tuple[int, int]) -> None:
    site = SITUATIONS["four"].sites[0]
    for problem in (None, "stale for 2 min"):
        site.watching.place, site.watching.problem = "1 of 4", problem
        lines = lines_of(render_site(site.state, site.status, *size))
        assert len(lines) == size[1]
        assert {cell_len(line) for line in lines} == {size[0]}


def test_a_site_that_is_watched_promises_nothing_in_the_name_of_others() -> None:
    site = watched().sites[0]
    site.watching.place, site.watching.problem = "1 of 4", "offline"
    screen = "\n".join(lines_of(render_site(site.state, LiveStatus(), 80, 24)))
    for words in ("kitchen (1 of 4)", "! offline", "other sites", "all sites", "Nothing is recorded here."):
        assert words in screen, words
    assert "pause" not in screen


TIMES = st.sampled_from([0.0, 1e-9, 5.0, 1e9])
WORDS = st.sampled_from(["", "joy", "田" * 300, "\x1b[2J\u202e", "a b"])


@settings(max_examples=60)
@given(st.lists(st.tuples(TIMES, TIMES, WORDS, WORDS, st.integers(1, 2**60), st.booleans()), max_size=8))
def test_what_is_valid_but_odd_is_drawn_all_the_same(odd: list[tuple[float, float, str, str, int, bool]]) -> None:
    watcher = Watcher()
    watcher.receive(started(labels=tuple(word for *_, word, _, _ in odd)), vad(at_s=1e9))
    for start_s, end_s, emotion, speaker, number, uncertain in odd:
        shares = {emotion: 1.0, speaker: 0.0} if number % 2 else {}
        event = turn(number, emotion, start_s=start_s, end_s=end_s, speaker=speaker, probabilities=shares)
        watcher.receive(event.model_copy(update={"uncertain": uncertain, "text": speaker}))
        name = speaker[:MAX_NAME_CHARS] or None
        watcher.receive(Shift(**HEAD, speaker=name, turn_id=1, at_s=end_s, before="joy", after="fear"))
    view = overview(watcher.all)
    site = watcher.site
    for width, height in SIZES:
        for frame in (render(view, width, height), render_site(site.state, site.status, width, height)):
            assert {cell_len(line) for line in lines_of(frame)} == {width}
