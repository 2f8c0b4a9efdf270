"""Made-up sites that publish as real ones do, for whoever watches: ``python -m … PORT [TURNS]``."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from emotrack.tracker.events import Percentiles
from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import topics
from emotrack.tracker.mqtt.format.channels import to_message, to_status
from emotrack.tracker.mqtt.format.payloads import Metrics, Vad
from emotrack.tracker.mqtt.publishing.state import SiteState
from tests.tracker.dashboard.made_up import LABELS, started, turn

SAID = (
    "So, how was the first day at the new place?",
    "It was all right. Actually, it was better than all right, they gave me a desk by the window.",
    "Oh, lovely!",
    "But then somebody took my chair, and nobody would say who it had been.",
    "You are joking.",
    "I wish I were.",
)
MOODS = {
    "kitchen": ("neutral", "joy", "joy", "surprise", "joy", "joy"),
    "meeting room": ("neutral", "neutral", "anger", "anger", "disgust", "anger"),
    "nursery": ("joy", "fear", "sadness", "sadness", "sadness", "neutral"),
    "reception": ("neutral", "neutral", "surprise", "neutral", "joy", "neutral"),
}
SPEAKERS = ("Ana", "Ben")


class PlayingSite:
    """One site that has said ``turns`` turns when it is first heard of, and can say more."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._state = SiteState(name)
        self._turns = itertools.count(1)

    def begin(self) -> Iterator[Message]:
        """The session starts."""
        event = self._event(started(source="USB Audio"))
        yield to_status(topics.status(self.name), "online")
        yield from self._sent(event)

    def say(self) -> Iterator[Message]:
        """One more turn."""
        number = next(self._turns)
        moods = MOODS[self.name]
        emotion = moods[min(number // 4, 5) if number % 3 else number % 6]
        rest = dict.fromkeys(LABELS, 0.25 / (len(LABELS) - 1))
        yield from self._sent(
            self._event(
                turn(
                    number,
                    emotion,
                    speaker=SPEAKERS[number % 2],
                    text=SAID[(number + len(self.name)) % len(SAID)],
                    probabilities=rest | {emotion: 0.75},
                    confidence=0.75,
                    uncertain=number % 5 == 0,
                    start_s=6.0 * number,
                    end_s=6.0 * number + 4,
                )
            )
        )

    def live(self, at_s: float, speaking: bool) -> Iterator[Message]:
        """What comes by the second."""
        head: dict[str, Any] = {"site": self.name, "session": "s", "time": datetime.now(UTC), "at_s": at_s}
        yield to_message(
            Vad(**head, speaking=speaking, channels=(speaking,), levels_dbfs=(-18.0 if speaking else -52.0,))
        )
        yield to_message(
            Metrics(
                **head,
                paused=False,
                source_lost=False,
                turns={},
                turn_latency_ms=Percentiles(p50=41, p95=90, max=99),
                stage_ms={},
                dropped_frames={},
                dropped_turns=0,
                text_skipped=0,
                queue_depth={},
                errors={},
                mqtt_reconnects=0,
            )
        )

    def _event(self, event: Any) -> Any:
        return event.model_copy(update={"site": self.name, "time": datetime.now(UTC)})

    def _sent(self, event: Any) -> Iterator[Message]:
        for payload in (event, *self._state.apply(event)):
            yield to_message(payload)


async def play(port: int, turns: int) -> None:
    """Say ``turns`` turns on every site, then go on listening until interrupted."""
    connection = Connection(Broker("127.0.0.1", port), "playing-sites")
    running = asyncio.ensure_future(connection.run())
    sites = [PlayingSite(name) for name in MOODS]
    for site in sites:
        for message in site.begin():
            connection.publish(message)
    for number in itertools.count():
        for place, site in enumerate(sites):
            if number < turns:
                for message in site.say():
                    connection.publish(message)
            for message in site.live(6.0 * number, speaking=place % 2 == number % 2):
                connection.publish(message)
        await asyncio.sleep(0.1 if number < turns else 1.0)
    await running


if __name__ == "__main__":
    asyncio.run(play(int(sys.argv[1]), int(sys.argv[2])))
