"""How ``--help`` is set: on a terminal of any width its texts break between words, and its tables stay tables."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Final

# A row of two columns, the left one empty where the row above goes on; or a line of a command, which is never broken.
_ROW: Final = re.compile(r"(?P<left> *\S.*?| {6,}) {2,}(?P<right>\S.*)|(?P<command> *(?:emotrack |torchrun |--).*)")
_BELOW: Final = " " * 6  # before what has no room beside the left column, on a line of its own

_wrap = partial(textwrap.wrap, break_long_words=False, break_on_hyphens=False)


class HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs, whose lines begin alike, and keeps the columns of tables."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(f"{indent}{line}" if line else "" for line in _set(text, width - len(indent)))


def _set(text: str, width: int) -> Iterator[str]:
    for kind, lines in groupby(text.strip("\n").splitlines(), _kind):
        if kind is None:
            yield from lines
        elif kind == "row":
            yield from _table(list(lines), width)
        else:
            for paragraph in re.split(r"(?<=:)\n", "\n".join(lines)):  # a heading has a line of its own
                yield from _wrap(" ".join(paragraph.split()), width, initial_indent=kind, subsequent_indent=kind)


def _kind(line: str) -> str | None:
    """``row``, None of an empty line, or the spaces with which the line of a paragraph begins."""
    if not line:
        return None
    return "row" if _ROW.fullmatch(line) else line[: len(line) - len(line.lstrip())]


def _table(lines: Sequence[str], width: int) -> Iterator[str]:
    rows = [row for line in lines if (row := _ROW.fullmatch(line))]
    if max(map(len, lines)) <= width:
        yield from lines
        return
    is_wide = any(row.start("right") > width // 2 for row in rows)
    for row, rest in _with_rest(rows):
        if row["command"]:
            yield row.string
        elif is_wide:
            yield from [row["left"]] if row["left"].strip() else []
            yield from _wrap(rest, width, initial_indent=_BELOW, subsequent_indent=_BELOW)
        else:
            left = row["left"].ljust(row.start("right"))
            yield from _wrap(rest, width, initial_indent=left, subsequent_indent=" " * len(left))


def _with_rest(rows: Sequence[re.Match[str]]) -> Iterator[tuple[re.Match[str], str]]:
    """Each row that begins one, and all that stands in its right column."""
    at = 0
    while at < len(rows):
        end = at + 1
        while end < len(rows) and rows[at]["right"] and rows[end]["right"] and not rows[end]["left"].strip():
            end += 1
        yield rows[at], " ".join(row["right"] or "" for row in rows[at:end])
        at = end
