"""Sessions in formats that other programs read.

In every format a person's correction takes the place of the estimate, control characters are left out, and a session
without any turn is a valid, empty document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from emotrack.tracker.sessions.export.emotionml import to_emotionml
from emotrack.tracker.sessions.export.labels import to_audacity, to_rttm
from emotrack.tracker.sessions.export.subtitles import to_srt, to_vtt
from emotrack.tracker.sessions.export.table import to_csv
from emotrack.tracker.sessions.formats import FormatName
from emotrack.tracker.sessions.reading.reader import Session

FORMATS: Final[dict[FormatName, Callable[[Session], str]]] = {
    "csv": to_csv,
    "srt": to_srt,
    "vtt": to_vtt,
    "emotionml": to_emotionml,
    "rttm": to_rttm,
    "audacity": to_audacity,
}


def export(session: Session, format: FormatName) -> str:
    """``session`` as a document in ``format``, with a line feed at the ends of lines."""
    return FORMATS[format](session)


__all__ = ["FORMATS", "FormatName", "export"]
