"""Sessions in formats that other programs read.

In every format a person's correction takes the place of the estimate, control characters are left out, and a session
without any turn is a valid, empty document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from emotrack.tracker.sessions.export.emotionml import to_emotionml
from emotrack.tracker.sessions.export.labels import to_audacity, to_rttm
from emotrack.tracker.sessions.export.subtitles import to_srt, to_vtt
from emotrack.tracker.sessions.export.table import to_csv
from emotrack.tracker.sessions.reader import Session

FormatName = Literal["csv", "srt", "vtt", "emotionml", "rttm", "audacity"]


class Format(NamedTuple):
    """How to write a session, and what such files are called."""

    write: Callable[[Session], str]
    ending: str


FORMATS: Final[dict[FormatName, Format]] = {
    "csv": Format(to_csv, ".csv"),
    "srt": Format(to_srt, ".srt"),
    "vtt": Format(to_vtt, ".vtt"),
    "emotionml": Format(to_emotionml, ".emotionml"),
    "rttm": Format(to_rttm, ".rttm"),
    "audacity": Format(to_audacity, ".txt"),
}


def export(session: Session, format: FormatName) -> str:
    """``session`` as a document in ``format``, with a line feed at the ends of lines."""
    return FORMATS[format].write(session)


__all__ = ["FORMATS", "Format", "FormatName", "export"]
