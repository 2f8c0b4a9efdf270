"""What waits for a broker: in which order it is sent, what is sent again, and what goes with a connection."""

from __future__ import annotations

import asyncio

from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.connection.outbox import Outbox


def turn(number: int) -> Message:
    return Message("emotrack/kitchen/turn", b"%d" % number, qos=1)


def state(payload: bytes, site: str = "kitchen") -> Message:
    return Message(f"emotrack/{site}/state", payload, qos=1, retain=True)


def sent(outbox: Outbox) -> list[bytes]:
    """What a broker that takes everything gets, in order."""
    payloads = [message.payload for message in outbox.take_lossy()]
    while (first := outbox.first()) is not None:
        outbox.taken(*first)
        payloads.append(first[1].payload)
    return payloads


def test_messages_go_in_order_each_once() -> None:
    outbox = Outbox()
    for number in range(3):
        outbox.put(turn(number))
    assert len(outbox) == 3
    assert sent(outbox) == [b"0", b"1", b"2"]
    assert not outbox.waiting


def test_after_a_reconnect_what_is_retained_comes_first_and_once() -> None:
    outbox = Outbox()
    outbox.put(state(b"old"))
    outbox.put(state(b"new"))
    outbox.put(state(b"other", "hall"))
    assert sent(outbox) == [b"old", b"new", b"other"]
    outbox.put(turn(1))
    outbox.lost()
    outbox.connected()
    assert sent(outbox) == [b"new", b"other", b"1"]


def test_of_a_state_only_the_latest_need_be_told() -> None:
    outbox = Outbox()
    for payload in (b"1", b"2", b"3"):
        outbox.put(state(payload), latest_only=True)
    assert sent(outbox) == [b"3"]


def test_what_is_deleted_is_not_sent_again() -> None:
    outbox = Outbox()
    outbox.put(state(b"there"))
    outbox.put(state(b""))
    assert sent(outbox) == [b"there", b""]
    outbox.connected()
    assert not sent(outbox)


def test_what_is_true_only_now_goes_with_the_connection() -> None:
    outbox = Outbox()
    outbox.put(state(b"claim"), only_now=True)
    outbox.put(Message("emotrack/kitchen/vad", b"level"))
    outbox.put(turn(1))
    assert outbox.lossy_waiting == 1
    outbox.lost()
    outbox.connected()
    assert sent(outbox) == [b"1"]


def test_what_is_given_up_is_never_sent_again() -> None:
    outbox = Outbox()
    outbox.put(state(b"poison"))
    outbox.put(turn(1))
    first = outbox.first()
    assert first is not None
    assert outbox.give_up(first[0]) == state(b"poison")
    assert outbox.give_up(first[0]) is None
    outbox.connected()
    assert sent(outbox) == [b"1"]


def test_nothing_is_left_of_what_is_abandoned() -> None:
    outbox = Outbox()
    outbox.put(state(b"there"))
    outbox.put(turn(1))
    outbox.abandon()
    outbox.connected()
    assert not sent(outbox)


def test_who_waits_for_all_to_be_sent_and_who_waits_for_more() -> None:
    async def run() -> list[str]:
        outbox, told = Outbox(), list[str]()
        outbox.put(turn(1))

        async def all_sent() -> None:
            await outbox.all_sent()
            told.append("all sent")

        async def send() -> None:
            sent(outbox)
            told.append("sent")
            await outbox.more()
            told.append("more")

        async with asyncio.TaskGroup() as group:
            group.create_task(all_sent())
            group.create_task(send())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            outbox.put(turn(2))
        return told

    assert asyncio.run(run()) == ["sent", "all sent", "more"]
