"""One MQTT message, to be sent or as received, free of any client library."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """A payload, its topic and the MQTT 5 properties that the tracker uses."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    content_type: str | None = None
    is_text: bool = False
    """Payload format indicator: the payload is UTF-8."""
    expiry_s: int | None = None
    """How long the broker may keep it for somebody who is not there; seconds."""
    response_topic: str | None = None
    correlation: bytes | None = None
    """What a reply carries back, so that its reader knows what it answers."""
    user: tuple[tuple[str, str], ...] = ()
    """User properties; the attributes of a CloudEvent among them."""
    arrived_s: float | None = field(default=None, compare=False)
    """When it arrived: monotonic, seconds; None when it has waited here for nobody knows how long."""
