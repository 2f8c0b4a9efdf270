"""The text of a captions file as cues, whichever of the two formats it is in and however well it keeps to it.

A line with two times begins a cue, and all lines until the next such line belong to it, save for comments and for the
number or name of the next cue. So neither blank lines nor the file's ending are needed to tell cues apart.

WebVTT: W3C candidate recommendation. SubRip has no standard; the common form is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

MIN_CUE_S = 0.1  # for a cue that ends where it begins, or before

_TIME = r"(-?)\s?(?:(\d{1,6})\s?:\s?)?(\d{1,3})\s?:\s?(\d{1,2})(?:\s?[.,]\s?(\d{0,9})|:(\d{3}))?"
_ARROW = r"\s*+(?:[-–—]{1,3}\s?-?(?:>|&gt;)|→)\s*+"  # noqa: RUF001 - as word processors and translators write it
_TIMING = re.compile(rf"(\[?)\s?{_TIME}{_ARROW}{_TIME}(?=[\s\]]|$)")  # in brackets: as Whisper prints
_MEANT_AS_TIMING = re.compile(r"\S{0,20}\d:\S{0,20}\s{0,3}--\s?(?:>|&gt;)|--\s?(?:>|&gt;)\s{0,3}\d")
_SETTING = re.compile(r"[A-Za-z]\w{0,20}[:=]\S+")  # position:0%, X1:40
_NUMBER = re.compile(r"#?\d{1,9}[.):]?")  # of a cue
_COMMENT = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_HEADER = re.compile(r"WEBVTT(?:\s|$)")
_MOST = 0.5  # of a file's cues: so many show how the file is written


@dataclass(frozen=True, slots=True)
class WrittenCue:
    """A cue as its lines are written."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]
    """With their tags; at least one, none is blank."""


