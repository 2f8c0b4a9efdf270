"""Topics: no name breaks one, and no two names share one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.mqtt.format import topics

ODD = (
    "+",
    "#",
    "/",
    "\0",
    "a/b",
    "a+b",
    "$SYS",
    "100%",
    "%2F",
    "~",
    "_group",
    " ",
    "\n",
    "\u202e",
    "Küche",
    "居間",
    "",
)


def is_sound(level: str) -> bool:
    return (
        bool(level) and len(level.encode()) <= topics.MAX_LEVEL_BYTES and not re.search(r"[+#/$\x00-\x20\x7f]", level)
    )


@pytest.mark.parametrize("name", [*ODD, "x" * 70_000, "居" * 70_000, "/" * 70_000])
def test_odd_names_make_sound_levels(name: str) -> None:
    assert is_sound(topics.level(name))
    assert topics.split(topics.turn(name)) == (topics.name(topics.level(name)), "turn")


@given(st.text())
def test_any_name_makes_a_sound_level_and_comes_back(name: str) -> None:
    level = topics.level(name)
    assert is_sound(level)
    if name and "~" not in level:
        assert topics.name(level) == name


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_two_names_never_share_a_level_nor_an_object_id(one: str, other: str) -> None:
    if one != other:
        assert topics.level(one) != topics.level(other)
        assert topics.object_id(one) != topics.object_id(other)


def test_names_that_differ_at_their_far_end_do_not_share_a_level() -> None:
    assert len({topics.level("x" * 70_000 + end) for end in "abc"}) == 3


def test_ordinary_names_stay_as_they_are() -> None:
    assert topics.turn("kitchen") == "emotrack/kitchen/turn"
    assert topics.speaker_state("kitchen", "Ana") == "emotrack/kitchen/speaker/Ana/state"
    assert topics.discovery("kitchen") == "homeassistant/device/emotrack_kitchen/config"
    assert topics.hermes_audio_frame("living room") == "hermes/audioServer/living room/audioFrame"
    assert topics.shared("house", topics.ANY_START) == "$share/house/emotrack/+/cmd/start"


@pytest.mark.parametrize("name", ODD)
def test_a_hermes_name_cannot_widen_a_subscription(name: str) -> None:
    levels = topics.hermes_audio_frame(name).split("/")
    assert len(levels) == 4
    assert not re.search(r"[+#\x00]", levels[2])


@given(st.text(max_size=100))
def test_object_ids_are_what_home_assistant_takes(site: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", topics.object_id(site))


@pytest.mark.parametrize("topic", ["", "emotrack", "emotrack/kitchen", "other/kitchen/turn", topics.worker("g", "w")])
def test_what_is_no_topic_of_a_site_is_told_apart(topic: str) -> None:
    assert topics.split(topic) is None


@pytest.mark.parametrize("rest", ["1", "居間/a b/$c", "a/b/c/d/e/f/g/h", "x" * 1000])
def test_a_reply_goes_below_its_prefix(rest: str) -> None:
    assert topics.is_reply(f"emotrack/steward/reply/{rest}")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "replies/steward/1",
        "homeassistant/status",
        "homeassistant/device/emotrack_kitchen/config",
        "hermes/asr/textCaptured",
        "$SYS/broker",
        "$share/emotrack/a/reply/1",
        "emotrack/kitchen/turn",
        "emotrack/kitchen/cmd/stop",
        "emotrack/_group/house/owner/kitchen",
        "emotrack/reply/1",
        "emotrack//reply/1",
        "emotrack/a/reply",
        "emotrack/a/reply/",
        "emotrack/a/reply//b",
        "emotrack/a/b/reply/1",
        "/emotrack/a/reply/1",
        "Emotrack/a/reply/1",
        "emotrack/+/reply/1",
        "emotrack/a/reply/#",
        "emotrack/a/reply/1\n",
        "emotrack/a/reply/" + "/".join("a" * 300),
        "emotrack/a/reply/" + "x" * 1024,
        "emotrack/a/reply/" + "居" * 400,
        *(f"emotrack/a/reply/{odd}" for odd in ("\0", "\x1b", "\x9f", "\ud800", "\ufdd0", "\uffff", "\U0010fffe")),
    ],
)
def test_a_reply_goes_nowhere_else(topic: str) -> None:
    assert not topics.is_reply(topic)


@pytest.mark.parametrize("char", ["\ufffe", "\ufdd0", "\U0001ffff", "\x1b", "\x85", "\ud800"])
def test_a_hermes_name_holds_nothing_at_which_a_broker_hangs_up(char: str) -> None:
    assert char not in topics.hermes_audio_frame(f"a{char}b")
    assert topics.hermes_audio_frame("Küche 居間 👩‍🔬").endswith("/Küche 居間 👩‍🔬/audioFrame")


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_name_of_128_bytes_is_its_own_level_and_a_longer_one_is_cut_to_as_many(letter: str) -> None:
    fits = letter * (128 // len(letter.encode()))
    longer = fits + letter
    assert topics.level(fits).count("~") == 0
    assert topics.name(topics.level(fits)) == fits
    assert topics.level(longer).count("~") == 1
    assert len(topics.level("x" * 129)) == 128
    assert topics.hermes_audio_frame("x" * 128) == f"hermes/audioServer/{'x' * 128}/audioFrame"
    assert topics.hermes_audio_frame("x" * 129) == f"hermes/audioServer/{topics.level('x' * 129)}/audioFrame"
