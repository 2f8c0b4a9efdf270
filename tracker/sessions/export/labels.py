"""Labels along a recording: RTTM, which says who speaks when, and a label track for Audacity.

RTTM is NIST's format for speaker diarisation. It has no place for an emotion, so none is in it.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from emotrack.tracker.sessions.export.wording import by_start, caption, distinct, end_s, one_line
from emotrack.tracker.sessions.reading.reader import Session

_UNKNOWN = "unknown"


def to_rttm(session: Session) -> str:
    """The turns as RTTM ``SPEAKER`` lines; the recording is called after its file, or after the session."""
    recording = _field(PurePath(session.started.source).stem if session.started else session.name)
    # "unknown" first: whoever is really called that gets a number
    names = distinct(["", *(turn.speaker for turn in session.turns if turn.speaker)], _field)
    return "".join(
        f"SPEAKER {recording} 1 {turn.start_s:.3f} {end_s(turn) - turn.start_s:.3f} "
        f"<NA> <NA> {names[turn.speaker or '']} <NA> <NA>\n"
        for turn in by_start(session)
    )


def to_audacity(session: Session) -> str:
    """The turns as an Audacity label track: start and end in seconds and ``[joy] Ana: what she said``."""
    return "".join(f"{turn.start_s:.6f}\t{end_s(turn):.6f}\t{caption(session, turn)}\n" for turn in by_start(session))


def _field(name: str) -> str:
    """``name`` as one word; ``<NA>`` means that there is none, so no name may look like it."""
    return re.sub(r"[<>]", "", one_line(name)).replace(" ", "_") or _UNKNOWN
