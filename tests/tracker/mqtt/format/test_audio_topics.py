"""Whose audio a topic carries, and where to listen for one site's."""

from __future__ import annotations

import pytest

from emotrack.errors import UsageError
from emotrack.tracker.mqtt.format.audio_topics import AudioTopics


@pytest.mark.parametrize(
    ("topic", "site"),
    [
        ("hermes/audioServer/kitchen/audioFrame", "kitchen"),
        ("hermes/audioServer/kitchen/abc/audioSessionFrame", "kitchen"),
        ("hermes/audioServer/living room/audioFrame", "living room"),
        ("hermes/audioServer/100%25/audioFrame", "100%25"),  # Hermes escapes nothing
        ("emotrack/living%20room/audio", "living room"),
        ("hermes/audioServer//audioFrame", "default"),
        ("hermes/audioServer/kitchen/playBytes", None),
        ("emotrack/kitchen/turn", None),
        ("emotrack/kitchen/audio/more", None),
    ],
)
def test_the_usual_topics(topic: str, site: str | None) -> None:
    assert AudioTopics(None).site(topic) == site


@pytest.mark.parametrize("site", ["kitchen", "living room", "100%25", "Wohnküche"])
def test_a_sites_own_filters_are_the_topics_it_sends_on(site: str) -> None:
    topics = AudioTopics(None)
    frame, session_frame, raw = topics.of(site)
    assert frame == f"hermes/audioServer/{site}/audioFrame"
    for topic in (frame, session_frame.replace("+", "abc"), raw):
        assert topics.site(topic) == site


@pytest.mark.parametrize("site", ["#", "a/b", "+", "\0", "n" * 60_000])
def test_no_name_widens_what_is_listened_to(site: str) -> None:
    for topic_filter, usual in zip(AudioTopics(None).of(site), AudioTopics(None).filters, strict=True):
        assert topic_filter.count("/") == usual.count("/")
        assert topic_filter.count("+") == usual.count("+") - 1
        assert "#" not in topic_filter
        assert "\0" not in topic_filter
        assert len(topic_filter) < 400


def test_topics_of_ones_own() -> None:
    topics = AudioTopics("sensors/+/mic/#")
    assert topics.site("sensors/hall/mic/left/1") == "hall"
    assert topics.site("sensors/hall/mic") == "hall"
    assert topics.site("sensors/hall/lamp") is None
    assert topics.of("hall") == ["sensors/hall/mic/#"]
    for wrong in ("sensors/mic", "#", "a/#/+", "a+/b", "$share/g/+/b", ""):
        with pytest.raises(UsageError, match="first \\+"):
            AudioTopics(wrong)