class Remarks:
    """What has to be said about a file: how often each thing happened, and in which line first."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, said: str, noun: str, line: int) -> None:
        """Count a line or caption (``noun``) of which ``said`` is true; ``{}`` in it stands for how many."""
        count, first = self._seen.get((said, noun), (0, line))
        self._seen[said, noun] = (count + 1, first)

    def clauses(self) -> list[str]:
        """One for each thing: ``left out 2 lines before the first caption (first: line 3)``."""
        return [
            f"{said.format(f'{noun}s' if count > 1 else noun, count=f'{count:,}')} "
            f"({'first: ' if count > 1 else ''}line {line:,})"
            for (said, noun), (count, line) in self._seen.items()
        ]


@dataclass(frozen=True, slots=True)
class _Timing:
    span: tuple[float, float] | None
    """Seconds; None where they cannot be read."""
    words: str  # on the same line


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    after_blank: bool


@dataclass(frozen=True, slots=True)
class _Block:
    """A timing line and the lines that follow it; the first block of a file has no timing line and is its header."""

    number: int  # of the timing line
    span: tuple[float, float] | None
    lines: list[_Line]


def parse(text: str, remarks: Remarks) -> list[WrittenCue]:
    """The cues in the order of the file; ``remarks`` takes what is left out or read otherwise than it is written."""
    header, *blocks = _blocks(text)
    is_vtt = any(_HEADER.match(line.text) for line in header.lines)
    _drop_identifiers([header, *blocks], is_vtt=is_vtt)
    if blocks:
        for line in _without_comments(header.lines, is_vtt=is_vtt):
            remarks.add("left out {count} {} before the first caption", "line", line.number)
    return [cue for block in blocks if (cue := _cue(block, _without_comments(block.lines, is_vtt=is_vtt), remarks))]


def _cue(block: _Block, lines: list[_Line], remarks: Remarks) -> WrittenCue | None:
    if block.span is None:
        remarks.add("left out {count} {} whose times cannot be read", "caption", block.number)
        return None
    for line in lines[1:]:
        if line.after_blank:
            remarks.add("took {count} {} after a blank one as words of the caption before", "line", line.number)
    if not lines:
        return None
    start_s, end_s = block.span
    if start_s < 0 and end_s <= 0:
        remarks.add("left out {count} {} from before the beginning", "caption", block.number)
        return None
    start_s = max(start_s, 0.0)
    if end_s <= start_s:
        remarks.add(f"took {{count}} {{}} without a length as {MIN_CUE_S} s long", "caption", block.number)
        end_s = start_s + MIN_CUE_S
    return WrittenCue(start_s, end_s, tuple(line.text for line in lines))


def _blocks(text: str) -> list[_Block]:
    blocks = [_Block(0, None, [])]
    after_blank = True
    # Some programs end a line twice over, which makes no blank line; a crash leaves NULs.
    for number, written in enumerate(text.replace("\r\r\n", "\n").replace("\0", "").splitlines(), start=1):
        line = written.strip().strip("\ufeff")
        if not line:
            after_blank = True
            continue
        timing = _timing(line, may_be_words=len(blocks) > 1)
        if timing is not None:
            blocks.append(_Block(number, timing.span, []))
            line, after_blank = timing.words, False
        if line:
            blocks[-1].lines.append(_Line(number, line, after_blank))
        after_blank = False
    return blocks


def _timing(line: str, *, may_be_words: bool) -> _Timing | None:
    """The times of a line and the words behind them; None for a line of words."""
    found = _TIMING.match(line)
    if found is None:
        return _Timing(None, "") if _MEANT_AS_TIMING.match(line) else None
    bracket, *fields = found.groups()
    rest = line[found.end() :].strip(" \t]")
    words = "" if all(_SETTING.fullmatch(token) for token in rest.split()) else rest
    if words and may_be_words and not bracket and fields[4] is fields[5] is None:
        return None  # somebody says when: 10:30 --> 11:00 is lunch
    return _Timing((_seconds(*fields[:6]), _seconds(*fields[6:])), words)


def _seconds(sign: str, hours: str | None, minutes: str, seconds: str, part: str | None, millis: str | None) -> float:
    whole = 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    return (whole + float(f"0.{part or millis or 0}")) * (-1 if sign else 1)


def _drop_identifiers(blocks: list[_Block], *, is_vtt: bool) -> None:
    """Take the number or name of each cue from the end of the block before it.

    A number may be words, and words may stand where a name does: the form of most cues of the file decides.
    """
    last = [
        (block, block.lines[-1], after.number - block.lines[-1].number == 1)
        for block, after in pairwise(blocks)
        if block.lines
    ]
    forms = [_form(line, next_to_times=next_to_times) for _, line, next_to_times in last]
    usual = {form for form in set(forms) if forms.count(form) >= _MOST * (len(blocks) - 1)}
    for (block, line, _), form in zip(last, forms, strict=True):
        is_header = block.number == 0
        match form:
            case "number":
                drop = form in usual or line.after_blank or is_header
            case "number apart":
                drop = form in usual or is_header
            case "name":
                drop = is_vtt and (form in usual or " " not in line.text)
            case _:
                drop = False
        if drop:
            block.lines.pop()


def _form(line: _Line, *, next_to_times: bool) -> str | None:
    """What a line before a timing line may be, other than words."""
    if _NUMBER.fullmatch(line.text):
        if next_to_times:
            return "number"
        return "number apart" if line.after_blank else None
    return "name" if next_to_times and line.after_blank else None


def _without_comments(lines: list[_Line], *, is_vtt: bool) -> list[_Line]:
    """The lines outside of WebVTT's comments, styles and headers, each of which ends at a blank line."""
    if not is_vtt:
        return lines
    kept: list[_Line] = []
    in_comment = False
    for line in lines:
        begins = line.after_blank and (_COMMENT.match(line.text) or _HEADER.match(line.text))
        in_comment = bool(begins) or line.text == "WEBVTT" or (in_comment and not line.after_blank)
        if not in_comment:
            kept.append(line)
    return kept
