"""How each payload is sent: on which topic, how surely, retained or not, for how long, with which properties.

One table for the program that publishes and for the AsyncAPI document. The MQTT 5 properties say what the payload is
(content type, format indicator), when it is too old to be of use (message expiry), and, as user properties, what
CloudEvents calls its context attributes (CloudEvents 1.0.2, MQTT protocol binding, binary content mode).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel

from emotrack.tracker.events import (
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
    to_json,
)
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.payloads import (
    Claim,
    Command,
    ErrorReport,
    Hermes,
    HermesError,
    Metrics,
    Reply,
    Shift,
    SitePayload,
    SiteStatus,
    Snapshot,
    SourceState,
    SpeakerState,
    State,
    TextCaptured,
    Vad,
)

JSON: Final = "application/json"
PLAIN: Final = "text/plain"
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Channel:
    """A kind of topic on which the tracker publishes, and how it does."""

    name: str
    topic: Callable[..., str]
    """From the parameters' values to the topic."""
    parameters: tuple[str, ...]
    payloads: tuple[type[BaseModel], ...]
    description: str
    qos: int = 1
    retained: tuple[type[BaseModel], ...] = ()
    """Those of the payloads that the broker keeps for whoever comes later."""
    expiry_s: int = _HOUR_S


CHANNELS: Final = (
    Channel("turn", topics.turn, ("site",), (Turn,), "Each turn, and later estimates of it."),
    Channel(
        "provisional",
        topics.provisional,
        ("site",),
        (Provisional,),
        "How a turn sounds that still goes on; not among the minimal topics.",
        qos=0,
        expiry_s=_MINUTE_S,
    ),
    Channel("state", topics.state, ("site",), (State,), "How the room sounds.", retained=(State,), expiry_s=_DAY_S),
    Channel(
        "speaker_state",
        topics.speaker_state,
        ("site", "speaker"),
        (SpeakerState,),
        "How one speaker sounds.",
        retained=(SpeakerState,),
        expiry_s=_DAY_S,
    ),
    Channel("shift", topics.shift, ("site",), (Shift,), "An emotion that has changed for good."),
    Channel(
        "session",
        topics.session,
        ("site",),
        (
            *(SessionStarted, SessionEnded, SourceLostEvent, SourceRestoredEvent, OverloadEvent),
            *(SpeakerRenamed, SpeakersMerged, Mark, Correction),
        ),
        "What happens to the session; its start and its end are retained.",
        retained=(SessionStarted, SessionEnded),
        expiry_s=_DAY_S,
    ),
    Channel(
        "source",
        topics.source,
        ("site",),
        (SourceState,),
        "Whether the microphone can be heard.",
        retained=(SourceState,),
        expiry_s=_DAY_S,
    ),
    Channel(
        "vad",
        topics.vad,
        ("site",),
        (Vad,),
        "Whether somebody speaks; not among the minimal topics.",
        qos=0,
        expiry_s=_MINUTE_S,
    ),
    Channel(
        "metrics",
        topics.metrics,
        ("site",),
        (Metrics,),
        "What the site costs and what it lost; not among the minimal topics.",
        qos=0,
        expiry_s=_MINUTE_S,
    ),
    Channel("error", topics.error, ("site",), (ErrorReport,), "What could not be used."),
    Channel(
        "snapshot",
        topics.snapshot,
        ("site",),
        (Snapshot,),
        "What another worker needs to go on.",
        retained=(Snapshot,),
    ),
    Channel(
        "text_captured",
        lambda: topics.HERMES_TEXT_CAPTURED,
        (),
        (TextCaptured,),
        "The words of a turn, where a Hermes session asked for them.",
        expiry_s=_MINUTE_S,
    ),
    Channel(
        "hermes_error",
        lambda: topics.HERMES_ERROR,
        (),
        (HermesError,),
        "Why a Hermes session has failed.",
        expiry_s=_MINUTE_S,
    ),
)

_CHANNEL_OF: Final = {payload: channel for channel in CHANNELS for payload in channel.payloads}


def to_message(payload: Event | SitePayload | Hermes) -> Message:
    """A payload as it is published. Raises ``KeyError`` for one that no channel has, such as a reply."""
    channel = _CHANNEL_OF[type(payload)]
    body = _body(payload)
    topic = channel.topic(*(getattr(payload, parameter) for parameter in channel.parameters))
    return Message(
        topic,
        body,
        qos=channel.qos,
        retain=type(payload) in channel.retained,
        content_type=JSON,
        is_text=True,
        expiry_s=channel.expiry_s,
        user=() if isinstance(payload, Hermes) else cloud_event(payload, topic, body),
    )


def to_reply(reply: Reply, response_topic: str, correlation: bytes | None) -> Message:
    """The answer to a command, where its sender wants it and ``topics.is_reply`` allows it."""
    body = _body(reply)
    return Message(
        response_topic,
        body,
        qos=1,
        content_type=JSON,
        is_text=True,
        expiry_s=_MINUTE_S,
        correlation=correlation,
        user=cloud_event(reply, response_topic, body),
    )


def to_command(command: Command, topic: str) -> Message:
    """What somebody wants of a site, now or never."""
    return Message(topic, command.to_json(), qos=1, content_type=JSON, is_text=True, expiry_s=_MINUTE_S)


def to_status(topic: str, status: SiteStatus) -> Message:
    """Whether a site or a worker is there: plain text, retained, and without an end, as a Last Will must be."""
    return Message(topic, status.encode(), qos=1, retain=True, content_type=PLAIN, is_text=True)


def to_claim(claim: Claim, *, retain: bool = True) -> Message:
    """Who serves a site: retained, and without an end while it is served."""
    return Message(
        topics.owner(claim.site),
        claim.to_json(),
        qos=1,
        retain=retain,
        content_type=JSON,
        is_text=True,
        expiry_s=_HOUR_S if claim.released else None,
    )


def to_deletion(topic: str) -> Message:
    """Makes the broker forget what it has kept on a topic."""
    return Message(topic, b"", qos=1, retain=True)


def cloud_event(payload: Event | SitePayload, topic: str, body: bytes) -> tuple[tuple[str, str], ...]:
    """The context attributes of a CloudEvent.

    The id of a turn is made of its session, number and revision, that of anything else of its content: what is sent
    twice has the same id both times, and ``source`` with ``id`` is unique, as CloudEvents wants it.
    """
    if isinstance(payload, Turn):
        identity = f"{payload.session}/{payload.turn_id}/{payload.revision}"
    else:
        identity = hashlib.sha256(body).hexdigest()[:32]
    return (
        ("specversion", "1.0"),
        ("type", f"emotrack.{payload.type}"),
        ("source", "/" + quote(topic, safe="/%~")),
        ("id", identity),
        ("time", payload.model_dump(mode="json", include={"time"})["time"]),
    )


def _body(payload: Event | SitePayload | Hermes) -> bytes:
    return payload.to_json() if isinstance(payload, SitePayload | Hermes) else to_json(payload).encode()
