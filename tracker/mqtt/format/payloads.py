"""What is sent over MQTT: every payload's class, and how one is read from the network.

Turns and the events of a session are those of ``tracker.events``, the same as everywhere else. What comes in is
bounded before it is looked at: its size, how deeply it is nested, the length of every string and list in it.
"""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from emotrack.errors import EmotrackError
from emotrack.tracker.events import (
    AROUSAL,
    DOUBT,
    EVENT,
    VALENCE,
    Doubt,
    Event,
    LeftOutName,
    Milliseconds,
    Percentiles,
    Probability,
    Provisional,
    Seconds,
    Share,
    Turn,
    UtcTime,
)
from emotrack.tracker.session.controls import MAX_NAME
from emotrack.tracker.site import DEFAULT_SITE

MAX_JSON_BYTES: Final = 65_536
"""Of any JSON payload, out or in; a turn of 25 s has 2 KB."""
MAX_COMMAND_BYTES: Final = 4096
MAX_JSON_DEPTH: Final = 16
MAX_NAME_CHARS: Final = 256
"""Of a site's, a speaker's or a session's name."""
MAX_STREAM_S: Final = 1e9
"""Of any time on a stream's clock: thirty years, which arithmetic survives."""
MAX_NUMBER: Final = 2.0**53
"""Of any number: what every reader of JSON can hold."""
MAX_RESUMED_S: Final = 1e8
"""Where a session that is taken over may stand on its clock: three years, so that there are many more to go ..."""
MAX_RESUMED_TURNS: Final = 10**8
"""... and turns."""
YEARS: Final = range(2000, 2201)  # in which anything may have been sent
MAX_SPEAKERS: Final = 32
"""Speakers of a site that have a state of their own; those who come later count for the room only."""
MAX_REMEMBERED_TURNS: Final = 32
MAX_CONTEXT_BYTES: Final = 393_216
MAX_SNAPSHOT_BYTES: Final = 786_432
"""Of a snapshot as JSON: its context is a third longer there, and the turns come on top."""

SiteStatus = Literal["online", "offline"]
"""Plain text, so that Home Assistant and a Last Will can use it as it is."""
Trend = Literal["improving", "steady", "worsening"]

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
Label = Annotated[str, Field(min_length=1, max_length=64)]
Sentence = Annotated[str, Field(max_length=500)]
StreamTime = Annotated[Seconds, Field(ge=0, le=MAX_STREAM_S)]
MAX_COUNT: Final = 2**53  # what every reader of JSON can hold
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
TurnId = Annotated[int, Field(ge=1, le=10**9)]
SessionId = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Files are named after it: nothing in it leads to another folder, or needs to be escaped anywhere."""
LevelDbfs = Annotated[float, Field(ge=-200, le=100)]
Probabilities = Annotated[dict[Label, Probability], Field(max_length=64)]
CommandName = Literal["start", "stop", "pause", "reset", "label", "rename", "forget"]


class PayloadError(EmotrackError):
    """A payload that cannot be what its topic promises; the message is one line, short and plain."""


class Payload(BaseModel):
    """Anything that is sent as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> bytes:
        return self.model_dump_json(by_alias=True).encode()


class SitePayload(Payload):
    """What every payload of the tracker says first."""

    type: str
    schema_: Annotated[Literal[1], Field(alias="schema", serialization_alias="schema")] = 1
    site: Annotated[Name, Field(description="The place or stream being tracked.")]
    session: Annotated[Name | None, Field(description="The session it belongs to; null outside of any.")]
    time: Annotated[UtcTime, Field(description="Wall-clock time at which it left, UTC.")]


# -- how a room and its people sound ---------------------------------------------------------------------------------


