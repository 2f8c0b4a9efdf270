"""What goes over the page's WebSockets besides events, which are the same as everywhere: JSON objects with a ``type``.

A message with something else in it than is said here is refused.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from emotrack.tracker.audio import MAX_CHANNELS
from emotrack.tracker.events import Event, LeftOutName, Milliseconds, Probability, Provisional, Words
from emotrack.tracker.messages.plain import plain_line
from emotrack.tracker.session.controls import MAX_NAME

MAX_WISH_CHARS: Final = 4096
MAX_WHY: Final = 200  # characters of why something was refused
MAX_LONG_NAME: Final = 1024  # characters of a name that comes from elsewhere
MIN_RATE, MAX_RATE = 8_000, 192_000  # Hz

Deed = Literal["rename", "correct", "mark", "pause", "stop"]


class _PageMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str

    def to_json(self) -> str:
        """The message as it is sent."""
        return self.model_dump_json(exclude_none=True)


# -- what a viewer sends -----------------------------------------------------------------------------------------------


class Enter(_PageMessage):
    """The first message to ``/events``."""

    type: Literal["enter"]
    token: Annotated[
        str | None, Field(max_length=256, description="Where the page is not for this computer alone.")
    ] = None
    site: Annotated[str | None, Field(max_length=MAX_LONG_NAME, description="Which site, where there are several.")] = (
        None
    )
    last_event: Annotated[
        str | None,
        Field(max_length=64, description="`last_event` of the latest `events` that came, to go on from there."),
    ] = None


class Rename(_PageMessage):
    """Call a speaker by another name, for turns past and to come."""

    type: Literal["rename"]
    speaker: Annotated[str, Field(min_length=1, max_length=MAX_LONG_NAME)]
    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


class Correct(_PageMessage):
    """Say what a turn really sounded like."""

    type: Literal["correct"]
    turn_id: Annotated[int, Field(ge=1)]
    emotion: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]


class MarkMoment(_PageMessage):
    """Mark this moment."""

    type: Literal["mark"]


class PauseListening(_PageMessage):
    """Stop listening, or go on."""

    type: Literal["pause"]
    paused: bool


class StopListeningForGood(_PageMessage):
    """End the session."""

    type: Literal["stop"]


Wish = Annotated[Rename | Correct | MarkMoment | PauseListening | StopListeningForGood, Field(discriminator="type")]


class AudioFormat(_PageMessage):
    """The first message to ``/audio``; then come samples, in binary messages of whole frames."""

    type: Literal["audio"]
    token: Annotated[str | None, Field(max_length=256)] = None
    rate: Annotated[int, Field(ge=MIN_RATE, le=MAX_RATE, description="Samples of a channel in a second, Hz.")]
    channels: Annotated[int, Field(ge=1, le=MAX_CHANNELS, description="They are mixed.")] = 1
    format: Annotated[Literal["s16le"], Field(description="Signed, 16 bits, little-endian, channels interleaved.")] = (
        "s16le"
    )


# -- what the tracker sends --------------------------------------------------------------------------------------------


class Welcome(_PageMessage):
    """The answer to ``enter``."""

    type: Literal["welcome"] = "welcome"
    site: Annotated[str | None, Field(description="The site that is shown; without it, all sites are listed.")] = None
    may: Annotated[tuple[Deed, ...], Field(description="The wishes that this viewer may send.")] = ()
    goes_on: Annotated[bool, Field(description="True where events go on after `last_event`; else they begin anew.")] = (
        False
    )
    microphone: Annotated[bool, Field(description="True where this viewer may send audio to `/audio`.")] = False


class Events(_PageMessage):
    """Events in their order; those of before are sent first, many at a time."""

    type: Literal["events"] = "events"
    last_event: Annotated[str, Field(description="Names the last of them, for `enter`.")]
    events: tuple[Event, ...]


class Passing(_PageMessage):
    """How a turn that goes on sounds so far: it has no name, and is not sent again."""

    type: Literal["passing"] = "passing"
    event: Provisional


class Lost(_PageMessage):
    """So many events came and went while this viewer did not read."""

    type: Literal["lost"] = "lost"
    events: Annotated[int, Field(ge=1)]


class Refused(_PageMessage):
    """A wish that was not followed."""

    type: Literal["refused"] = "refused"
    why: str


class Listening(_PageMessage):
    """The answer to ``audio``: samples may come."""

    type: Literal["listening"] = "listening"


class LabelLook(BaseModel):
    """How an emotion looks on every page of emotrack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    letter: str
    colour: str
    dark_letters: Annotated[tuple[str, ...], Field(description="The letter's colour on a dark page, by confidence.")]


