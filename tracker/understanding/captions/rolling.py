"""Captions that scroll: each cue shows the last lines again under which a new one appears.

YouTube's automatic captions, those of live television and Whisper's with highlighted words are like this. In other
captions somebody may well say the same twice: whether a file scrolls is told by most of its cues, or by the times of
single words in it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from emotrack.tracker.understanding.captions.markup import times_words, unmarked, voices
from emotrack.tracker.understanding.captions.parsing import WrittenCue

_MAX_SHOWN = 8  # lines on a screen at once
_MAX_GAP_S = 0.1  # between two cues of which one scrolls into the other
_SCROLLING = 0.5  # of the cues that follow another without a gap: so many repeat it where a file scrolls
_MIN_REPEATS = 2  # in a short file, one may do so by chance


def unrolled(cues: list[WrittenCue]) -> list[WrittenCue]:
    """``cues``, which are in order of time, with each line where it first appears; the same cue twice is one."""
    cues = [cue for cue in dict.fromkeys(cues) if _shown(cue)]
    pairs = list(pairwise(cues))
    added = [_added(*pair) if _follows(*pair) else None for pair in pairs]
    # The same lines again, tags and all, tell nothing: somebody may say the same twice.
    telling = [
        lines
        for lines, (before, cue) in zip(added, pairs, strict=True)
        if before.lines != cue.lines and _follows(before, cue)
    ]
    repeats = sum(lines is not None for lines in telling)
    are_timed = any(times_words(line) for cue in cues for line in cue.lines)
    if not (are_timed or (repeats >= _MIN_REPEATS and repeats >= _SCROLLING * len(telling))):
        return cues
    kept = cues[:1]
    for cue, lines in zip(cues[1:], added, strict=True):
        if lines == ():
            kept[-1] = replace(kept[-1], end_s=max(kept[-1].end_s, cue.end_s))
        else:
            kept.append(replace(cue, lines=lines or cue.lines))
    return kept


def _follows(before: WrittenCue, cue: WrittenCue) -> bool:
    """Whether ``cue`` may show what ``before`` did: without a gap, later, and not of somebody else."""
    is_next = before.start_s < cue.start_s <= before.end_s + _MAX_GAP_S
    return is_next and _voices(before) == _voices(cue)


def _added(before: WrittenCue, cue: WrittenCue) -> tuple[str, ...] | None:
    """The lines of ``cue`` that the screen did not show before; None if it showed none of them."""
    old, new = _shown(before), _shown(cue)
    if old == new:
        return ()
    for count in range(min(len(old), len(new), _MAX_SHOWN), 0, -1):
        if old[-count:] == new[:count]:
            return tuple(line for line in cue.lines if unmarked(line))[count:]
    so_far, grown = " ".join(old), " ".join(new)
    return (grown.removeprefix(so_far),) if grown.startswith(f"{so_far} ") else None


def _shown(cue: WrittenCue) -> list[str]:
    return [words for line in cue.lines if (words := unmarked(line))]


def _voices(cue: WrittenCue) -> list[str | None]:
    return [name for name, _ in voices("\n".join(cue.lines))]