class Standing(SitePayload):
    """The latest turn and what the last minutes add up to; null where there was no turn yet."""

    turn_id: Annotated[TurnId | None, Field(description="The latest turn counted.")]
    revision: Count
    at_s: Annotated[StreamTime | None, Field(description="Stream time at which that turn ended.")]
    emotion: Label | None
    confidence: Annotated[Probability | None, Field(description="Calibrated probability of `emotion`.")]
    uncertain: Annotated[bool, Field(description="True when the estimate is a guess: see `doubt` and `confidence`.")]
    doubt: Annotated[Doubt | None, Field(description=DOUBT)] = None
    valence: Annotated[Share | None, Field(description=VALENCE)] = None
    arousal: Annotated[Share | None, Field(description=AROUSAL)] = None
    mood: Annotated[
        Label | None,
        Field(description="The emotion that prevails over the last minutes; null while too little was heard for that."),
    ]
    mood_probabilities: Annotated[
        Probabilities, Field(description="Each emotion's share of the mood; empty where there is none.")
    ]
    pleasantness: Annotated[
        Share | None, Field(description="The mood's pleasant share less its unpleasant one, -1 to 1.")
    ]
    trend: Annotated[Trend, Field(description="Where the pleasantness is going, by the latest turns.")]
    turns: Annotated[Count, Field(description="Turns counted in this session.")]


class State(Standing):
    """How the room sounds. Retained."""

    type: Literal["state"] = "state"
    speaker: Annotated[Name | None, Field(description="Who spoke the latest turn; null when unknown.")]


class SpeakerState(Standing):
    """How one speaker sounds. Retained, and deleted when the session ends."""

    type: Literal["speaker_state"] = "speaker_state"
    speaker: Name


class Shift(SitePayload):
    """The emotion of the room or of a speaker has changed and stayed changed."""

    type: Literal["shift"] = "shift"
    speaker: Annotated[Name | None, Field(description="Whose emotion; null is the room.")]
    turn_id: Annotated[TurnId, Field(description="The turn at which it changed.")]
    at_s: Annotated[StreamTime, Field(description="Stream time at which that turn ended.")]
    before: Label
    after: Label


class Vad(SitePayload):
    """Whether somebody speaks: when that changes, and now and then in between."""

    type: Literal["vad"] = "vad"
    at_s: Annotated[StreamTime, Field(description="Stream time.")]
    speaking: Annotated[bool, Field(description="True while a turn is under way on any channel.")]
    channels: Annotated[tuple[bool, ...], Field(max_length=64, description="The same for each channel.")]
    levels_dbfs: Annotated[tuple[LevelDbfs, ...], Field(max_length=64, description="Each channel's level.")]


class SourceState(SitePayload):
    """Whether the site's microphone can be heard. Retained, replaced as soon as that changes."""

    type: Literal["source"] = "source"
    lost: Annotated[bool, Field(description="True while the microphone delivers no audio.")]
    paused: Annotated[bool, Field(description="True while nobody listens, because somebody wanted it so.")]


# -- how the tracker itself fares ------------------------------------------------------------------------------------


class Metrics(SitePayload):
    """What a site costs and what it lost."""

    type: Literal["metrics"] = "metrics"
    at_s: Annotated[StreamTime, Field(description="Stream time heard.")]
    paused: bool
    source_lost: Annotated[bool, Field(description="True while the source delivers no audio.")]
    turns: Annotated[dict[Label, Count], Field(max_length=64, description="Turns by emotion.")]
    turn_latency_ms: Annotated[Percentiles, Field(description="From the end of a turn to its event.")]
    stage_ms: Annotated[dict[Label, Milliseconds], Field(max_length=16, description="Median by stage.")]
    dropped_frames: Annotated[dict[Label, Count], Field(max_length=16, description="Frames of audio lost, by reason.")]
    dropped_turns: Count
    text_skipped: Annotated[Count, Field(description="Turns scored on voice alone to catch up.")]
    left_out: Annotated[
        LeftOutName, Field(description="By all sites of the worker together, for they share the models.")
    ] = "nothing"
    queue_depth: Annotated[
        dict[Label, Count], Field(max_length=16, description="What waits, by stage; for a model, of all sites.")
    ]
    errors: Annotated[dict[Label, Count], Field(max_length=16, description="Errors by code.")]
    mqtt_reconnects: Count


ErrorCode = Literal[
    "bad_audio",
    "bad_payload",
    "bad_command",
    "too_large",
    "too_many_sites",
    "two_senders",
    "retained",
    "served_elsewhere",
    "unsupported_format",
    "no_session",
    "failed",
]


