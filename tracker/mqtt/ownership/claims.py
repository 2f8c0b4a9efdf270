"""Claims on sites, on the broker: made, answered, asked for, and looked up again before anything is said in vain.

A claim is retained on the site's own topic, so that whoever comes later knows who serves it. What ``ownership`` makes
of them holds whatever the order in which they arrive. A connection may have been away, or this process asleep, while
another worker took a site over: ``fresh`` waits for an echo from the broker, after which all is known that was said.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from emotrack.tracker.mqtt.connection.broker import BrokerError
from emotrack.tracker.mqtt.connection.connection import Connection
from emotrack.tracker.mqtt.connection.message import Message
from emotrack.tracker.mqtt.format import channels, topics
from emotrack.tracker.mqtt.format.payloads import Claim, PayloadError, parse
from emotrack.tracker.mqtt.ownership.ownership import Heard, Ownership

ECHO_S: Final = 5.0  # a broker that lets nobody hear an echo must not keep anybody from publishing
ANSWER_S: Final = 2.0  # how long the owner of a site may take to say so


class TakenError(BrokerError):
    """Another tracker serves the site."""

    def __init__(self, site: str, worker: str) -> None:
        super().__init__(f"site {site} is served by another tracker, {worker}: choose another name, or stop that one")


def claim_topics(worker: str, site: str | None = None) -> list[tuple[str, int]]:
    """What a connection subscribes to for ``Claims``, with the QoS: claims on one ``site`` or all, and own echoes."""
    return [(topics.of_sites("owner", site), 1), (topics.echo(worker), 1)]


class Claims:
    """What ``worker`` claims and hears of others' claims, over ``connection``.

    ``leave`` is called with a site and its new owner when another worker has taken it. ``is_there`` tells whether the
    worker of a claim is alive; where it answers None, that worker is asked. The ``connection`` subscribes to
    ``claim_topics`` and hands what comes to ``receive``.
    """

    def __init__(
        self,
        connection: Connection,
        worker: str,
        group: str | None,
        leave: Callable[[str, str], None],
        is_there: Callable[[Claim], bool | None] = lambda _: None,
    ) -> None:
        self.connection = connection
        self.known = Ownership(worker, group)
        self._worker = worker
        self._leave = leave
        self._is_there = is_there
        self._echo_topic = topics.echo(worker)
        self._asked = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []  # for that echo or a later one
        self._told: set[str] = set()  # sites of which a claim has come, or gone, on this connection
        self._answers: dict[str, asyncio.Future[str]] = {}

    # -- what a worker does with a site --------------------------------------------------------------------------

    async def obtain(self, site: str) -> str | None:
        """Claim a site unless a living worker serves it, whose name is returned then."""
        await self.fresh()
        claim = self.known.of(site)
        if claim is not None and claim.worker != self._worker:
            is_there = self._is_there(claim)
            if is_there or (is_there is None and await self.is_answered(site)):
                return claim.worker
        self.claim(site)
        return None

    async def is_answered(self, site: str) -> bool:
        """Whether anybody else says, when asked, that they serve the site."""
        answer = self._answers.setdefault(site, asyncio.get_running_loop().create_future())
        self._say(Claim(site=site, worker=self._worker, epoch=0), retain=False)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await asyncio.shield(answer)
        finally:
            self._answers.pop(site, None)
        return answer.done()

    def claim(self, site: str) -> None:
        """Tell the others that this worker serves the site from now on, whoever did so before."""
        self._say(self.known.take(site, int(time.time())))

    async def confirm(self, site: str) -> None:
        """Return once it is certain that this worker still serves the site. Raises ``TakenError`` if another does."""
        await self.fresh()
        if site not in self.known.serves:
            claim = self.known.of(site)
            raise TakenError(site, claim.worker if claim else "which has left")

    def release(self, site: str, *, is_forgotten: bool = False) -> None:
        """Tell the others that nobody serves the site, unless another worker does.

        The broker keeps that for a while; of a site that is to be forgotten it keeps nothing.
        """
        if (claim := self.known.release(site)) is not None:
            self._say(claim, retain=not is_forgotten)
            if is_forgotten:
                self._publish(channels.to_deletion(topics.owner(site)))

    async def fresh(self) -> None:
        """Return once everything is known that was said before this call; while the broker is away, that is later."""
        echo: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._asked + 1, echo))
        self._ask()
        await echo

    # -- the connection ------------------------------------------------------------------------------------------

    def on_connected(self) -> None:
        self._told.clear()
        self._ask()

    def receive(self, message: Message) -> bool:
        """Take in a message if it is a claim or an echo."""
        if message.topic == self._echo_topic:
            self._echoed(message.correlation)
        elif (split := topics.split(message.topic)) is not None and split[1] == "owner":
            self._hear(message)
        else:
            return False
        return True

    def _hear(self, message: Message) -> None:
        if not message.payload:  # somebody has had the broker forget the site
            for claim in self.known.forget(lambda site: topics.owner(site) == message.topic):
                self._say(claim)
            return
        try:
            claim = parse(Claim, message.payload)
        except PayloadError:
            return
        if topics.owner(claim.site) != message.topic:
            return
        self._told.add(claim.site)
        heard = self.known.hear(claim)
        if heard is Heard.LOST:
            self._leave(claim.site, claim.worker)
        elif heard is Heard.DISPUTED:
            self._say_again(claim.site)
        answer = self._answers.get(claim.site)
        is_answer = claim.epoch and not claim.released and claim.worker != self._worker and not message.retain
        if answer is not None and is_answer and not answer.done():
            answer.set_result(claim.worker)

    def _ask(self) -> None:
        """Have the broker send this worker a message of its own."""
        if self.connection.connected:
            self._asked += 1
            number = b"%d" % self._asked
            self._publish(Message(self._echo_topic, b"", qos=1, expiry_s=60, correlation=number))
            asyncio.get_running_loop().call_later(ECHO_S, self._echoed, number)

    def _echoed(self, number: bytes | None) -> None:
        """All is known that was said before the question of this number; those asked later have echoes of their own."""
        if not self.connection.connected or not number or not number.isdigit() or len(number) > 18:
            return
        for claim in self.known.ours():
            if claim.site not in self._told:  # the broker has forgotten, or was told in vain
                self._say(claim)
        heard = [echo for asked, echo in self._waiting if asked <= int(number)]
        self._waiting = [(asked, echo) for asked, echo in self._waiting if asked > int(number)]
        for echo in heard:
            if not echo.done():
                echo.set_result(None)

    def _say_again(self, site: str) -> None:
        for claim in self.known.ours():
            if claim.site == site:
                self._say(claim)

    def _say(self, claim: Claim, *, retain: bool = True) -> None:
        if retain:
            self._told.add(claim.site)
        self._publish(channels.to_claim(claim, retain=retain))

    def _publish(self, message: Message) -> None:
        """Send now or never: what is true now need not be so when the broker is back."""
        self.connection.publish(message, only_now=True)
