"""The page of sites that are tracked elsewhere, over a real broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from emotrack.tracker.command_line.watch_page import WatchedPages, run_watch_page
from emotrack.tracker.mqtt.connection.broker import Broker
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format.channels import to_message
from emotrack.tracker.web.address import WebAddress, bind
from emotrack.tracker.web.server import WebServer
from tests.tracker.dashboard.made_up import started, turn
from tests.tracker.mqtt.mosquitto import Mosquitto, executable
from tests.tracker.mqtt.waiting import until
from tests.tracker.web.served import hear, hear_events, say

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(executable() is None, reason="mosquitto is not installed: there is no real broker"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


def events(site: str, *numbers: int) -> list[Message]:
    """What a site publishes of a session: its start, and turns of these numbers."""
    begun = to_message(started().model_copy(update={"site": site}))
    return [begun, *(to_message(turn(number).model_copy(update={"site": site})) for number in numbers)]


class Sites:
    """A connection that publishes as sites do, and hears what is wished of them."""

    def __init__(self, broker: Broker) -> None:
        self.wished = list[tuple[str, Any]]()
        self.connection = Connection(broker, "sites", on_message=self._receive, subscriptions=[("emotrack/+/cmd/#", 1)])
        self._task = asyncio.create_task(self.connection.run())

    def say(self, messages: list[Message]) -> None:
        for message in messages:
            self.connection.publish(message)

    async def close(self) -> None:
        await self.connection.close()
        await self._task

    def _receive(self, message: Message) -> None:
        self.wished.append((message.topic, json.loads(message.payload)))


@asynccontextmanager
async def watching(mosquitto: Mosquitto, only: str | None = None) -> AsyncIterator[tuple[WebAddress, Sites]]:
    broker = Broker("127.0.0.1", mosquitto.port)
    pages, address, sites = WatchedPages(broker, only), bind("127.0.0.1:0"), Sites(broker)
    task = asyncio.create_task(run_watch_page(pages, WebServer(address, pages)))
    await until(lambda: pages.connection.connected and sites.connection.connected)
    yield address, sites
    await sites.close()
    await pages.connection.close()
    await task


@asynccontextmanager
async def viewing(address: WebAddress, **enter: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{address.port}/events", proxy=None) as connection:
        await say(connection, type="enter", **enter)
        yield connection


async def test_sites_are_listed_and_each_is_shown_and_follows_wishes(mosquitto: Mosquitto) -> None:
    async with watching(mosquitto) as (address, sites), viewing(address) as everywhere:
        assert "site" not in await hear(everywhere, "welcome")
        sites.say([*events("kitchen", 1, 2), *events("nursery", 1)])
        listed = await hear(everywhere, lambda each: each["type"] == "sites" and len(each["sites"]) == 2)
        assert [site["site"] for site in listed["sites"]] == ["kitchen", "nursery"]
        async with viewing(address, site="kitchen") as kitchen:
            assert (await hear(kitchen, "welcome"))["may"] == ["rename", "correct", "pause", "stop"]
            assert (await hear(kitchen, "figures"))["turns"] == 2
            told, _ = await hear_events(kitchen, 3)
            assert {event["site"] for event in told} == {"kitchen"}
            await say(kitchen, type="rename", speaker="Ana", name="Bea")
            await say(kitchen, type="correct", turn_id=2, emotion="anger")
            await say(kitchen, type="pause", paused=True)
            await say(kitchen, type="stop")
            await say(kitchen, type="mark")
            assert "mark cannot be done here" in (await hear(kitchen, "refused"))["why"]
            await until(lambda: len(sites.wished) == 4)
            assert sites.wished == [
                ("emotrack/kitchen/cmd/rename", {"speaker": "Ana", "name": "Bea", "session": "s"}),
                ("emotrack/kitchen/cmd/label", {"turn_id": 2, "emotion": "anger", "session": "s"}),
                ("emotrack/kitchen/cmd/pause", {"paused": True}),
                ("emotrack/kitchen/cmd/stop", {}),
            ]


async def test_a_broker_that_restarts_is_survived(mosquitto: Mosquitto) -> None:
    async with watching(mosquitto, only="kitchen") as (address, sites), viewing(address) as kitchen:
        sites.say(events("kitchen", 1))
        await hear_events(kitchen, 2)
        mosquitto.stop()
        figures = await hear(kitchen, lambda each: each["type"] == "figures" and each["is_alarm"])
        assert figures["doing"] == "! not connected"
        mosquitto.start()
        await hear(kitchen, lambda each: each["type"] == "figures" and not each["is_alarm"])
        await until(lambda: sites.connection.connected)
        sites.say(events("kitchen", 2)[1:])
        told, _ = await hear_events(kitchen, 1)
        while told[-1].get("turn_id") != 2:  # the start is retained, and comes again
            told, _ = await hear_events(kitchen, 1)


async def test_a_site_that_is_yet_to_speak_can_be_waited_for(mosquitto: Mosquitto) -> None:
    async with watching(mosquitto) as (address, sites), viewing(address, site="cellar") as cellar:
        assert (await hear(cellar, "welcome"))["site"] == "cellar"
        sites.say(events("cellar", 1))
        told, _ = await hear_events(cellar, 2)
        assert told[-1]["turn_id"] == 1