class SpeakerFigure(BaseModel):
    """What one speaker has shown so far."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None
    speaker: Annotated[str | None, Field(description="The name as events have it; null where it cannot be changed.")]
    turns: int
    emotions: dict[str, int]


class Figures(_PageMessage):
    """What a session is doing right now, a few times a second where something changes."""

    type: Literal["figures"] = "figures"
    site: str
    doing: Annotated[str, Field(description="In two or three words.")]
    is_alarm: Annotated[bool, Field(description="Whether `doing` is something that should not be.")]
    source: str | None = None
    recogniser: str | None = None
    bundle: str | None = None
    stream_s: Annotated[float, Field(description="Stream time heard so far.")]
    levels_dbfs: tuple[float, ...]
    speaking: tuple[bool, ...]
    thinking: Annotated[int, Field(description="Finished turns that are in work.")]
    paused: bool
    source_lost: Annotated[str | None, Field(description="Why the source delivers no audio.")] = None
    left_out: LeftOutName
    dropped_frames: int
    dropped_turns: int
    text_skipped: int
    turns: int
    uncertain: int
    marks: int
    latest_ms: Annotated[Milliseconds | None, Field(description="From the end of the latest turn to its event.")] = None
    p50_ms: Milliseconds | None = None
    p95_ms: Milliseconds | None = None
    mood: Annotated[dict[str, Probability], Field(description="The running mood, the largest share first.")]
    speakers: tuple[SpeakerFigure, ...]
    labels: tuple[LabelLook, ...]
    notice: str | None = None
    kept: Annotated[str, Field(description="What is recorded, in a sentence.")]
    told: Annotated[
        bool, Field(description="Whoever started the session says that everybody who can be heard was told.")
    ]
    microphone: Annotated[
        Literal["none", "wanted", "connected"], Field(description="Whether a browser is the microphone, and is there.")
    ] = "none"


class SiteTile(BaseModel):
    """One of several sites, in brief."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str
    doing: str
    is_alarm: bool
    emotion: Words | None = None
    confidence: Probability | None = None
    uncertain: bool = False
    mood: Words | None = None
    turns: int = 0


class SiteList(_PageMessage):
    """The sites that can be watched."""

    type: Literal["sites"] = "sites"
    sites: tuple[SiteTile, ...]
    labels: tuple[LabelLook, ...]
    notice: str | None = None


SENT: Final[tuple[type[BaseModel], ...]] = (Welcome, Events, Passing, Lost, Figures, SiteList, Refused)
"""What comes from ``/events``."""

_M = TypeVar("_M")
_ENTER: TypeAdapter[Enter] = TypeAdapter(Enter)
_AUDIO: TypeAdapter[AudioFormat] = TypeAdapter(AudioFormat)
_WISH: TypeAdapter[Wish] = TypeAdapter(Wish)


class MessageError(Exception):
    """A message that is none of those; one line."""


def read_enter(text: str) -> Enter:
    """Raises ``MessageError``."""
    return _read(_ENTER, text)


def read_audio_format(text: str) -> AudioFormat:
    """Raises ``MessageError``."""
    return _read(_AUDIO, text)


def read_wish(text: str) -> Wish:
    """Raises ``MessageError``."""
    return _read(_WISH, text)


def _read(kind: TypeAdapter[_M], text: str) -> _M:
    if len(text) > MAX_WISH_CHARS:
        raise MessageError(f"a message has at most {MAX_WISH_CHARS} characters")
    try:
        return kind.validate_json(text)
    except (ValidationError, RecursionError) as error:
        raise MessageError(_first_line(error)) from None


def _first_line(error: ValidationError | RecursionError) -> str:
    if not isinstance(error, ValidationError):
        return "a message that is nested too deeply"
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return plain_line(f"{where}: {first['msg']}" if where else first["msg"], MAX_WHY)
