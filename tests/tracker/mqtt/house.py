"""A tracker of many sites, a broker and somebody who listens, all in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.connection.outbox import MAX_LOSSY
from emotrack.tracker.mqtt.format.audio_topics import AudioTopics
from emotrack.tracker.mqtt.publishing.options import Publishing
from emotrack.tracker.mqtt.sites.site import SiteOptions
from emotrack.tracker.mqtt.sites.site_source import MAX_WAITING_S
from emotrack.tracker.mqtt.sites.sites import Sites
from emotrack.tracker.understanding.engine import Engine
from emotrack.tracker.understanding.overload import LeftOut, Overload
from tests.noticing import noticed
from tests.tracker.mqtt.connection.test_broker import read
from tests.tracker.mqtt.microphones import FRAME_S
from tests.tracker.mqtt.mosquitto import Mosquitto
from tests.tracker.mqtt.waiting import until

REPLIES = "emotrack/person/reply/1"


class NeverLate(Overload):
    """Leaves nothing out, though what is said here comes many times as quickly as people speak."""

    @contextlib.contextmanager
    def watched_by(
        self, watcher: Callable[[LeftOut], None], hearing_s: Callable[[], float] = lambda: 0.0
    ) -> Iterator[None]:
        yield


class House:
    """What is said in it, and what the tracker makes of it."""

    def __init__(
        self,
        mosquitto: Mosquitto,
        engine: Engine,
        *,
        audio_topic: str | None = None,
        worker: str = "worker",
        **options: Any,
    ) -> None:
        engine.overload = NeverLate(engine._lateness)
        broker = read(mosquitto.url)
        defaults = SiteOptions(
            segmenter=SegmenterOptions(),
            context_turns=None,
            with_text=True,
            max_sites=8,
            idle_s=60.0,
            to_stdout=False,
            save=None,
            keep_audio=False,
        )
        known = {name: options.pop(name, getattr(defaults, name)) for name in SiteOptions.__slots__}
        assert not options
        self.notices: list[str] = []
        self.got: list[Message] = []
        publishing = Publishing(broker, worker, True, engine)
        self.sites = Sites(
            engine,
            broker,
            publishing,
            SiteOptions(**known),
            AudioTopics(audio_topic),
            None,
            on_ready=lambda: None,
        )
        filters = ("emotrack/#", "homeassistant/#", "hermes/asr/textCaptured", "hermes/error/#")
        self.person = Connection(
            broker,
            "person",
            on_message=self.got.append,
            subscriptions=[(topic_filter, 1) for topic_filter in filters],
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[House]:
        """The tracker at work; stopped in order at the end."""
        tasks = [asyncio.create_task(self.serve()), asyncio.create_task(self.person.run())]
        try:
            await until(lambda: self.sites.connection.connected and self.person.connected)
            yield self
            self.sites.stop("interrupted")
            await asyncio.wait_for(tasks[0], 40)
            await asyncio.sleep(0.1)
            await self.person.close()
            await asyncio.wait_for(tasks[1], 20)
        finally:
            for task in tasks:
                task.cancel()

    async def serve(self) -> None:
        """The tracker at work until it is stopped."""
        with noticed(self.notices):
            await self.sites.run()

    async def say(self, topic: str, frames: list[bytes], speed: float = 8.0) -> None:
        """Send frames of 32 ms."""
        site = topic.split("/")[2] if topic.startswith("hermes/audioServer/") else None
        for frame in frames:
            await self.play(Message(topic, frame), FRAME_S / speed)
            if site:
                await self.until_heard(site)

    async def until_heard(self, site: str) -> None:
        """Return once little audio waits to be heard at a site, which on a busy machine would be dropped."""

        def waiting_s() -> float:
            source = self.sites.open.source_of(site)
            return source._waiting_s if source else 0.0

        await until(lambda: waiting_s() < MAX_WAITING_S / 2)

    async def play(self, message: Message, seconds: float) -> None:
        """Send a frame and wait for the time of the next; longer on a busy machine, which would drop some of them."""
        self.person.publish(message)
        await asyncio.sleep(seconds)
        await until(lambda: self.person.outbox.lossy_waiting < MAX_LOSSY / 2)

    def tell(self, topic: str, payload: dict[str, Any] | bytes, **properties: Any) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.person.publish(Message(topic, body, qos=1, **properties))

    async def ask(self, topic: str, payload: dict[str, Any] | bytes) -> dict[str, Any]:
        """Send a command and wait for its reply."""
        before = len(self.on(REPLIES))
        self.tell(topic, payload, response_topic=REPLIES, correlation=b"\0%d" % before)
        await until(lambda: len(self.on(REPLIES)) > before)
        message = [message for message in self.got if message.topic == REPLIES][before]
        assert message.correlation == b"\0%d" % before
        reply: dict[str, Any] = json.loads(message.payload)
        return reply

    def on(self, topic: str, kind: str | None = None) -> list[dict[str, Any]]:
        """What was published on a topic, all of it or one type of it."""
        found = [json.loads(message.payload) for message in self.got if message.topic == topic and message.payload]
        return [payload for payload in found if kind is None or payload["type"] == kind]

    def turns(self, level: str) -> list[dict[str, Any]]:
        """A site's turns, each as it is known at last."""
        return list({turn["turn_id"]: turn for turn in self.on(f"emotrack/{level}/turn")}.values())

    def errors(self) -> list[dict[str, Any]]:
        """What was published as wrong, of all sites."""
        topics = {message.topic for message in self.got if message.topic.endswith("/error")}
        return [error for topic in topics for error in self.on(topic)]

    def status(self, site: str) -> list[bytes]:
        return [message.payload for message in self.got if message.topic == f"emotrack/{site}/status"]


def saved(folder: Path, site: str) -> list[dict[str, Any]]:
    """The events that were kept of a site."""
    return [json.loads(line) for line in (folder / f"talk.{site}.jsonl").read_text().splitlines()]
