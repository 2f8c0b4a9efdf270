"""Numbers, moments and outside words as the report writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from emotrack.tracker.messages.plain import plain_document

_PATH = re.compile(r"(?<![\w.])(?:~|\.{1,2}|[A-Za-z]:|file:/{2,3})?(?:[\\/]+[^\\/\s:'\"]+)+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

# The gates of `recognisers` name their reasons for programs; these are for people.
_REJECTED = {
    "empty": "no words were recognised",
    "no_speech": "the recogniser heard no speech",
    "low_confidence": "the recogniser was not sure of the words",
    "stock_phrase": "the words looked invented by the recogniser",
    "repetition": "the recogniser repeated itself",
    "too_fast": "too many words for the time",
    "recogniser_failed": "the recogniser failed",
    "skipped_to_catch_up": "recognition was skipped, to catch up",
}


def without_folders(text: str) -> str:
    """What a machine wrote, with every path cut down to its file name: a report is for others to see."""
    return plain_document(_PATH.sub(lambda found: re.split(r"[\\/]", found[0].rstrip("\\/"))[-1], text))


def file_name(source: str) -> str:
    """The source without folders; a device keeps its name, a URL loses all but its last part."""
    is_path = bool(_URL.match(source)) or bool(re.match(r"[\\/.~]|[A-Za-z]:[\\/]", source)) or " " not in source
    if not is_path and not re.search(r"\.\w{2,5}$", source):
        return without_folders(source)
    return plain_document(re.split(r"[\\/]", source.split("?", maxsplit=1)[0].rstrip("\\/"))[-1]) or "unnamed"


def duration(seconds: float) -> str:
    """A length of time in words: 48 s, 12 min 3 s, 1 h 5 min."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {whole % 60} s" if whole % 60 else f"{minutes} min"
    return f"{whole} s"


def moment(time: datetime) -> str:
    """A date and time of day, the same in every country and on every machine."""
    utc = time.astimezone(UTC)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year}, {utc:%H:%M} UTC"


def percent(share: float) -> str:
    return f"{share * 100:.0f}\u202f%"


def milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def rejected(reason: str) -> str:
    """Why words were not believed, for people."""
    return _REJECTED.get(reason, without_folders(reason))