class ErrorReport(SitePayload):
    """Something that was sent could not be used, or the session broke off."""

    type: Literal["error"] = "error"
    code: ErrorCode
    message: Sentence
    recoverable: Annotated[bool, Field(description="True when the session goes on.")]
    topic: Annotated[str | None, Field(max_length=1024, description="Where it came from.")]
    count: Annotated[Count, Field(ge=1, description="How many of this code and site so far; not each is reported.")]


# -- commands and their replies --------------------------------------------------------------------------------------


class Start(Payload):
    """Open a session; a site that has one keeps it."""


class Stop(Payload):
    """Finish the turn under way and end the session."""


class Pause(Payload):
    """Stop listening, or listen again."""

    paused: Annotated[bool | None, Field(description="Null takes the other of the two.")] = None


class Reset(Payload):
    """Forget the turns so far, so that they no longer colour the ones to come."""


class LabelTurn(Payload):
    """A person says what a turn really sounded like."""

    turn_id: TurnId
    emotion: Annotated[Label, Field(description="One of the session's labels, or another name for it.")]
    session: Annotated[
        Name | None, Field(description="Refused where another session runs; null is the running one.")
    ] = None


class NameSpeaker(Payload):
    """A person says who a speaker is: for turns past and to come; if somebody has the name already, the two are one."""

    speaker: Annotated[Name, Field(description="The name until now.")]
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME, description="The name from now on.")]
    session: Annotated[
        Name | None, Field(description="Refused where another session runs; null is the running one.")
    ] = None


class Forget(Payload):
    """End the session, and have the broker and Home Assistant forget the site; audio alone does not open it again."""


Command = Start | Stop | Pause | Reset | LabelTurn | NameSpeaker | Forget

COMMANDS: Final[dict[CommandName, type[Command]]] = {
    "start": Start,
    "stop": Stop,
    "pause": Pause,
    "reset": Reset,
    "label": LabelTurn,
    "rename": NameSpeaker,
    "forget": Forget,
}


class Reply(SitePayload):
    """The answer to a command, on its response topic and with its correlation data."""

    type: Literal["reply"] = "reply"
    command: CommandName
    ok: bool
    error: Annotated[Sentence | None, Field(description="Why not; null when it was done.")]


# -- going on elsewhere ----------------------------------------------------------------------------------------------


class Claim(Payload):
    """A worker serves a site. Retained; of two claims the one with the later epoch counts, then the greater name."""

    site: Name
    worker: Name
    group: Annotated[Name | None, Field(description="The workers that go on when this one dies.")] = None
    epoch: Annotated[
        Count, Field(description="Greater than that of every claim before it; 0 asks who serves the site.")
    ]
    released: Annotated[bool, Field(description="True once the worker serves the site no more.")] = False


class RememberedTurn(Payload):
    """A turn as the state of a room is made of it."""

    turn_id: TurnId
    revision: Count
    start_s: StreamTime
    end_s: StreamTime
    speaker: Name | None
    emotion: Label
    confidence: Probability
    uncertain: bool
    doubt: Doubt | None = None
    probabilities: Probabilities
    valence: Share | None = None
    arousal: Share | None = None

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if self.end_s < self.start_s:
            raise ValueError("a turn ends before it begins")
        return self


class Snapshot(SitePayload):
    """What another worker needs to go on with a conversation. Retained, replaced after every turn."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    type: Literal["snapshot"] = "snapshot"
    session: SessionId
    worker: Annotated[Name, Field(description="Who serves the site.")]
    hermes_session: Annotated[str, Field(max_length=256, description="Of the Hermes session; empty without one.")] = ""
    fingerprint: Annotated[str, Field(max_length=64, description="Of the bundle; another one starts afresh.")]
    stream_s: Annotated[StreamTime, Field(le=MAX_RESUMED_S, description="Where the stream clock stood.")]
    turns_heard: Annotated[int, Field(ge=0, le=MAX_RESUMED_TURNS, description="The latest turn's id.")]
    context: Annotated[
        bytes, Field(max_length=MAX_CONTEXT_BYTES, description="The network's rolling context; base64 in JSON.")
    ]
    paused: bool = False
    recent: Annotated[
        tuple[RememberedTurn, ...], Field(max_length=MAX_REMEMBERED_TURNS, description="The latest turns in order.")
    ] = ()

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        ids = [turn.turn_id for turn in self.recent]
        if any(later <= earlier for earlier, later in pairwise([0, *ids])) or max(ids, default=0) > self.turns_heard:
            raise ValueError("the turns are not in order, or more than were heard")
        return self


# -- Hermes, the protocol of voice assistants (Rhasspy); its keys are in camelCase -------------------------------------


class Hermes(BaseModel):
    """A message of the Hermes protocol; keys it has beyond these are nothing to us."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, alias_generator=to_camel, populate_by_name=True
    )

    site_id: Name = DEFAULT_SITE
    session_id: Annotated[str, Field(max_length=256)] | None = ""

    def to_json(self) -> bytes:
        return self.model_dump_json(by_alias=True).encode()


