"""Several workers that share sites: the broker hands each start to one of them, and tells when one dies.

Every worker knows who is there (its Will says when not) and who claims which site. When a worker is gone, each of the
others computes from the same hash in which order they stand for a site of its, so that nobody has to decide: the first
takes it over, and the next does if the first has not after a while, because it is full or asleep. The site's retained
snapshot tells the new owner where the conversation stood.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Final

from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.format.payloads import MAX_SNAPSHOT_BYTES, Claim, PayloadError, Snapshot, parse
from emotrack.tracker.mqtt.ownership.claims import Claims

SETTLE_S: Final = 1.0  # between a worker's end and taking its sites over: it may be back at once
RECONNECTED_S: Final = 5.0  # a broker that restarts declares everybody dead; by then all are back
SNAPSHOT_S: Final = 2.0  # how long a retained snapshot may take to come
NEXT_S: Final = 3.0  # how long the first who should take a site over may take, before the next does
MAX_WORKERS: Final = 256


def group_topics(name: str) -> list[tuple[str, int]]:
    """What a connection subscribes to for ``Group``, with the QoS."""
    return [
        (topics.any_worker(name), 1),
        (topics.shared(name, topics.HERMES_START_LISTENING), 1),
        (topics.shared(name, topics.ANY_START), 1),
    ]


def last_will(name: str, worker: str) -> Message:
    """What the broker says for a worker of the group that has died."""
    return channels.to_status(topics.worker(name, worker), "offline")


class Group:
    """This worker's view of its group, kept up by ``receive``.

    ``resume`` takes a site over, from its snapshot if there is one; ``leave``
    gives a site up that another has taken. The ``connection`` subscribes to ``claim_topics`` and ``group_topics``, has
    the ``last_will``, and hands what comes to ``claims`` and ``receive``.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        worker: str,
        resume: Callable[[str, Snapshot | None], None],
        leave: Callable[[str, str], None],
    ) -> None:
        self.connection = connection
        self.claims = Claims(connection, worker, name, leave, self._is_there)
        self.name = name
        self._worker = worker
        self._resume = resume
        self._present: set[str] = {worker}
        self._certain: set[str] = {worker}  # of these: those that have spoken since this worker has been connected
        self._snapshots: dict[str, asyncio.Future[Message]] = {}
        self._adopting: asyncio.Task[None] | None = None
        self._is_leaving = False
        self._settled_s = 0.0  # since when the others can be known: monotonic, seconds
        self._workers_topic = topics.any_worker(name).removesuffix("+")

    @property
    def has_others(self) -> bool:
        return len(self._present) > 1

    def is_taken(self, site: str) -> bool:
        """Whether another worker that is there serves the site."""
        claim = self.claims.known.of(site)
        return claim is not None and claim.worker != self._worker and bool(self._is_there(claim))

    def is_first_for(self, site: str) -> bool:
        """Whether the site falls to this worker before all others."""
        return self._place(site) == 0

    def say_goodbye(self) -> None:
        """Take this worker off the list; others then take over what it has not released."""
        self._is_leaving = True
        if self._adopting:
            self._adopting.cancel()
        self.connection.publish(channels.to_deletion(topics.worker(self.name, self._worker)))

    def on_connected(self) -> None:
        self._announce()
        self._settled_s = time.monotonic() + RECONNECTED_S
        self._adopt_soon()

    def on_lost(self) -> None:
        """What is known of the others is out of date."""
        self._present, self._certain = {self._worker}, {self._worker}
        if self._adopting:
            self._adopting.cancel()

    def receive(self, message: Message) -> bool:
        """Take in a message if it is one of the group's own."""
        if message.topic in self._snapshots:
            if message.payload and not self._snapshots[message.topic].done():
                self._snapshots[message.topic].set_result(message)
        elif message.topic.startswith(self._workers_topic):
            worker = topics.name(message.topic.removeprefix(self._workers_topic))
            if not message.retain and len(self._certain) < MAX_WORKERS:
                self._certain.add(worker)
            self._on_worker(worker, message.payload)
        else:
            return False
        return True

    def _announce(self) -> None:
        self.connection.publish(channels.to_status(topics.worker(self.name, self._worker), "online"), only_now=True)

    def _is_there(self, claim: Claim) -> bool | None:
        """Whether a claim's worker is alive; None where it is not of this group."""
        return claim.worker in self._present if claim.group == self.name else None

    def _on_worker(self, worker: str, status: bytes) -> None:
        if status == b"online":
            if len(self._present) < MAX_WORKERS:
                self._present.add(worker)
        elif worker == self._worker:
            if not self._is_leaving:  # believed dead while away
                self._announce()
        else:
            self._present.discard(worker)
            self._adopt_soon()
            if status:  # what a Will leaves behind is of no more use
                self.connection.publish(channels.to_deletion(topics.worker(self.name, worker)), only_now=True)

    # -- taking over ---------------------------------------------------------------------------------------------

    def _adopt_soon(self) -> None:
        if self._adopting:
            self._adopting.cancel()
        self._adopting = asyncio.create_task(self._adopt())

    async def _adopt(self) -> None:
        """Take over the sites of workers that are gone: at first those that fall to this worker, then what is left."""
        await asyncio.sleep(max(SETTLE_S, self._settled_s - time.monotonic()))
        await self._look_for_others()
        turn = 0
        while orphans := [claim.site for claim in self.claims.known.claims() if self._is_there(claim) is False]:
            await asyncio.gather(*(self._take_over(site) for site in orphans if self._place(site) <= turn))
            turn += 1
            await asyncio.sleep(NEXT_S)

    async def _look_for_others(self) -> None:
        """Ask those that the broker merely remembers: it may have gone down together with them."""
        remembered = {claim.worker: claim.site for claim in self.claims.known.claims() if self._is_there(claim)}
        asked = {worker: site for worker, site in remembered.items() if worker not in self._certain}
        for worker, answered in zip(
            asked, await asyncio.gather(*map(self.claims.is_answered, asked.values())), strict=True
        ):
            if answered:
                self._certain.add(worker)
            else:
                self._present.discard(worker)
                self.connection.publish(channels.to_deletion(topics.worker(self.name, worker)), only_now=True)

    def _place(self, site: str) -> int:
        """Rendezvous hashing: where this worker stands in the order in which a site falls to those that are there.

        Everybody who sees the same workers finds the same order, another one for each site.
        """
        return sum(_weight(worker, site) > _weight(self._worker, site) for worker in self._present)

    async def _take_over(self, site: str) -> None:
        before = self.claims.known.of(site)
        snapshot = await self._snapshot(site)
        if self.claims.known.of(site) == before:  # else another was quicker, or the site was closed
            self._resume(site, snapshot)

    async def _snapshot(self, site: str) -> Snapshot | None:
        """What the broker keeps of the site's conversation."""
        topic = topics.snapshot(site)
        arrives: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._snapshots[topic] = arrives
        try:
            async with asyncio.timeout(SNAPSHOT_S):
                await self.connection.subscribe(topic, 1)
                return parse(Snapshot, (await arrives).payload, MAX_SNAPSHOT_BYTES)
        except (TimeoutError, PayloadError):
            return None
        finally:
            del self._snapshots[topic]
            await self.connection.unsubscribe(topic)


def _weight(worker: str, site: str) -> bytes:
    return hashlib.sha256(f"{worker}\0{site}".encode(errors="replace")).digest()
