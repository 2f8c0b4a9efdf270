"""Who serves which site, as one worker knows it: pure, and the same in the end for everybody who heard the same claims.

A site is served by the worker whose claim ranks highest: the later epoch, then the greater name, then a claim that has
been released. Claims may come late, twice or in any order, and a stale one may be what the broker keeps: whoever
holds the highest says it again to every lower one that it hears.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from emotrack.tracker.mqtt.format.payloads import MAX_COUNT, Claim

MAX_CLAIMS: Final = 4096  # sites whose owners are remembered


class Heard(Enum):
    """What a claim changes for the worker that hears it."""

    NOTHING = "nothing"
    LOST = "lost"
    """The worker serves the site no more: another has the higher claim."""
    DISPUTED = "disputed"
    """The worker's own claim is the higher one, and is to be said again."""


def rank(claim: Claim) -> tuple[int, str, bool]:
    """Of two claims on a site, the one of the higher rank counts."""
    return claim.epoch, claim.worker, claim.released


class Ownership:
    """The highest claim on each site that ``worker`` has heard or made, and the sites that it serves itself."""

    def __init__(self, worker: str, group: str | None) -> None:
        self.serves: set[str] = set()
        self._worker = worker
        self._group = group
        self._claims: dict[str, Claim] = {}

    def of(self, site: str) -> Claim | None:
        """The claim that counts; None where the site is free."""
        claim = self._claims.get(site)
        return claim if claim is not None and not claim.released else None

    def claims(self) -> list[Claim]:
        """Those that count, one a site."""
        return [claim for claim in self._claims.values() if not claim.released]

    def take(self, site: str, now: int) -> Claim:
        """Claim a site over whatever is known; ``now`` (seconds since 1970) keeps epochs of a forgotten site rising."""
        known = self._claims.get(site)
        epoch = min(max(now, known.epoch + 1 if known else 1), MAX_COUNT)
        claim = Claim(site=site, worker=self._worker, group=self._group, epoch=epoch)
        self._claims[site] = claim
        self.serves.add(site)
        return claim

    def release(self, site: str) -> Claim | None:
        """Serve a site no more; what to say of it, if the claim on it was this worker's."""
        self.serves.discard(site)
        return self._ours(site)

    def forget(self, is_meant: Callable[[str], bool]) -> list[Claim]:
        """Forget sites, save those that are served by this worker; the claims on these, to be said again."""
        for site in [site for site in self._claims if site not in self.serves and is_meant(site)]:
            del self._claims[site]
        return [claim for claim in self.ours() if claim.site in self.serves and is_meant(claim.site)]

    def hear(self, claim: Claim) -> Heard:
        """Take in anybody's claim. A question (epoch 0) is no claim, and is answered like a lower one."""
        site, known = claim.site, self._claims.get(claim.site)
        if claim.epoch and (known is None or rank(claim) > rank(known)):
            if known is None and len(self._claims) >= MAX_CLAIMS:
                del self._claims[next(other for other in self._claims if other not in self.serves)]
            self._claims[site] = claim
            if claim.worker != self._worker and site in self.serves:
                self.serves.discard(site)
                return Heard.LOST
        ours = self._ours(site)
        return Heard.DISPUTED if ours is not None and rank(ours) != rank(claim) else Heard.NOTHING

    def ours(self) -> list[Claim]:
        """What this worker has to say: its claims on what it serves, and the release of what it serves no more."""
        return [ours for site in list(self._claims) if (ours := self._ours(site)) is not None]

    def _ours(self, site: str) -> Claim | None:
        """This worker's word on a site if it is the last one, true to whether the site is served."""
        known = self._claims.get(site)
        if known is None or known.worker != self._worker:
            return None
        if known.released == (site in self.serves):  # released and yet served: a forgery, or a stale word of its own
            epoch = min(known.epoch + (site in self.serves), MAX_COUNT)
            known = known.model_copy(update={"epoch": epoch, "released": site not in self.serves})
            self._claims[site] = known
        return known
