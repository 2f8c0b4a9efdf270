"""One line of a saved session: an event, or why it is none.

Nothing that a line may hold raises anything, and older versions are read as far as they go: fields that they lack stand
at what means unknown, fields that are not known are dropped, and both are said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC
from typing import Any, BinaryIO, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from emotrack.tracker.events import (
    EVENT,
    SCHEMA_VERSION,
    Correction,
    Event,
    Mark,
    OverloadEvent,
    Provisional,
    SessionEnded,
    SessionStarted,
    SourceLostEvent,
    SourceRestoredEvent,
    SpeakerRenamed,
    SpeakersMerged,
    Turn,
)
from emotrack.tracker.site import DEFAULT_SITE

MAX_LINE_BYTES = 1_000_000  # an event has some hundred bytes; what is longer is no event
HEAD_BYTES = MAX_LINE_BYTES + 1  # in which a session's first event is
MAX_PROBLEMS = 20  # kinds of them; a person reads no more
MAX_SECONDS = 1e8  # three years on the stream clock; a report draws them all, so it is less than a payload may say
MAX_TURN_ID = 10**9

_LATENCIES = ("end_of_turn", "queued", "recognition", "encoding", "context", "after_end")

_HEAD_LINES = 100
_KINDS = [kind.model_fields["type"].default for kind in get_args(get_args(Event)[0])]
_BEGINNING = re.compile(rf'{{"type": ?"(?:{"|".join(_KINDS)})"'.encode())  # of what is written, also by a newer version
_SHORTEST_BEGINNING = b'{"type":"session_started"'

# What an event of an older version may lack, and what stands for it.
_DEFAULTS: dict[str, Any] = {
    "schema": SCHEMA_VERSION,
    "site": DEFAULT_SITE,
    "revision": 0,
    "speaker": None,
    "text": None,
    "text_source": None,
    "uncertain": False,
    "truncated": False,
    "recogniser": None,
    "versions": {},
    "emotions": {},
    "speakers": {},
    "mood": None,
    "dropped_frames": 0,
    "dropped_turns": 0,
    "text_skipped": 0,
    **dict.fromkeys(_LATENCIES, 0.0),
    "latency_ms": dict.fromkeys(_LATENCIES, 0.0),
}
_DEFAULTS_AT_THE_END: dict[str, Any] = {"reason": "unknown", "latency_ms": {}}


_GIVEN: dict[frozenset[str], set[str]] = {}  # as many as there are versions of events


class Problems:
    """What was wrong with the lines of a file, counted by kind; the kinds are bounded."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, what: str) -> None:
        """Count one more line of the kind ``what``."""
        if what not in self._counts and len(self._counts) >= MAX_PROBLEMS:
            what = "lines have other faults"
        self._counts[what] = self._counts.get(what, 0) + 1

    def lines(self) -> list[str]:
        """One line per kind, with how often it occurred."""
        return [f"{what} ({n} lines)" if n > 1 else what for what, n in self._counts.items()]


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of ``file`` with their ends; of an endless one, only a little more than ``MAX_LINE_BYTES``."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def begins_session(head: bytes) -> bool:
    """Whether the first ``HEAD_BYTES`` of a file hold an event, or the half of one that a crash left."""
    tried = head.split(b"\n", _HEAD_LINES)[:_HEAD_LINES]
    is_scrap = bool(head) and _SHORTEST_BEGINNING.startswith(head)
    return is_scrap or any(_BEGINNING.match(line) or parse_line(line, Problems()) for line in tried)


def parse_line(line: bytes, problems: Problems) -> Event | None:
    """The event in one line of a file; None for a blank line and for what is no event, which ``problems`` then tells.

    What an older version left out stands at what means unknown, and fields that are not known are dropped.
    """
    if len(line) > MAX_LINE_BYTES:
        problems.add("a line is too long to be an event; left out")
        return None
    if not line.strip():
        return None
    try:
        event = EVENT.validate_json(line)
    except ValidationError as error:
        older = _parse_older(line, _faults(error), problems)
        if older is None:
            return None
        event = older
    if event.time.tzinfo is None:
        event = event.model_copy(update={"time": event.time.replace(tzinfo=UTC)})
    # at the ends of the calendar even a change of time zone fails
    if not (1970 <= event.time.year < 9000 and _can_be(event)):
        problems.add("an event has numbers that cannot be; left out")
        return None
    return slim(event)


