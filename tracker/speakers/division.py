"""Who speaks in a turn: its parts, each somebody's, and the place where a turn under way has passed to somebody else.

All places are frames of the stream, STEP samples each. Parts may overlap where people do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.speakers.activity import Activity
from emotrack.tracker.speakers.networks import STEP


def frames(seconds: float) -> int:
    """So many frames are about ``seconds``."""
    return round(seconds * SAMPLE_RATE / STEP)


def seconds_of(active: NDArray[np.bool_]) -> float:
    """How long a voice is active in all, (frames,)."""
    return float(active.sum()) * STEP / SAMPLE_RATE


LOOK_BACK_S: Final = 1.5  # of what was heard last is not decided on while speech goes on
_BREATH: Final = frames(0.4)  # a shorter break is none
_LEAST: Final = frames(0.2)  # shorter activity is no part
_SPEECH: Final = frames(0.75)  # in which nobody was heard, and which ended no turn
DROWNED: Final = 0.5  # of what a voice says, from which on a recogniser would write down what others say
_ALOUD: Final = 0.8  # of a part that others speak in, from which on it is heard only if it is ...
_LASTING: Final = frames(1.0)  # ... so long: an "uh-huh" within what somebody else says is no turn
_TOGETHER: Final = frames(1.0)  # who comes in while another finishes overlaps no longer


@dataclass(frozen=True, slots=True)
class VoicePart:
    """What one voice says in a turn."""

    start: int
    end: int
    voice: int | None
    """The number that ``Activity`` gave it; None where segmentation heard nobody."""
    clean: NDArray[np.bool_]
    """(end - start,): whether the voice is active, and it alone."""
    active: int
    """Frames in which the voice is."""
    overlap: float
    """The share of its activity in which somebody else is active, too."""


def parts(activity: Activity, start: int, end: int, settled: int = 0) -> list[VoicePart]:
    """What each voice says from ``start`` to ``end``, by beginning.

    A longer stretch in which segmentation heard nobody is a part, too: there is speech in it, or the turn had ended.
    What ends by ``settled`` is left out: it was part of the turn before, which this one overlaps.
    """
    active = activity.between(start, end)
    found = _audible(
        _part(active, voice, start, *run)
        for voice, frames_ in active.items()
        for run in _runs(frames_)
        if start + run[1] > settled
    )
    if not found:
        return [_unheard(start, end)]
    missed: list[VoicePart] = []
    claimed = max(start, settled)
    for first, last in [*((part.start, part.end) for part in found), (end, end)]:
        if first - claimed >= _SPEECH:
            missed.append(_unheard(claimed, first))
        claimed = max(claimed, last)
    return sorted([*found, *missed], key=lambda part: (part.start, part.end))


def whole(activity: Activity, start: int, end: int) -> VoicePart:
    """All from ``start`` to ``end``, as the voice's that is active in most of it."""
    active = activity.between(start, end)
    if not active:
        return _unheard(start, end)
    voice = max(active, key=lambda each: int(active[each].sum()))
    return _part(active, voice, start, 0, end - start)


def drowned(found: Iterable[VoicePart]) -> set[tuple[int, int]]:
    """Pairs of voices, the lower number first, of which one drowns the other."""
    return {
        (min(part.voice, other.voice), max(part.voice, other.voice))
        for part, other in permutations(found, 2)
        if part.voice is not None and other.voice is not None and part.voice != other.voice
        if part.overlap >= DROWNED and min(part.end, other.end) > max(part.start, other.start)
    }


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A turn under way has passed to somebody else, or to the same person after more than a breath."""

    goes_on_from: int
    """Where those who go on began, ..."""
    settled: int
    """... and where the last of the others ended."""


def passed_on(activity: Activity, start: int, end: int, settled: int = 0) -> PassedOn | None:
    """What is over of a turn under way since ``start``, heard until ``end``, if somebody goes on with it.

    In the end ``parts`` would divide it there, too; so nobody waits for that. An "uh-huh" of another is no reason: the
    one who goes on has not ended, or has only taken a breath. ``settled`` is as for ``parts``.
    """
    active = activity.between(start, end)
    runs = {
        voice: found
        for voice, frames_ in active.items()
        if (found := [run for run in _runs(frames_) if start + run[1] > settled])
    }
    going_on = {voice for voice, found in runs.items() if found[-1][1] > end - start - _BREATH}
    finished = [(voice, run) for voice, found in runs.items() for run in (found[:-1] if voice in going_on else found)]
    if not going_on or not finished:
        return None
    over = max(last for _, (_, last) in finished)
    taken_over = min(runs[voice][-1][0] for voice in going_on)
    if taken_over < over - _TOGETHER:
        return None
    if not _audible(_part(active, voice, start, *run) for voice, run in finished):
        return None  # who has finished could hardly be heard beside the one who goes on
    return PassedOn(start + min(over, taken_over), start + over)


def _unheard(start: int, end: int) -> VoicePart:
    clean = np.ones(max(end - start, 0), dtype=bool)
    return VoicePart(start, end, None, clean, len(clean), 0.0)


def _part(active: dict[int, NDArray[np.bool_]], voice: int, start: int, first: int, last: int) -> VoicePart:
    own = active[voice][first:last]
    together = sum(frames_[first:last].astype(int) for frames_ in active.values())
    clean = own & (together == 1)
    overlap = 1.0 - float(clean.sum() / max(own.sum(), 1))
    return VoicePart(start + first, start + last, voice, clean, int(own.sum()), overlap)


def _audible(found: Iterable[VoicePart]) -> list[VoicePart]:
    """Those that can be heard beside the others, by beginning."""
    heard = [part for part in found if part.overlap < _ALOUD or part.end - part.start >= _LASTING]
    return sorted(heard, key=lambda part: (part.start, part.end))


def _runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where a voice is active, (first frame, the one after the last), breaks of a breath left out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    runs: list[tuple[int, int]] = []
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and first - runs[-1][1] <= _BREATH:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return [(first, last) for first, last in runs if last - first >= _LEAST]
