"""What viewers are told, and what becomes of one who does not read."""

from __future__ import annotations

import json

from emotrack.tracker.events import to_json
from emotrack.tracker.web.feed import BATCH_BYTES, Feed, Reader
from tests.tracker.dashboard.made_up import mark, provisional, turn
from tests.tracker.web.served import Message


def taken(reader: Reader) -> list[Message]:
    """All that is due."""
    messages = list[Message]()
    while not reader.is_done:
        messages += map(json.loads, reader.take())
    return messages


def times(messages: list[Message]) -> list[float]:
    """The moments of the marks that were told."""
    return [event["at_s"] for message in messages if message["type"] == "events" for event in message["events"]]


def test_who_comes_late_is_told_what_was_and_what_holds() -> None:
    feed = Feed()
    assert not feed.is_read
    feed.add(turn(1))
    feed.tell("figures", '{"type":"figures","turns":1}')
    feed.tell("figures", '{"type":"figures","turns":2}')
    feed.add(turn(2))
    reader = Reader(feed, None)
    assert feed.is_read
    first, second = taken(reader)
    del reader
    assert not feed.is_read
    assert first == {"type": "figures", "turns": 2}
    assert second["events"] == [json.loads(to_json(turn(1))), json.loads(to_json(turn(2)))]
    assert second["last_event"] == f"{feed.run}:1"


def test_who_comes_back_goes_on_where_they_were() -> None:
    feed = Feed()
    for at_s in range(5):
        feed.add(mark(at_s))
    reader = Reader(feed, f"{feed.run}:2")
    assert reader.goes_on
    assert times(taken(reader)) == [3, 4]
    feed.add(mark(5))
    assert times(taken(reader)) == [5]
    for of_another in ("", "x", "00000000:2", f"{feed.run}:6", f"{feed.run}:-1", f"{feed.run}:{'9' * 50}"):
        reader = Reader(feed, of_another)
        assert not reader.goes_on
        assert times(taken(reader)) == [0, 1, 2, 3, 4, 5]


def test_who_does_not_read_loses_the_oldest_and_is_told() -> None:
    feed = Feed(keep=3)
    slow, quick = Reader(feed, None), Reader(feed, None)
    feed.add(mark(0))
    assert times(taken(slow)) == times(taken(quick)) == [0]
    for at_s in range(1, 8):
        feed.add(mark(at_s))
        assert times(taken(quick)) == [at_s]
    told = taken(slow)
    assert told[0] == {"type": "lost", "events": 4}
    assert times(told) == [5, 6, 7]


def test_it_holds_so_many_bytes_whatever_the_events() -> None:
    feed = Feed(keep_bytes=10_000)
    for number in range(1, 100):
        feed.add(turn(number, text="x" * 3_000))
    assert feed.end - feed.begin == 2
    feed.add(turn(100, text="x" * 50_000))
    assert feed.end - feed.begin == 1, "the latest is kept, however long it is"


def test_of_what_passes_the_latest_counts_and_the_same_is_no_news() -> None:
    feed = Feed()
    reader = Reader(feed, None)
    for at_s in (1.0, 1.5, 2.0):
        feed.add(provisional(0.0, at_s))
    assert [message["event"]["at_s"] for message in taken(reader)] == [2.0]
    feed.tell("figures", "{}")
    assert reader.take() == ["{}"]
    feed.tell("figures", "{}")
    assert reader.is_done
    assert feed.end == 0, "it has no number"


def test_a_long_conversation_comes_in_pieces() -> None:
    feed = Feed()
    for number in range(1, 1001):
        feed.add(turn(number))
    messages = taken(Reader(feed, None))
    assert sum(len(message["events"]) for message in messages) == 1000
    assert max(len(json.dumps(message)) for message in messages) < 1.5 * BATCH_BYTES
    assert len(messages) > 3
