"""What a voice says, in pieces that are printed by themselves: those of a turn under way while it goes on.

So little is left to print when the turn ends, and whoever waits for it hears at once who spoke.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.errors import look_at
from emotrack.tracker.speakers.division import frames, seconds_of
from emotrack.tracker.speakers.networks import LEAST_PRINT_S, STEP, VoicePrint, of_length_one

PIECE_S: Final = 1.25  # of clean speech
MOST_PIECES: Final = 4  # of a turn are printed: more tells little more, and costs as much a second
HALVED_S: Final = 2.4  # of clean speech, from which on it matters how alike both halves are
_REST_S: Final = 0.6  # of clean speech is worth a print of its own where there are ...
_ENOUGH: Final = 2  # ... so many pieces already
_SETTLED_S: Final = 0.25  # of what was heard last is not printed yet: the voice may be found to have ended there
_ALIKE: Final = 0.7  # of the clean frames of two pieces are in both: one print is good for either
_REMEMBERED: Final = 16  # pieces that were printed


@dataclass(frozen=True, slots=True)
class TurnPrint:
    """What the voice of a turn is like."""

    mean: VoicePrint
    """Of its pieces' prints, each of length 1, by how long they are: its product with another such mean is the mean
    similarity of their pieces."""
    alike: float = 1.0
    """How alike its halves are: little where segmentation took two people for one, 1 where it is too short to halve."""


PrintVoice = Callable[[Samples, NDArray[np.bool_]], Awaitable[VoicePrint | None]]


@dataclass(frozen=True, slots=True)
class VoicePiece:
    """A piece of what one voice says."""

    first: int
    """Frame of the stream, STEP samples each."""
    clean: NDArray[np.bool_]
    """(frames,): whether the voice is active, and it alone."""
    made: asyncio.Future[VoicePrint | None] | None = None
    """The print that was begun while the turn went on."""

    @property
    def last(self) -> int:
        """The frame after the last."""
        return self.first + len(self.clean)

    @property
    def middle(self) -> int:
        """The frame in its middle."""
        return (self.first + self.last) // 2

    def within(self, first: int, last: int) -> VoicePiece:
        """As much of it as lies between two frames; all of it where its print was begun."""
        if self.made is not None:
            return self
        begin = max(first, self.first)
        return VoicePiece(begin, self.clean[begin - self.first : max(last - self.first, 0)])

    @property
    def known(self) -> VoicePrint | None:
        """The print that was begun, where it is there by now."""
        made = self.made
        if made is None or not made.done() or made.cancelled() or made.exception() is not None:
            return None
        return made.result()

    def midway_to(self, other: VoicePiece) -> int:
        """The frame midway between what is said in this piece and in a later one."""
        ends = self.last - int(np.argmax(self.clean[::-1]))
        begins = other.first + int(np.argmax(other.clean))
        return (ends + begins) // 2

    def is_like(self, other: VoicePiece) -> bool:
        """Whether both are nearly the same."""
        first, last = max(self.first, other.first), min(self.last, other.last)
        own, others = (each.clean[first - each.first : max(last - each.first, 0)] for each in (self, other))
        return bool(first < last and (own & others).sum() >= _ALIKE * max(self.clean.sum(), other.clean.sum()))


class RunningPrints:
    """The prints of the latest pieces of one channel, each begun as soon as the piece was whole."""

    def __init__(self, print_voice: PrintVoice) -> None:
        self._print_voice = print_voice
        self._pieces: deque[VoicePiece] = deque(maxlen=_REMEMBERED)

    def begin(self, first: int, clean: NDArray[np.bool_], heard: int, sound: Callable[[int, int], Samples]) -> None:
        """Print what can be of a voice under way.

        Args:
            first: frame of the stream with which it begins.
            clean: (frames,), from there on: whether it is active, and it alone.
            heard: frame up to which was heard.
            sound: what was heard from one stream index to another.
        """
        settled = heard - frames(_SETTLED_S)
        for piece in self.pieces(first, clean):
            if piece.made is None and piece.last <= settled and seconds_of(piece.clean) >= PIECE_S:
                samples = sound(piece.first * STEP, piece.last * STEP)
                made = asyncio.ensure_future(self._print_voice(samples, piece.clean))
                made.add_done_callback(look_at)
                self._pieces.append(VoicePiece(piece.first, piece.clean, made))

    async def wait(self, until: int) -> None:
        """Until the prints are there that were begun of what was said before the frame ``until``."""
        made = [each.made for each in self._pieces if each.made and each.first < until and not each.made.done()]
        if made:
            await asyncio.wait(made)

    def pieces(self, first: int, clean: NDArray[np.bool_]) -> list[VoicePiece]:
        """What a voice says from the stream's frame ``first`` on, in pieces; those that were begun have their print."""
        found: list[VoicePiece] = []
        at = 0
        while at < len(clean) and len(found) < MOST_PIECES:
            until = int(np.searchsorted(np.cumsum(clean[at:]) * STEP, PIECE_S * SAMPLE_RATE)) + 1
            piece = VoicePiece(first + at, clean[at : at + until])
            known = next((each for each in self._pieces if each.is_like(piece)), None)
            if known is None and seconds_of(piece.clean) < (_REST_S if len(found) >= _ENOUGH else LEAST_PRINT_S):
                break
            found.append(known or piece)
            at = found[-1].last - first
        return found


async def print_of(
    pieces: Sequence[VoicePiece], start: int, samples: Samples, print_voice: PrintVoice
) -> TurnPrint | None:
    """The print of what a voice says in ``samples``, (samples,), from the stream's frame ``start`` on.

    None where there is too little of the voice alone.
    """
    prints: list[VoicePrint] = []  # each times its piece's seconds
    lengths_s: list[float] = []
    for piece in pieces:
        if piece.made is not None:
            found = await asyncio.shield(piece.made)
        else:
            sound = samples[max(piece.first - start, 0) * STEP : (piece.last - start) * STEP]
            found = await print_voice(sound, piece.clean)
        if found is not None:
            lengths_s.append(seconds_of(piece.clean))
            prints.append(found * np.float32(lengths_s[-1]))
    if not prints:
        return None
    total_s = sum(lengths_s)
    sums = np.stack(prints)  # (pieces, numbers)
    mean: VoicePrint = sums.sum(axis=0) / np.float32(total_s)
    is_later = np.cumsum(lengths_s) - np.array(lengths_s) / 2.0 >= total_s / 2.0  # (pieces,)
    if total_s < HALVED_S or is_later.all():
        return TurnPrint(mean)
    one, other = (of_length_one(sums[half].sum(axis=0)) for half in (~is_later, is_later))
    return TurnPrint(mean, float(one @ other))


async def print_of_sound(samples: Samples, clean: NDArray[np.bool_], print_voice: PrintVoice) -> TurnPrint | None:
    """The print of a voice in ``samples``, (samples,), of which nothing was printed yet; ``clean`` as of a piece."""
    return await print_of(RunningPrints(print_voice).pieces(0, clean), 0, samples, print_voice)
