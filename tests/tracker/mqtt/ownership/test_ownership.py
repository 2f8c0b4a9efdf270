"""Claims on sites in any order, late, twice, or lost with a connection: everybody agrees in the end, on one owner."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.mqtt.format.payloads import MAX_COUNT, Claim
from emotrack.tracker.mqtt.ownership.ownership import MAX_CLAIMS, Heard, Ownership, rank

SITES = ("hall", "attic")
WORKERS = ("a", "b", "c")


@dataclass
class Broker:
    """Keeps the claim that came last, and brings each to everybody, at some time and in some order."""

    retained: dict[str, Claim] = field(default_factory=dict)
    on_the_way: list[tuple[str, Claim]] = field(default_factory=list)

    def take(self, claim: Claim) -> None:
        self.retained[claim.site] = claim
        self.on_the_way += [(worker, claim) for worker in WORKERS]


@dataclass
class World:
    broker: Broker = field(default_factory=Broker)
    workers: dict[str, Ownership] = field(default_factory=lambda: {name: Ownership(name, "house") for name in WORKERS})
    sending: list[Claim] = field(default_factory=list)

    def deliver(self, number: int, *, twice: bool) -> None:
        """One of the messages that are on the way arrives: at the broker, or at a worker."""
        waiting = len(self.sending) + len(self.broker.on_the_way)
        if not waiting:
            return
        number %= waiting
        if number < len(self.sending):
            self.broker.take(self.sending[number] if twice else self.sending.pop(number))
            return
        number -= len(self.sending)
        worker, claim = self.broker.on_the_way[number] if twice else self.broker.on_the_way.pop(number)
        self.hear(worker, claim)

    def hear(self, worker: str, claim: Claim) -> None:
        known = self.workers[worker]
        served = set(known.serves)
        heard = known.hear(claim)
        assert (heard is Heard.LOST) == (served != known.serves)
        if heard is Heard.DISPUTED:
            self.sending += [ours for ours in known.ours() if ours.site == claim.site]

    def reconnect(self, worker: str) -> None:
        """What was on the way to and from a worker is lost; it hears what is retained, and says what is missing."""
        self.broker.on_the_way = [(to, claim) for to, claim in self.broker.on_the_way if to != worker]
        self.sending = [claim for claim in self.sending if claim.worker != worker]
        for claim in list(self.broker.retained.values()):
            self.hear(worker, claim)
        self.sending += [claim for claim in self.workers[worker].ours() if claim.site not in self.broker.retained]


steps = st.one_of(
    st.tuples(st.just("take"), st.sampled_from(WORKERS), st.sampled_from(SITES), st.integers(0, 3)),
    st.tuples(st.just("release"), st.sampled_from(WORKERS), st.sampled_from(SITES)),
    st.tuples(st.just("deliver"), st.integers(0, 99), st.booleans()),
    st.tuples(st.just("reconnect"), st.sampled_from(WORKERS)),
    st.tuples(st.just("ask"), st.sampled_from(WORKERS), st.sampled_from(SITES)),
    st.tuples(st.just("forget everything")),
)


def play(world: World, step: tuple[Any, ...]) -> None:
    match step:
        case ("take", worker, site, now):
            world.sending.append(world.workers[worker].take(site, now))
        case ("release", worker, site):
            claim = world.workers[worker].release(site)
            world.sending += [claim] if claim else []
        case ("deliver", number, twice):
            world.deliver(number, twice=twice)
        case ("reconnect", worker):
            world.reconnect(worker)
        case ("ask", worker, site):
            world.broker.on_the_way += [(other, Claim(site=site, worker=worker, epoch=0)) for other in WORKERS]
        case _:  # a broker that keeps nothing over a restart
            world.broker.retained.clear()
            for worker in WORKERS:
                world.reconnect(worker)


@given(st.lists(steps, max_size=40), st.integers(0, 2**32))
def test_everybody_agrees_on_one_owner_in_the_end(story: list[tuple[Any, ...]], order: int) -> None:
    world, chance = World(), random.Random(order)
    for step in story:
        play(world, step)
    for worker in WORKERS:  # whoever missed something had lost the connection
        world.reconnect(worker)
    for _ in range(2000):
        world.deliver(chance.randrange(10**6), twice=False)
    assert not world.sending
    assert not world.broker.on_the_way, "they do not come to an end"
    for site in SITES:
        claims = {worker: known.of(site) for worker, known in world.workers.items()}
        owner = claims["a"]
        assert set(claims.values()) == {owner}, "they do not agree"
        serving = [worker for worker, known in world.workers.items() if site in known.serves]
        assert serving == ([owner.worker] if owner else [])
        assert owner is None or world.broker.retained[site] == owner, "whoever comes later is told something else"


@given(st.permutations([Claim(site="hall", worker=w, epoch=e) for w in "ab" for e in (1, 2, 3)]))
def test_the_order_of_arrival_decides_nothing(claims: list[Claim]) -> None:
    known = Ownership("c", None)
    for claim in claims:
        known.hear(claim)
    assert known.of("hall") == max(claims, key=rank) == Claim(site="hall", worker="b", epoch=3)


def test_a_worker_that_slept_loses_to_the_one_who_took_over_in_both_orders() -> None:
    for stale_first in (True, False):
        slept, awake = Ownership("z", "house"), Ownership("b", "house")
        old = slept.take("hall", 100)
        awake.hear(old)
        new = awake.take("hall", 100)
        assert rank(new) > rank(old)
        assert [awake.hear(claim) for claim in ((old, new) if stale_first else (new, old))].count(Heard.DISPUTED) == 1
        assert slept.hear(new) is Heard.LOST
        assert slept.hear(old) is Heard.NOTHING
        assert (slept.serves, awake.serves) == (set(), {"hall"})
        assert slept.release("hall") is None, "it is not its to release"


def test_a_released_site_is_free_and_its_old_claim_means_nothing() -> None:
    one, two = Ownership("a", None), Ownership("b", None)
    claim = one.take("hall", 5)
    released = one.release("hall")
    assert released is not None
    for heard in (released, claim):
        two.hear(heard)
    assert two.of("hall") is None
    assert one.hear(claim) is Heard.DISPUTED  # the broker keeps the older one: say it again
    assert one.ours() == [released]


def test_who_is_asked_answers_if_it_serves_the_site_and_nobody_else_does() -> None:
    one, two = Ownership("a", None), Ownership("b", None)
    one.take("hall", 5)
    question = Claim(site="hall", worker="b", epoch=0)
    assert one.hear(question) is Heard.DISPUTED
    assert two.hear(question) is Heard.NOTHING
    assert two.of("hall") is None


def test_a_site_is_forgotten_by_all_but_its_owner() -> None:
    one, two = Ownership("a", None), Ownership("b", None)
    claims = {site: one.take(site, 5) for site in SITES}
    for claim in claims.values():
        two.hear(claim)
    assert one.forget(lambda site: site == "hall") == [claims["hall"]]
    assert two.forget(lambda site: site == "hall") == []
    assert (two.of("hall"), two.of("attic")) == (None, claims["attic"])
    one.release("hall")
    assert one.forget(lambda site: site == "hall") == []
    assert [claim.site for claim in one.ours()] == ["attic"], "nobody is told of it again"


def test_what_is_remembered_is_bounded_and_what_is_served_is_never_forgotten() -> None:
    known = Ownership("a", None)
    known.take("hall", 1)
    for number in range(MAX_CLAIMS + 10):
        known.hear(Claim(site=f"s{number}", worker="b", epoch=1))
    assert len(known.claims()) == MAX_CLAIMS
    assert known.of("hall") is not None


@pytest.mark.parametrize("epoch", [MAX_COUNT - 1, MAX_COUNT])
def test_an_epoch_that_cannot_be_exceeded_does_no_harm(epoch: int) -> None:
    known = Ownership("a", None)
    known.hear(Claim(site="hall", worker="b", epoch=epoch))
    assert known.take("hall", 7).epoch == MAX_COUNT
    assert known.release("hall")
