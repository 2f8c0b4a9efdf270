"""Subtitles: SubRip and WebVTT, one subtitle per turn; those of people who talk at once overlap.

SubRip has no way to escape, so ``<``, ``>``, ``{`` and ``}``, in which players see markup, become look-alikes.
WebVTT escapes them; there every cue has the turn's id, the speaker as its voice and the emotion as its class, so
that a page can colour them: ``::cue(.joy) { color: gold }``.
"""

from __future__ import annotations

import re

from emotrack.tracker.events import Turn
from emotrack.tracker.sessions.export.wording import by_start, caption, distinct, end_s, one_line
from emotrack.tracker.sessions.reading.reader import Session

_LOOK_ALIKES = str.maketrans({"<": "\u2039", ">": "\u203a", "{": "(", "}": ")"})
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def to_srt(session: Session) -> str:
    """The turns as SubRip subtitles: ``[joy] Ana: what she said``."""
    return "".join(
        f"{number}\n{_stamp(turn.start_s, ',')} --> {_stamp(end_s(turn), ',')}\n"
        f"{caption(session, turn).translate(_LOOK_ALIKES)}\n\n"
        for number, turn in enumerate(by_start(session), start=1)
    )


def to_vtt(session: Session) -> str:
    """The turns as WebVTT cues: ``<v.joy Ana>[joy] what she said</v>``."""
    classes = distinct((session.emotion(turn) for turn in session.turns), _class)
    cues = (
        f"\n{turn.turn_id}\n{_stamp(turn.start_s, '.')} --> {_stamp(end_s(turn), '.')}\n"
        f"{_spoken(session, turn, classes[session.emotion(turn)])}\n"
        for turn in by_start(session)
    )
    return "WEBVTT\n" + "".join(cues)


def _spoken(session: Session, turn: Turn, class_: str) -> str:
    who = one_line(turn.speaker or "").translate(_ENTITIES)
    who = re.sub("-$", "&#45;", who)  # no cue may hold the arrow, not even as the end of a name and of its tag
    emotion, words = one_line(session.emotion(turn)), one_line(turn.text or "")
    shown = f"[{emotion}] {words}".rstrip().translate(_ENTITIES)
    return f"<v.{class_} {who}>{shown}</v>" if who else f"<c.{class_}>{shown}</c>"


def _class(emotion: str) -> str:
    return re.sub(r"\W", "_", emotion) or "none"


def _stamp(seconds: float, point: str) -> str:
    milliseconds = round(1000 * seconds)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
