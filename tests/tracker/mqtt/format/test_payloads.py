"""Payloads: what comes in is bounded, what is refused is refused in one line, and what goes out comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from emotrack.models.bundle import load_bundle
from emotrack.models.bundle_files import bundle_folder
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.scorer import ConversationScorer
from emotrack.tracker.events import Percentiles, to_json
from emotrack.tracker.mqtt.format.payloads import (
    COMMANDS,
    MAX_CONTEXT_BYTES,
    MAX_JSON_BYTES,
    MAX_JSON_DEPTH,
    MAX_RESUMED_S,
    MAX_RESUMED_TURNS,
    MAX_SNAPSHOT_BYTES,
    ErrorReport,
    LabelTurn,
    Metrics,
    Pause,
    PayloadError,
    Shift,
    Snapshot,
    StartListening,
    State,
    StopListening,
    TextCaptured,
    Vad,
    parse,
    parse_event,
    parse_status,
)
from emotrack.tracker.mqtt.publishing.state import SiteState
from tests.tracker.dashboard.made_up import mark, provisional, started, turn

HEAD: dict[str, Any] = {"site": "kitchen", "session": "s", "time": datetime(2026, 1, 1, tzinfo=UTC)}
READ = (*COMMANDS.values(), StartListening, StopListening, State, Vad, Snapshot, Metrics, Shift, ErrorReport)


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"turn_id":',
        b'{"siteId": 3}',
        nested(MAX_JSON_DEPTH + 1),
        b'{"x": "]]]]]]]]]]]]]]]]]]]]", "y": ' + nested(30_000)[:60_000],
        b"[" * MAX_JSON_BYTES,
        b" " * (MAX_JSON_BYTES + 1),
        b'{"turn_id": NaN, "siteId": NaN, "emotion": "joy"}',
        b'{"turn_id": 1e999, "siteId": 1, "emotion": "joy"}',
        b'{"turn_id": ' + b"9" * 5000 + b', "siteId": 1, "emotion": "joy"}',
        b'{"emotion": "\\ud800", "siteId": "\\ud800"}',
        b'"' + b'\\"' * 32_000,
        b'"' * 65_000,
        b'{"siteId": "\\',
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value.__name__,
)
def test_malformed_payloads_are_refused_in_one_short_line(kind: type[BaseModel], payload: bytes) -> None:
    with pytest.raises(PayloadError) as refused:
        parse(kind, payload)
    assert len(str(refused.value)) <= 200
    assert str(refused.value).isprintable()


def refusal(read: Callable[[], object]) -> str:
    """What the reader says when it refuses; empty when it reads."""
    try:
        read()
    except PayloadError as refused:
        return str(refused)
    return ""


@given(st.binary(max_size=400), st.sampled_from(READ))
def test_bytes_are_read_or_refused(payload: bytes, kind: type[BaseModel]) -> None:
    for read in (lambda: parse(kind, payload), lambda: parse_event(payload), lambda: parse_status(payload)):
        assert refusal(read).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(
    JSON, st.sampled_from(READ), st.sampled_from(["turn_id", "emotion", "siteId", "paused", "site", "time", "context"])
)
def test_json_of_the_wrong_shape_is_read_or_refused(value: object, kind: type[BaseModel], key: str) -> None:
    for payload in (value, {key: value}, {key: value, "turn_id": 1, "emotion": "joy"}):
        words = refusal(partial(parse, kind, json.dumps(payload).encode()))
        assert len(words) <= 200
        assert words.isprintable()


def test_what_is_wrong_is_said() -> None:
    for payload, words in (
        (b'{"turn_id":0,"emotion":"joy"}', "turn_id"),
        (b'{"turn_id":1,"emotion":"joy","extra":1}', "extra"),
        (b'{"turn_id":1,"emotion":"joy","\\u001b[2J":1}', "?"),
        (b"x" * 5000, "5000 bytes, more than the 4096 allowed"),
        (nested(17), "nested more than 16 deep"),
    ):
        with pytest.raises(PayloadError, match=words.replace("?", r"\?")):
            parse(LabelTurn, payload, 4096)


def test_an_empty_command_is_one_without_wishes() -> None:
    assert parse(Pause, b"") == Pause(paused=None)
    assert parse(Pause, b'{"paused":true}').paused is True


def test_hermes_speaks_in_camel_case_and_may_say_more() -> None:
    heard = parse(StartListening, b'{"siteId":"den","sessionId":"x1","stopOnSilence":false,"lang":"de"}')
    assert (heard.site_id, heard.session_id, heard.stop_on_silence) == ("den", "x1", False)
    assert parse(StartListening, b"{}").site_id == "default"
    said = TextCaptured(text="hello", likelihood=0.9, seconds=1.5, site_id="den", session_id="x1")
    assert json.loads(said.to_json()) == {
        "siteId": "den", "sessionId": "x1", "text": "hello", "likelihood": 0.9, "seconds": 1.5,
    }  # fmt: skip


def test_a_snapshot_comes_back_whole_and_is_bounded() -> None:
    values = {**HEAD, "session": "s", "worker": "w", "fingerprint": "f", "stream_s": 3.5, "turns_heard": 7}
    snapshot = Snapshot(**values, context=b"\0\xff" * 40_000)
    sent = snapshot.to_json()
    assert parse(Snapshot, sent, MAX_SNAPSHOT_BYTES).context == b"\0\xff" * 40_000
    largest = {**values, "context": "AAAA" * (MAX_CONTEXT_BYTES // 3 + 1), "time": "2026-01-01T00:00:00Z"}
    assert len(json.dumps(largest)) < MAX_SNAPSHOT_BYTES
    with pytest.raises(PayloadError, match="context"):
        parse(Snapshot, json.dumps(largest).encode(), MAX_SNAPSHOT_BYTES)


SNAPSHOT: dict[str, Any] = {
    "site": "kitchen", "session": "20260101T000000Z-a1b2", "time": "2026-01-01T00:00:00Z", "worker": "w",
    "fingerprint": "f", "stream_s": 3.5, "turns_heard": 7, "context": "",
}  # fmt: skip


@pytest.mark.parametrize(
    "session",
    ["../../x", "/etc/x", "..", ".", ".hidden", "", "a/b", "a\\b", "a\0b", "a b", "a\n", "ä", "-rf", "~root", "x" * 65],
)
def test_a_session_that_could_name_another_folder_is_refused(session: str) -> None:
    assert parse(Snapshot, json.dumps(SNAPSHOT).encode()).session == SNAPSHOT["session"]
    with pytest.raises(PayloadError, match="session"):
        parse(Snapshot, json.dumps(SNAPSHOT | {"session": session}).encode())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("turns_heard", 2**53),
        ("turns_heard", MAX_RESUMED_TURNS + 1),
        ("turns_heard", -1),
        ("turns_heard", 10**30),
        ("turns_heard", 1.5),
        ("stream_s", 1e9),
        ("stream_s", MAX_RESUMED_S + 1),
        ("stream_s", -1),
        ("stream_s", 10**400),
        ("time", "2026-01-01T00:00:00"),
        ("time", "0001-01-01T00:00:00Z"),
        ("time", "9999-12-31T23:59:59Z"),
        ("time", 1e300),
    ],
)
def test_a_snapshot_that_cannot_be_gone_on_with_is_refused(key: str, value: object) -> None:
    with pytest.raises(PayloadError):
        parse(Snapshot, json.dumps(SNAPSHOT | {key: value}).encode())


TIMES = st.floats(0, 1e9) | st.sampled_from([0.0, 1.0, 1e9])
REMEMBERED = st.fixed_dictionaries({
    "turn_id": st.integers(1, 4) | st.integers(1, 10**9), "revision": st.integers(0, 2**53), "start_s": TIMES,
    "end_s": TIMES, "speaker": st.none() | st.sampled_from(["Ana", "\x1b"]), "emotion": st.sampled_from(["joy", "?"]),
    "confidence": st.floats(0, 1), "uncertain": st.booleans(),
    "probabilities": st.dictionaries(st.sampled_from(["joy", "anger", "?"]), st.floats(0, 1), max_size=3),
})  # fmt: skip


@given(st.lists(REMEMBERED, max_size=6), st.booleans())
def test_whatever_was_remembered_elsewhere_the_next_turns_are_counted(
    remembered: list[dict[str, Any]], orderly: bool
) -> None:
    if orderly:
        remembered = sorted({each["turn_id"]: each for each in remembered}.values(), key=lambda each: each["turn_id"])
        for each in remembered:
            each["start_s"], each["end_s"] = sorted((each["start_s"], each["end_s"]))
    snapshot = json.dumps(SNAPSHOT | {"turns_heard": 10**8, "recent": remembered}).encode()
    try:
        recent = parse(Snapshot, snapshot).recent
    except PayloadError:
        assert not orderly or any(each["turn_id"] > 10**8 for each in remembered)
        return
    state = SiteState("kitchen")
    state.restore("s", recent)
    for number in (1, 2, 5):
        for payload in state.apply(turn(number)):
            assert parse(type(payload), payload.to_json()) == payload


def test_a_turn_that_ends_before_it_begins_is_refused() -> None:
    for event in (to_json(turn(1)), to_json(provisional(1.0, 2.0))):
        with pytest.raises(PayloadError, match="ends before it begins"):
            parse_event(re.sub('"start_s":[0-9.]+', '"start_s":99.0', event).encode())


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity", "1e17", "1" * 400])
def test_no_number_is_read_with_which_nothing_can_be_calculated(number: str) -> None:
    """However deep it stands."""
    metrics = Metrics(
        **HEAD, at_s=1.0, paused=False, source_lost=False, turns={"joy": 1}, stage_ms={"encoding": 4321.0},
        turn_latency_ms=Percentiles(p50=4321.0, p95=2.0, max=3.0), dropped_frames={"overrun": 4321}, dropped_turns=4321,
        text_skipped=0, queue_depth={"turns": 4321}, errors={}, mqtt_reconnects=0,
    )  # fmt: skip
    whole = metrics.to_json().decode()
    assert parse(Metrics, whole.encode()) == metrics
    places = [place.span() for place in re.finditer(r"4321(\.0)?", whole)]
    assert len(places) == 5
    for start, end in places:
        with pytest.raises(PayloadError):
            parse(Metrics, f"{whole[:start]}{number}{whole[end:]}".encode())
    event = to_json(turn(1)).replace('"turn_id":1', f'"turn_id":{number}').encode()
    with pytest.raises(PayloadError):
        parse_event(event)
    with pytest.raises(PayloadError):
        parse_event(re.sub('"after_end":[0-9.]+', f'"after_end":{number}', to_json(turn(1))).encode())


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"])
def test_no_date_is_read_that_cannot_be_compared(time: str) -> None:
    with pytest.raises(PayloadError):
        parse_event(re.sub('"time":"[^"]+"', f'"time":"{time}"', to_json(turn(1))).encode())


def test_events_come_back_as_they_left() -> None:
    for event in (started(), turn(3, "anger", text="No.")):
        assert parse_event(to_json(event).encode()) == event


@pytest.mark.parametrize("time", ["1e999", "1e300", "NaN", "-1e12"])
def test_a_time_that_cannot_be_is_refused(time: str) -> None:
    for key in ("start_s", "end_s", "confidence", "joy"):
        endless = re.sub(f'"{key}":[0-9.]+', f'"{key}":{time}', to_json(turn(1))).encode()
        with pytest.raises(PayloadError):
            parse_event(endless)
    with pytest.raises(PayloadError):
        parse_event(to_json(mark(1.0)).replace('"at_s":1.0', f'"at_s":{time}').encode())


@pytest.mark.parametrize("payload", [b"", b"Online", b"online ", b"\xff"])
def test_a_status_is_one_of_two_words(payload: bytes) -> None:
    assert parse_status(b"online") == "online"
    with pytest.raises(PayloadError):
        parse_status(payload)


def test_a_session_may_last_thirty_years_and_no_longer() -> None:
    assert parse_event(to_json(turn(1, start_s=1e9 - 1, end_s=1e9)).encode()) == turn(1, start_s=1e9 - 1, end_s=1e9)
    with pytest.raises(PayloadError):
        parse_event(to_json(turn(1, start_s=1e9 - 1, end_s=1e9 + 1)).encode())


def test_a_turn_without_a_length_is_one() -> None:
    assert parse_event(to_json(turn(1, start_s=3.0, end_s=3.0)).encode()) == turn(1, start_s=3.0, end_s=3.0)


def test_a_long_conversation_of_many_fits_into_a_snapshot() -> None:
    scorer = ConversationScorer(load_bundle(bundle_folder("mini")))
    voice, words = (torch.ones(width) for width in (scorer.network.speech_head.voice, scorer.network.text_width))
    context = scorer.new_context(64)
    for number in range(64):
        scorer.estimate(context, TurnEmbedding(voice, words, f"speaker {number % 12}", "so am i"))
    assert len(context.to_bytes()) < MAX_CONTEXT_BYTES