class StartListening(Hermes):
    """A Hermes session begins to listen at a site."""

    stop_on_silence: bool = True
    send_audio_captured: bool = False
    wakeword_id: Annotated[str, Field(max_length=256)] | None = ""


class StopListening(Hermes):
    """A Hermes session listens no longer."""


class TextCaptured(Hermes):
    """The words of a turn."""

    text: Annotated[str, Field(max_length=16_384)]
    likelihood: Probability
    seconds: Annotated[StreamTime, Field(description="Length of the speech.")]


class HermesError(Hermes):
    """Why a Hermes session failed."""

    error: Sentence
    context: Annotated[str | None, Field(max_length=500)] = None


# -- reading ---------------------------------------------------------------------------------------------------------

P = TypeVar("P", bound=BaseModel)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)  # one without an end goes on to the end
_BRACKETS = re.compile(rb"[\[\]{}]")


def parse(kind: type[P], payload: bytes, max_bytes: int = MAX_JSON_BYTES) -> P:
    """Read one payload; an empty one is an empty object. Raises ``PayloadError``."""
    _check(payload, max_bytes)
    try:
        read = kind.model_validate_json(payload or b"{}")
    except ValidationError as error:
        raise PayloadError(_first(error)) from None
    _check_values(read)
    return read


def parse_event(payload: bytes) -> Event:
    """Read a turn or another event of a session. Raises ``PayloadError``."""
    _check(payload, MAX_JSON_BYTES)
    try:
        event = EVENT.validate_json(payload)
    except ValidationError as error:
        raise PayloadError(_first(error)) from None
    if not all(abs(value) <= MAX_STREAM_S for _, value in event if isinstance(value, float)):  # no NaN either
        raise PayloadError("a time that cannot be")
    if isinstance(event, Turn | Provisional) and event.start_s > (
        event.end_s if isinstance(event, Turn) else event.at_s
    ):
        raise PayloadError("a turn ends before it begins")
    _check_values(event)
    return event


def parse_status(payload: bytes) -> SiteStatus:
    """Read a site's or a worker's status. Raises ``PayloadError``."""
    if payload == b"online":
        return "online"
    if payload == b"offline":
        return "offline"
    raise PayloadError("neither online nor offline")


def _check(payload: bytes, max_bytes: int) -> None:
    if len(payload) > max_bytes:
        raise PayloadError(f"{len(payload)} bytes, more than the {max_bytes} allowed")
    if _depth(payload) > MAX_JSON_DEPTH:
        raise PayloadError(f"nested more than {MAX_JSON_DEPTH} deep")


def _check_values(value: object) -> None:
    """Refuse numbers and dates with which nothing can be calculated, wherever they stand. Raises ``PayloadError``."""
    match value:
        case int() | float() if not abs(value) <= MAX_NUMBER:  # no NaN either
            raise PayloadError("a number that cannot be")
        case datetime() if value.tzinfo is None or value.year not in YEARS:
            raise PayloadError("a time that cannot be")
        case BaseModel():
            for _, part in value:
                _check_values(part)
        case dict():
            for part in value.values():
                _check_values(part)
        case tuple():
            for part in value:
                _check_values(part)


def _depth(payload: bytes) -> int:
    """How deeply JSON is nested."""
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", payload)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, and where; keys that are no plain words are not repeated."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(_word(part) for part in found["loc"][:6])
    return (f"{where}: {found['msg']}" if where else found["msg"])[:200]


def _word(part: int | str) -> str:
    text = str(part)
    return text if re.fullmatch(r"\w{1,40}", text, re.ASCII) else "?"
