"""Outside words made harmless: the one place through which they leave for a terminal, and for a document.

File names, sites, device names, labels, fingerprints, captions, transcripts and payloads come from elsewhere. On a
terminal they must not move the cursor, hide, change the direction of other words or climb into the lines above.

- ``plain_text`` is for standard output and standard error: words of every script pass unchanged.
- ``plain`` is for the dashboard, which computes every cell: one line whose width all terminals agree on.
- ``plain_document`` is for files: data, without the characters that no XML, HTML or CSV can hold.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MAX_CHARS = 600  # more than any turn of 25 s; a screen shows a few lines of it
MAX_MARKS = 4  # combining marks in a row; no script needs more, and more of them would climb into the lines above
MAX_MARKS_IN_A_CELL = 2

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC and the like: links
    r"|\x1b[ -/]*[0-~]"  # two-character escapes: reset, character sets
)
_CONTROLS = {"Cc", "Cf"}  # and what directs or joins other characters
_LINE_END = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_COMBINING = "\u0300"  # the first combining mark; what is printable and before it is harmless
_INVISIBLE = re.compile(  # letters and marks that show nothing, and what is set aside for more of their kind
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_SEEN = re.compile("[\n\t\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")  # signs before numbers
_NON_CHARACTER = re.compile(
    "[\ufdd0-\ufdef" + "".join(chr(plane * 0x10000 + low) for plane in range(17) for low in (0xFFFE, 0xFFFF)) + "]"
)

# A joiner has a meaning between letters of scripts that join (Arabic, those of India), and one between pictures.
_JOINERS = "\u200c\u200d"
_JOINING_LETTER = re.compile("[\u0600-\u1cff\ua800-\uabff\U00010a00-\U00011fff]")
_JOINED_PICTURE = re.compile("[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]")

# Where terminals differ in the width of a character, a cell has another in its place.
_REGIONAL_A = 0x1F1E6  # a flag is two of these; the width of letters is certain
_OTHER_WIDTH = re.compile("[\u200c\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")
_OF_NO_WIDTH = {"Cf", "Me"}
_OF_ANY_WIDTH = {"Co", "Cn"}

_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_DOCUMENT = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DOCUMENT_LINE_END = re.compile("\r\n|[\r\x85]")


def plain_text(text: str) -> str:
    """``text`` for a terminal, in its lines: nothing in it is obeyed, hides or turns what is around it.

    Without escape sequences, control characters (but tabs and line feeds), direction controls and characters of no
    width; of combining marks, at most ``MAX_MARKS`` in a row. What cannot be written becomes U+FFFD.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    text = _LINE_END.sub("\n", _ESCAPE_SEQUENCE.sub("", text))
    kept: list[str] = []
    marks = MAX_MARKS  # a mark needs a letter to sit on
    for place, char in enumerate(text):
        category = unicodedata.category(char)
        if char in _JOINERS:
            if not _joins(kept[-1] if kept else "", char, text[place + 1 : place + 2]):
                continue
        elif category in {"Mn", "Me"}:
            if marks == MAX_MARKS or _INVISIBLE.match(char) or _selects_again(kept[-1], char):
                continue
            marks += 1
        elif _INVISIBLE.match(char) or (category in _CONTROLS and not _SEEN.match(char)):
            continue
        elif category != "Mc":  # which is a mark that has a place of its own
            marks = MAX_MARKS if char.isspace() else 0
        kept.append(_REPLACEMENT if category in {"Cs", "Co"} or _NON_CHARACTER.match(char) else char)
    return "".join(kept)


def plain_line(text: str, max_chars: int = 4 * MAX_CHARS) -> str:
    """As ``plain_text``, in one line of at most ``max_chars`` characters, an ellipsis last when there were more."""
    line = " ".join(plain_text(text[: 4 * max_chars]).split())
    return line[: max_chars - 1] + "…" if len(line) > max_chars or len(text) > 4 * max_chars else line


@lru_cache(maxsize=1024)  # the names of emotions and speakers come with every turn
def plain(text: str, max_chars: int = MAX_CHARS) -> str:
    """As ``plain_line``, for cells: without joined pictures, flags and whatever else has a width of its own."""
    cut = text[: 4 * max_chars]  # escape sequences and spaces go, so look a little further than is kept
    if not (cut.isprintable() and max(cut, default="") < _COMBINING):  # the shortcut makes long replays seek quickly
        cut = unicodedata.normalize("NFC", _in_cells(plain_text(cut)))
    words = " ".join(cut.split())
    if len(words) > max_chars:
        return words[: max_chars - 1].rstrip() + "…"
    return words + "…" if 4 * max_chars < len(text) else words


def plain_document(text: str) -> str:
    """``text`` for a file, its lines ending in a line feed: no control characters, and U+FFFD for no characters."""
    return _NO_DOCUMENT.sub(_REPLACEMENT, _CONTROL.sub("", _DOCUMENT_LINE_END.sub("\n", text)))


def unicode(text: str) -> str:
    """``text`` as every UTF-8 can hold it: what was no UTF-8 in a file's name or an argument becomes U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub(_REPLACEMENT, text)


def _joins(before: str, joiner: str, after: str) -> bool:
    if _JOINING_LETTER.match(before) and _JOINING_LETTER.match(after):
        return True
    return joiner == "\u200d" and bool(_JOINED_PICTURE.match(before) and _JOINED_PICTURE.match(after))


def _selects_again(before: str, char: str) -> bool:
    """Whether two selectors of a variant follow each other, which mean nothing and hide what they spell."""
    return "\ufe00" <= char <= "\ufe0f" and "\ufe00" <= before <= "\ufe0f"


def _in_cells(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in _FLAG.sub(lambda flag: chr(ord(flag[0]) - _REGIONAL_A + ord("A")), _OTHER_WIDTH.sub("", text)):
        category = unicodedata.category(char)
        if category in _OF_NO_WIDTH or (category == "Mn" and marks == MAX_MARKS_IN_A_CELL):
            continue
        marks = marks + 1 if category == "Mn" else 0
        kept.append(_REPLACEMENT if category in _OF_ANY_WIDTH else char)
    return "".join(kept)