E = TypeVar("E", bound=Event)


def slim(event: E) -> E:
    """``event``, sharing with all others the note of which of its fields were given: it fills half of its memory."""
    parts = (event, event.latency_ms) if isinstance(event, Turn) else (event,)
    for part in parts:
        given = part.model_fields_set
        object.__setattr__(part, "__pydantic_fields_set__", _GIVEN.setdefault(frozenset(given), given))
    return event


def _can_be(event: Event) -> bool:
    """Whether the numbers make sense; JSON can carry infinite ones and NaN, and later code counts with them."""
    match event:
        case Turn():
            latencies = [getattr(event.latency_ms, name) for name in _LATENCIES]
            return event.turn_id <= MAX_TURN_ID and _are_times(event.start_s, event.end_s, *latencies)
        case SessionEnded():
            points = [x for p in event.latency_ms.values() for x in (p.p50, p.p95, p.max) if x is not None]
            spent = (event.speculation.kept_s, event.speculation.wasted_s) if event.speculation else ()
            return _are_times(0, event.seconds, *points, *spent)
        case SourceRestoredEvent():
            return _are_times(0, event.at_s, event.seconds_lost)
        case Mark() | SourceLostEvent() | OverloadEvent() | Provisional():
            return _are_times(0, event.at_s)
        case Correction():
            return event.turn_id <= MAX_TURN_ID
        case SessionStarted() | SpeakerRenamed() | SpeakersMerged():
            return True


def _are_times(start_s: float, end_s: float, *more: float) -> bool:
    """A stretch of stream time, and durations in seconds or milliseconds; false for NaN."""
    return start_s <= end_s <= MAX_SECONDS and all(0 <= x <= 1000 * MAX_SECONDS for x in more)


def _parse_older(line: bytes, faults: list[ErrorDetails], problems: Problems) -> Event | None:
    try:
        document = json.loads(line)
        json.dumps(document, ensure_ascii=False).encode()  # half a character (a lone surrogate) fails here
    except (ValueError, RecursionError):
        half = "a line is half written or not JSON" if line.endswith(b"\n") else "the last line is only half written"
        problems.add(f"{half}; left out")
        return None
    if not isinstance(document, dict):
        problems.add("a line is no event; left out")
        return None
    schema = document.get("schema")
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        problems.add("an event is of a newer version of emotrack; left out")
        return None
    if isinstance(schema, int) and schema < SCHEMA_VERSION:
        document["schema"] = SCHEMA_VERSION
    for _ in range(3):  # filling one level may uncover the next
        mended = [what for fault in faults if (what := _mend(document, fault))]
        try:
            event = EVENT.validate_python(document)
        except ValidationError as error:
            faults = _faults(error)
        else:
            for what in mended:
                problems.add(what)
            return event
    kind, *where = faults[0]["loc"] or ("",)
    known = f"{kind}, {_dotted(where)}" if where else "its type is not known"
    problems.add(f"a line is no event ({known}); left out")
    return None


def _faults(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False, include_input=False)


def _mend(document: dict[str, Any], fault: ErrorDetails) -> str | None:
    """Fill in or take out what one fault is about, and say so; None where nothing can be done."""
    kind, *where = fault["loc"] or ("",)
    if not where:
        return None
    inside: Any = document
    for part in where[:-1]:
        inside = inside.get(part) if isinstance(inside, dict) else None
    if not isinstance(inside, dict):
        return None
    name = str(where[-1])
    defaults: Mapping[str, Any] = _DEFAULTS | _DEFAULTS_AT_THE_END if kind == "session_ended" else _DEFAULTS
    if fault["type"] == "missing" and name in defaults:
        inside[name] = deepcopy(defaults[name])
        return f"events lack {_dotted(where)}"
    if fault["type"] == "extra_forbidden":
        inside.pop(name, None)
        return f"events have an unknown {_dotted(where)}; left out"
    return None


def _dotted(where: list[int | str]) -> str:
    """The place of a fault; names that no field would have are not repeated, they may be anything."""
    return ".".join(str(part) if str(part).isidentifier() and len(str(part)) <= 40 else "..." for part in where)
