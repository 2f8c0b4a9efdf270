"""The voices on one channel: looks at the running sound, tells when a turn passes to somebody else, divides turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.speakers.activity import Activity
from emotrack.tracker.speakers.changes import HeardTurns
from emotrack.tracker.speakers.division import (
    LOOK_BACK_S,
    VoicePart,
    drowned,
    frames,
    parts,
    passed_on,
    seconds_of,
    whole,
)
from emotrack.tracker.speakers.linkage import ONE_PERSON
from emotrack.tracker.speakers.networks import FRAMES, LEAST_PRINT_S, STEP, WINDOW, VoicePrint
from emotrack.tracker.speakers.pieces import PrintVoice, RunningPrints, TurnPrint, VoicePiece, print_of, print_of_sound

LOOK_EVERY_S: Final = 1.0  # of a turn under way; a pause is looked at besides
_MARGIN_S: Final = 0.15  # kept around a part: segmentation is exact, and recognisers want to hear a word begin and end
_EDGE_S: Final = 0.5  # a part that begins or ends as near to the turn's own edge does so there

_PRINTED: Final = frames(LEAST_PRINT_S)  # of what a voice says alone
_SEEN: Final = 0.9  # of a turn must have been looked at to divide it

Segment = Callable[[Samples], Awaitable[NDArray[np.bool_]]]


@dataclass(frozen=True, slots=True)
class VoicedTurn:
    """What one voice says: a turn, or a part of one."""

    turn: SpeechTurn
    voice: int | None
    """The same for what segmentation takes for the same voice, within about ten seconds; None if it heard nobody."""
    clean: NDArray[np.bool_]
    """(frames,), one each STEP samples of the turn: whether the voice is active, and it alone."""
    overlap: float
    """The share of what the voice says that somebody else speaks in, too."""
    pieces: tuple[VoicePiece, ...]
    """What its print is made of."""
    borders: bool = False
    """On what somebody else says, with no silence between."""

    @property
    def clean_s(self) -> float:
        """Seconds of the voice alone."""
        return seconds_of(self.clean)

    async def print(self, print_voice: PrintVoice) -> TurnPrint | None:
        """The print of the voice; see ``print_of``."""
        return await print_of(self.pieces, self.turn.start // STEP, self.turn.samples, print_voice)

    @property
    def known_prints(self) -> list[VoicePrint]:
        """Of its first pieces, as far as they were printed while the turn went on."""
        prints: list[VoicePrint] = []
        for piece in self.pieces:
            if (known := piece.known) is None:
                break
            prints.append(known)
        return prints

    def part(self, turn: SpeechTurn) -> VoicedTurn:
        """What the voice says in ``turn``, which is this turn or lies within it."""
        if (turn.start, turn.end) == (self.turn.start, self.turn.end):
            return self
        first, last = turn.start // STEP, turn.end // STEP
        begin = self.turn.start // STEP
        inside = (piece.within(first, last) for piece in self.pieces if first <= piece.middle < last)
        return replace(self, turn=turn, clean=self.clean[first - begin : last - begin], pieces=tuple(inside))

    def divide(self, changes: Sequence[tuple[int, int]]) -> list[VoicedTurn]:
        """This turn as what several people say, one after the other; ``changes`` are as ``HeardTurns`` tells them."""
        borders = [self.pieces[end].midway_to(self.pieces[begin]) for end, begin in changes]
        turns = self.turn.divide([border * STEP for border in borders])
        cleans = np.split(self.clean, [border - self.turn.start // STEP for border in borders])
        begins, ends = [0, *(begin for _, begin in changes)], [*(end + 1 for end, _ in changes), len(self.pieces)]
        return [
            replace(self, turn=turn, clean=clean, pieces=self.pieces[begin:end])
            for turn, clean, begin, end in zip(turns, cleans, begins, ends, strict=True)
        ]


class ChannelVoices:
    """Who speaks on one channel, as far as segmentation tells."""

    def __init__(
        self,
        listener: Listener,
        segment: Segment,
        print_voice: PrintVoice,
        *,
        ends_turns: bool = True,
        patient: bool = True,
    ) -> None:
        """``listener`` must remember WINDOW samples; the networks answer as ``Segmentation`` and ``VoicePrints`` do.

        Unless it ``ends_turns``, something else tells where somebody takes over. ``patient``: nobody is waiting, so a
        turn that has ended waits for the prints that were begun; else it is divided by those that are there.
        """
        self._listener = listener
        self._segment = segment
        self._print_voice = print_voice
        self._prints = RunningPrints(print_voice)
        self._ends_turns = ends_turns
        self._patient = patient
        self._activity = Activity()
        self._heard_turns = HeardTurns()
        self._seen = 0  # stream index up to which was looked
        self._if_it_ends: tuple[int, Activity] | None = None  # the same at a pause, and the activity as it is then
        self._cuts: deque[tuple[int, int]] = deque([(0, 0)], maxlen=8)  # where a turn began, and what was settled there

    async def look(self) -> list[SpeechTurn]:
        """After every frame; the turn that ends here because somebody else has taken over, if one does.

        A turn under way is looked at every second, and at the pause that may be its end, which counts only if it is.
        Costs a window of the network each time, and nothing in silence.
        """
        pending, turn_start, heard = self._listener.pending, self._listener.turn_start, self._listener.heard_until
        if pending is not None:
            if self._if_it_ends is None or self._if_it_ends[0] < pending.end:
                self._if_it_ends = (pending.end, await self._with_look_at(pending))
                self._begin_prints(pending.start, *self._if_it_ends)
            return []
        self._if_it_ends = None
        if turn_start is None or heard - max(self._seen, turn_start) < LOOK_EVERY_S * SAMPLE_RATE:
            return []
        await self._look_at(heard, self._activity)
        self._seen = heard
        self._begin_prints(turn_start, heard, self._activity)
        if not self._ends_turns:
            return []
        _, settled = self._cut_before(turn_start)
        found = passed_on(
            self._activity, turn_start // STEP, (heard - round(LOOK_BACK_S * SAMPLE_RATE)) // STEP, settled
        )
        if found is None:
            return []
        self._cuts.append((found.goes_on_from * STEP, found.settled))
        ended = self._listener.split(found.settled * STEP, found.goes_on_from * STEP)
        for turn in ended:
            await self._remember(turn)
        return ended

    async def finish(self, turn: SpeechTurn) -> None:
        """Look at what of a ``turn`` that has ended was not looked at, before it is divided."""
        if turn.end > self._seen:
            if self._if_it_ends is None or self._if_it_ends[0] < turn.end:
                self._if_it_ends = (turn.end, await self._with_look_at(turn))
            self._seen, self._activity = self._if_it_ends
            self._if_it_ends = None
        await self._remember(turn)

    def divide(self, turn: SpeechTurn) -> list[VoicedTurn]:
        """The parts of a turn, each of one voice, by beginning. Parts overlap where people do.

        Of one under way, as far as was looked at it.
        """
        first, last, activity = self._seen_of(turn)
        if activity is None:
            return [self._unseen(turn)]
        _, settled = self._cut_before(turn.start)
        found = parts(activity, first, last, settled)
        first, last = min(part.start for part in found), max(part.end for part in found)
        voiced = [self._voiced(turn, part, part.start == first, part.end == last) for part in found]
        divided = [each for one in voiced for each in self._by_prints(one)]
        borders = len(divided) > 1 or any(turn.start <= cut <= turn.end for cut, _ in self._cuts if cut > 0)
        return [replace(each, borders=borders) for each in divided]

    def whole(self, turn: SpeechTurn) -> VoicedTurn:
        """A ``turn`` whose borders something else tells, as the voice's that says most of it."""
        first, last, activity = self._seen_of(turn)
        if activity is None:
            return self._unseen(turn)
        found = whole(activity, first, last)
        return VoicedTurn(turn, found.voice, found.clean, found.overlap, tuple(self._prints.pieces(first, found.clean)))

    async def _remember(self, turn: SpeechTurn) -> None:
        """Know what the voices of a ``turn`` that has ended are like, as far as they were printed while it went on."""
        if self._patient:
            await self._prints.wait(turn.end // STEP)
        for voiced in self.divide(turn):
            if prints := voiced.known_prints:
                self._heard_turns.remember(voiced.turn.end // STEP, prints)

    def _by_prints(self, voiced: VoicedTurn) -> list[VoicedTurn]:
        """What segmentation took for one voice's, as that of several people where their prints tell of them."""
        return voiced.divide(self._heard_turns.changes(voiced.turn.start // STEP, voiced.known_prints))

    def _begin_prints(self, turn_start: int, seen: int, activity: Activity) -> None:
        """Print what voices have said of the turn under way, as far as was looked at it."""
        _, settled = self._cut_before(turn_start)
        first = max(turn_start // STEP, -(-self._listener.remembers_from // STEP))  # whose sound is kept as a whole
        for part in parts(activity, first, seen // STEP, settled):
            self._prints.begin(part.start, part.clean, seen // STEP, self._listener.between)

    def _seen_of(self, turn: SpeechTurn) -> tuple[int, int, Activity | None]:
        """The frames of a turn that were looked at, and what was seen; None where too little was."""
        seen, activity = self._if_it_ends or (self._seen, self._activity)
        first, last = turn.start // STEP, -(-min(turn.end, seen) // STEP)
        return first, last, activity if activity.share_seen(first, last) >= _SEEN else None

    async def _with_look_at(self, turn: SpeechTurn) -> Activity:
        """The activity as it is if ``turn`` ends here."""
        activity = self._activity.copy()
        await self._look_at(turn.end, activity)
        await self._join_voices(turn, activity)
        return activity

    async def _join_voices(self, turn: SpeechTurn, activity: Activity) -> None:
        """Make one of two voices of which one drowns the other in ``turn``, where both are one person's.

        Segmentation takes an excited voice for two at times. What each says alone in the remembered sound tells. It is
        printed only where a voice is drowned, which is seldom.
        """
        first, last = turn.start // STEP, -(-turn.end // STEP)
        _, settled = self._cut_before(turn.start)
        for pair in sorted(drowned(parts(activity, first, last, settled))):
            start, alone = self._alone(turn.end, activity)
            if any(voice not in alone or alone[voice].sum() < _PRINTED for voice in pair):
                continue
            sound = self._listener.between(start, turn.end)
            one, other = [await print_of_sound(sound, alone[voice], self._print_voice) for voice in pair]
            if one is not None and other is not None and float(one.mean @ other.mean) >= ONE_PERSON:
                activity.join(*pair)
                return

    def _alone(self, until: int, activity: Activity) -> tuple[int, dict[int, NDArray[np.bool_]]]:
        """Where the remembered sound begins, and the frames of it in which each voice speaks alone: (frames,) each."""
        first = -(-max(until - WINDOW, self._listener.remembers_from, 0) // STEP)
        active = activity.between(first, until // STEP)
        voices = np.sum(list(active.values()), axis=0) if active else 0  # (frames,)
        return first * STEP, {voice: frames & (voices == 1) for voice, frames in active.items()}

    async def _look_at(self, until: int, activity: Activity) -> None:
        """Add to ``activity`` the window that ends at ``until``, or as much of it as is remembered."""
        first = -(-max(until - WINDOW, self._listener.remembers_from, 0) // STEP) * STEP
        if first < until:  # unless sound was lost, and what came before it is kept no more
            active = await self._segment(self._listener.between(first, until))
            activity.add(first // STEP, active[:FRAMES])

    def _cut_before(self, start: int) -> tuple[int, int]:
        return next((cut for cut in reversed(self._cuts) if cut[0] <= start), (0, 0))

    def _voiced(self, turn: SpeechTurn, part: VoicePart, is_first: bool, is_last: bool) -> VoicedTurn:
        margin, edge = round(_MARGIN_S * SAMPLE_RATE), round(_EDGE_S * SAMPLE_RATE)
        start, end = max(part.start * STEP - margin, turn.start), min(part.end * STEP + margin, turn.end)
        if is_first and start - turn.start < edge:
            start = turn.start
        if is_last and turn.end - end < edge:
            end = turn.end
        clean = np.zeros(max((end - start) // STEP, 1), dtype=bool)
        before = part.start - start // STEP
        inside = part.clean[max(-before, 0) :][: len(clean) - max(before, 0)]
        clean[max(before, 0) : max(before, 0) + len(inside)] = inside
        piece = replace(
            turn,
            start=start,
            end=end,
            speech_end=min(turn.speech_end, end),
            speech_s=min(turn.speech_s, part.active * STEP / SAMPLE_RATE),
            samples=turn.samples[start - turn.start : end - turn.start],
        )
        return VoicedTurn(piece, part.voice, clean, part.overlap, tuple(self._prints.pieces(start // STEP, clean)))

    def _unseen(self, turn: SpeechTurn) -> VoicedTurn:
        """A turn at which nobody looked, since voices were not told apart meanwhile."""
        first = turn.start // STEP
        clean = np.ones(-(-turn.end // STEP) - first, dtype=bool)
        return VoicedTurn(turn, None, clean, 0.0, tuple(self._prints.pieces(first, clean)))


def overlapping(one: SpeechTurn, other: SpeechTurn) -> bool:
    """Whether two turns are spoken at the same time for long enough to be two people's."""
    return min(one.end, other.end) - max(one.start, other.start) > frames(0.2) * STEP + 2 * round(
        _MARGIN_S * SAMPLE_RATE
    )
