"""Outside words made harmless for a terminal.

Transcripts, captions, speaker names and device names come from elsewhere. What reaches the screen has no control
characters, no escape sequences, no invisible or direction-changing characters, and a width that every terminal
agrees on.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MAX_CHARS = 600  # more than any turn of 25 s; a screen shows a few lines of it
MAX_MARKS = 2  # combining marks on one letter; more of them would climb into the lines above

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC and the like: titles, links
    r"|\x1b[ -/]*[0-~]"  # two-character escapes: reset, character sets
)
_COMBINING = "\u0300"  # the first combining mark; what is printable and before it is harmless
_REGIONAL_A = 0x1F1E6  # a flag is two of these; their width differs between terminals, that of letters does not
_REGIONAL_Z = 0x1F1FF
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_UNSHOWABLE = {"Cs", "Co", "Cn"}  # lone surrogates, private use, unassigned
_INVISIBLE = {"Cc", "Cf", "Me"}  # control, format (joiners, direction overrides), enclosing marks
_SPACES = {"Zs", "Zl", "Zp"}


@lru_cache(maxsize=1024)  # the names of emotions and speakers come with every turn
def plain(text: str, max_chars: int = MAX_CHARS) -> str:
    """One line of harmless text: at most ``max_chars`` characters, an ellipsis last when there were more."""
    cut = text[: 4 * max_chars]  # escape sequences and spaces go, so look a little further than is kept
    if not (cut.isprintable() and max(cut, default="") < _COMBINING):  # the shortcut makes long replays seek quickly
        cut = unicodedata.normalize("NFC", _harmless(_ESCAPE_SEQUENCE.sub("", cut)))
    words = " ".join(cut.split())
    if len(words) > max_chars:
        return words[: max_chars - 1].rstrip() + "…"
    return words + "…" if 4 * max_chars < len(text) else words


def _harmless(text: str) -> str:
    kept: list[str] = []
    marks = MAX_MARKS  # a mark needs a letter to sit on
    for char in text:
        code = ord(char)
        category = unicodedata.category(char)
        if category == "Mn":
            # Variation selectors only ask for another width.
            if marks < MAX_MARKS and not (0xFE00 <= code <= 0xFE0F or code >= 0xE0100):
                kept.append(char)
                marks += 1
            continue
        if category in _SPACES or char in "\t\n\r\v\f\x85":
            kept.append(" ")
            marks = MAX_MARKS
            continue
        if category in _INVISIBLE or code in _SKIN_TONES:
            continue
        if category in _UNSHOWABLE:
            kept.append("\N{REPLACEMENT CHARACTER}")
        elif _REGIONAL_A <= code <= _REGIONAL_Z:
            kept.append(chr(ord("A") + code - _REGIONAL_A))
        else:
            kept.append(char)
        marks = 0
    return "".join(kept)
