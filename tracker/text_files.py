"""Text from files that others wrote: the encoding is told by their bytes, and no letter is replaced without a word.

A byte-order mark decides. Without one, NUL bytes tell UTF-16 and UTF-32. Else it is UTF-8, in which any byte that does
not fit is taken as Windows-1252, the encoding of most files that are not UTF-8. A library that guesses an encoding from
the frequency of letters, as charset-normalizer, is wrong on short files now and then, and says so nowhere.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

_MARKS = (  # the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
MAX_MARK_BYTES = max(len(mark) for mark, _ in _MARKS)
_LOOKED_AT = 4096  # bytes in which NULs are counted
_MOSTLY, _OFTEN, _HARDLY = 0.9, 0.2, 0.05  # shares of NULs
_LOST = "\N{REPLACEMENT CHARACTER}"
_STRAY = re.compile("[\udc80-\udcff]")  # a byte that is not UTF-8, as ``surrogateescape`` stands for it
_WINDOWS_1252 = {0xDC00 + byte: bytes([byte]).decode("cp1252", "replace") for byte in range(0x80, 0x100)}


@dataclass(frozen=True, slots=True)
class DecodedText:
    """The text of a file, and a clause for a notice about what was assumed or lost."""

    text: str
    remark: str | None
    """None where the encoding is certain and every letter is there."""


def marked_encoding(head: bytes) -> tuple[str, int] | None:
    """The encoding that a byte-order mark in the first ``MAX_MARK_BYTES`` bytes names, and the length of the mark."""
    return next(((encoding, len(mark)) for mark, encoding in _MARKS if head.startswith(mark)), None)


def decode(raw: bytes) -> DecodedText:
    """The text of a file's bytes; never fails."""
    encoding, mark = marked_encoding(raw[:MAX_MARK_BYTES]) or (_unmarked_encoding(raw[:_LOOKED_AT]), 0)
    if encoding != "utf-8":
        text = raw[mark:].decode(encoding, "replace")
        lost = text.count(_LOST)
        return DecodedText(text, f"{lost:,} of the letters cannot be read" if lost else None)
    text = raw[mark:].decode("utf-8", "surrogateescape")
    odd = [number for number, line in enumerate(text.splitlines(), start=1) if _STRAY.search(line)]
    if not odd:
        return DecodedText(text, None)
    read = text.translate(_WINDOWS_1252)
    where = f"line {odd[0]:,} is" if len(odd) == 1 else f"{len(odd):,} lines from line {odd[0]:,} on are"
    remark = f"{where} not UTF-8 but read as Windows-1252"
    lost = read.count(_LOST) - text.count(_LOST)
    return DecodedText(read, f"{remark}, which has no letter for {lost:,} of the bytes" if lost else remark)


def _unmarked_encoding(head: bytes) -> str:
    """What the places of NUL bytes tell: text has hardly any but in the upper halves of wide letters."""
    if not head:
        return "utf-8"
    nul = [head[place::4].count(0) / max(len(head[place::4]), 1) for place in range(4)]
    if min(nul[2:]) > _MOSTLY and nul[0] < _HARDLY:
        return "utf-32-le"
    if min(nul[:2]) > _MOSTLY and nul[3] < _HARDLY:
        return "utf-32-be"
    if min(nul[1::2]) > _OFTEN and max(nul[::2]) < _HARDLY:
        return "utf-16-le"
    if min(nul[::2]) > _OFTEN and max(nul[1::2]) < _HARDLY:
        return "utf-16-be"
    return "utf-8"
