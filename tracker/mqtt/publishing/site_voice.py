"""What is said of one site, over a connection of its own, until another worker has the site."""

from __future__ import annotations

from emotrack.tracker.events import Event, Provisional
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.format.payloads import Hermes, SitePayload


class SiteVoice:
    """Says whether the site is there, and what there is to say of it; nothing once it is muted."""

    def __init__(self, site: str, connection: Connection) -> None:
        self.connection = connection
        self.is_online = False
        """Whether the site has a session."""
        self.is_muted = False
        """Whether another worker has the site."""
        self._site = site

    def publish(self, message: Message, *, latest_only: bool = False) -> None:
        """Publish a message."""
        if not self.is_muted:
            self.connection.publish(message, latest_only=latest_only)

    def send(self, *payloads: Event | SitePayload | Hermes) -> None:
        """Publish payloads; of what is merely a state, only the latest matters to somebody who was away."""
        for payload in payloads:
            self.publish(channels.to_message(payload), latest_only=isinstance(payload, SitePayload | Provisional))

    def say_online(self) -> None:
        """The site is there."""
        self.is_online = True
        self.publish(channels.to_status(topics.status(self._site), "online"))

    def say_offline(self) -> None:
        """The site is there no more."""
        self.is_online = False
        self.publish(channels.to_status(topics.status(self._site), "offline"))

    def mute(self) -> None:
        """Another worker has the site already: say no more about it."""
        self.is_muted = True
        self.connection.abandon()
