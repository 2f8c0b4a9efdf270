"""Several workers that share sites: the broker hands each start to one of them, and tells when one dies.

Every worker knows who is there (its Will says when not) and who owns which site. When a worker is gone, each of the
others computes from the same hash which of them takes a site of its over, so that nobody has to decide; the site's
retained snapshot tells the new owner where the conversation stood. Should two ever own one site, the one who claimed
it last keeps it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable
from typing import Final

from emotrack.tracker.mqtt import channels, topics
from emotrack.tracker.mqtt.connection import Connection
from emotrack.tracker.mqtt.message import Message
from emotrack.tracker.mqtt.payloads import MAX_NAME_CHARS, MAX_SNAPSHOT_BYTES, PayloadError, Snapshot, parse

SETTLE_S: Final = 1.0  # between a worker's end and taking its sites over: it may be back at once
RECONNECTED_S: Final = 5.0  # a broker that restarts declares everybody dead; by then all are back
SNAPSHOT_S: Final = 2.0  # how long a retained snapshot may take to come
MAX_WORKERS: Final = 256
MAX_OWNED: Final = 4096


class Group:
    """This worker's view of its group, kept up by ``receive``.

    ``resume`` takes a site over, from its snapshot if there is one; ``leave`` gives a site up that another has taken.
    """

    connection: Connection

    def __init__(
        self,
        name: str,
        worker: str,
        resume: Callable[[str, Snapshot | None], None],
        leave: Callable[[str], None],
    ) -> None:
        self._name = name
        self._worker = worker
        self._resume = resume
        self._leave = leave
        self._present: set[str] = {worker}
        self._owners: dict[str, str] = {}
        self._snapshots: dict[str, asyncio.Future[Message]] = {}
        self._adopting: asyncio.Task[None] | None = None
        self._is_leaving = False
        self._settled_s = 0.0  # since when the others can be known: monotonic, seconds
        self._workers_topic = topics.any_worker(name).removesuffix("+")
        self._owners_topic = topics.any_owner(name).removesuffix("+")

    @property
    def subscriptions(self) -> list[tuple[str, int]]:
        return [
            (topics.any_worker(self._name), 1),
            (topics.any_owner(self._name), 1),
            (topics.shared(self._name, topics.HERMES_START_LISTENING), 1),
            (topics.shared(self._name, topics.ANY_START), 1),
        ]

    @property
    def will(self) -> Message:
        return channels.to_status(topics.worker(self._name, self._worker), "offline")

    @property
    def has_others(self) -> bool:
        return len(self._present) > 1

    def is_taken(self, site: str) -> bool:
        """Whether another worker serves the site."""
        owner = self._owners.get(site)
        return owner != self._worker and owner in self._present

    def claim(self, site: str) -> None:
        """Tell the others that this worker serves the site."""
        self._owners[site] = self._worker
        self.connection.publish(Message(topics.owner(self._name, site), self._worker.encode(), qos=1, retain=True))

    def release(self, site: str) -> None:
        """Tell the others that nobody serves the site, unless another worker does."""
        if self._owners.get(site) == self._worker:
            del self._owners[site]
            self.connection.publish(channels.to_deletion(topics.owner(self._name, site)))

    def say_goodbye(self) -> None:
        """Take this worker off the list; others then take over what it has not released."""
        self._is_leaving = True
        if self._adopting:
            self._adopting.cancel()
        self.connection.publish(channels.to_deletion(topics.worker(self._name, self._worker)))

    def on_connected(self) -> None:
        self.connection.publish(channels.to_status(topics.worker(self._name, self._worker), "online"))
        self._settled_s = time.monotonic() + RECONNECTED_S
        self._adopt_soon()

    def on_lost(self) -> None:
        """What is known of the others is out of date."""
        self._present = {self._worker}
        if self._adopting:
            self._adopting.cancel()

    def receive(self, message: Message) -> bool:
        """Take in a message if it is one of the group's own."""
        if message.topic in self._snapshots:
            if message.payload and not self._snapshots[message.topic].done():
                self._snapshots[message.topic].set_result(message)
        elif message.topic.startswith(self._workers_topic):
            self._on_worker(topics.name(message.topic.removeprefix(self._workers_topic)), message.payload)
        elif message.topic.startswith(self._owners_topic):
            self._on_owner(topics.name(message.topic.removeprefix(self._owners_topic)), message.payload)
        else:
            return False
        return True

    def _on_worker(self, worker: str, status: bytes) -> None:
        if status == b"online":
            if len(self._present) < MAX_WORKERS:
                self._present.add(worker)
        elif worker == self._worker:
            if not self._is_leaving:  # believed dead while away
                self.connection.publish(channels.to_status(topics.worker(self._name, worker), "online"))
        else:
            self._present.discard(worker)
            if worker in self._owners.values():
                self._adopt_soon()
            if status:  # what a Will leaves behind is of no more use
                self.connection.publish(channels.to_deletion(topics.worker(self._name, worker)))

    def _on_owner(self, site: str, payload: bytes) -> None:
        owner = payload.decode(errors="replace")
        if len(site) > MAX_NAME_CHARS or len(owner) > MAX_NAME_CHARS:
            return
        was_ours = self._owners.get(site) == self._worker
        if not owner:
            self._owners.pop(site, None)
        elif site in self._owners or len(self._owners) < MAX_OWNED:
            self._owners[site] = owner
            if was_ours and owner != self._worker:
                self._leave(site)

    # -- taking over ---------------------------------------------------------------------------------------------

    def _adopt_soon(self) -> None:
        if self._adopting:
            self._adopting.cancel()
        self._adopting = asyncio.create_task(self._adopt())

    async def _adopt(self) -> None:
        """Take over the sites of workers that are gone, as far as they fall to this one."""
        await asyncio.sleep(max(SETTLE_S, self._settled_s - time.monotonic()))
        orphans = [site for site, owner in self._owners.items() if owner not in self._present]
        ours = [site for site in orphans if self._falls_to(site) == self._worker]
        await asyncio.gather(*(self._take_over(site) for site in ours))

    def _falls_to(self, site: str) -> str:
        """Rendezvous hashing: everybody who sees the same workers names the same one, evenly over the sites."""
        return max(self._present, key=lambda worker: hashlib.sha256(f"{worker}\0{site}".encode()).digest())

    async def _take_over(self, site: str) -> None:
        topic = topics.snapshot(site)
        arrives: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._snapshots[topic] = arrives
        snapshot = None
        try:
            await self.connection.subscribe(topic, 1)
            with contextlib.suppress(TimeoutError, PayloadError):
                async with asyncio.timeout(SNAPSHOT_S):
                    snapshot = parse(Snapshot, (await arrives).payload, MAX_SNAPSHOT_BYTES)
            await self.connection.unsubscribe(topic)
        finally:
            del self._snapshots[topic]
        self._resume(site, snapshot)
