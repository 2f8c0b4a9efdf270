"""How often turns are certainly sad, afraid, angry or disgusted in recordings of people who are not.

    python -m benchmarks.sureness FILE ...

For talk in which nobody is unhappy: meetings, calls, a podcast. Tracks each recording twice, by the voice alone and
with the words of Moonshine, and prints for each way how many turns there were, how many of them were certain, doubted,
and certainly unhappy, as they are known at the end; then those of the last kind.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

import emotrack
from emotrack.tracker.events import Turn
from emotrack.tracker.messages.wording import clock

UNHAPPY: Final = frozenset({"sadness", "fear", "anger", "disgust"})
WAYS: Final = {"voice alone": "none", "with Moonshine": "moonshine"}


@dataclass(frozen=True, slots=True)
class Sureness:
    """What turns add up to."""

    turns: int
    certain: int
    unhappy: list[Turn]
    """Certainly so."""
    doubts: Counter[str]

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Sureness:
        """Of turns as they are known at last."""
        certain = [turn for turn in turns if not turn.uncertain]
        unhappy = [turn for turn in certain if turn.emotion in UNHAPPY]
        return cls(len(turns), len(certain), unhappy, Counter(turn.doubt for turn in turns if turn.doubt))

    def row(self, name: str) -> str:
        """A row of the table."""
        doubts = ", ".join(f"{doubt} {count}" for doubt, count in self.doubts.most_common())
        share = len(self.unhappy) / max(self.turns, 1)
        return f"| {name} | {self.turns} | {self.certain} | {doubts} | {len(self.unhappy)} ({share:.1%}) |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--bundle", default="mini", metavar="NAME|DIR", help="default mini")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| | turns | certain | doubted | certainly unhappy |\n|---|---|---|---|---|")
    unhappy = []
    for name, recogniser in WAYS.items():
        found = asyncio.run(tracked(arguments.bundle, recogniser, arguments.recordings))
        print(Sureness.of([turn for turns in found.values() for turn in turns]).row(name), flush=True)
        unhappy += [(name, path, turn) for path, turns in found.items() for turn in Sureness.of(turns).unhappy]
    print()
    for name, path, turn in unhappy:
        said = f"{turn.emotion} {turn.confidence:.2f} {turn.text or ''}"
        print(f"{name}: {path.name} {clock(turn.start_s)} {said}".rstrip())


async def tracked(bundle: str, recogniser: str, recordings: Sequence[Path]) -> dict[Path, list[Turn]]:
    """The turns of each recording, in their last revision."""
    found = {}
    async with emotrack.Tracker(bundle, recogniser=recogniser) as tracker:
        for path in recordings:
            latest: dict[int, Turn] = {}
            async for event in tracker.track(emotrack.File(path)):
                if isinstance(event, Turn):
                    latest[event.turn_id] = event
            found[path] = list(latest.values())
    return found


if __name__ == "__main__":
    main()
