"""What a line of captions says, without its tags.

Every pattern here takes time in proportion to the text: none can begin again inside what it has just refused.
"""

from __future__ import annotations

import html
import re

_VOICE = re.compile(r"<v(?:\.[^\s<>]*+)?\s++([^<>]*+)>")
_TAG = re.compile(
    r"</?(?:[A-Za-z][^<>]*+|[\d:.,]*+)>"  # WebVTT, the HTML of SubRip, times of single words
    r"|\{\\[^{}]*+\}"  # Aegisub's
    r"|\\[Nh]"  # its breaks and blanks
)
_WORD_TIME = re.compile(r"<\d{1,6}:[\d:.,]*+>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{1,31}\d{0,2});")


def unmarked(marked: str) -> str:
    """The words of a line or of several, with one blank between them."""
    return _unescaped(_TAG.sub(_gap, marked))


def voices(marked: str) -> list[tuple[str | None, str]]:
    """(speaker, marked text) for each voice span; the text before the first has no speaker."""
    before, *spans = _VOICE.split(marked)  # text before any voice, then name, text, name, text, ...
    named = zip(spans[::2], spans[1::2], strict=True)
    return [(None, before), *((_unescaped(name) or None, text) for name, text in named)]


def times_words(marked: str) -> bool:
    """Whether single words have times of their own in it, as in captions that were recognised."""
    return _WORD_TIME.search(marked) is not None


def _unescaped(text: str) -> str:
    return " ".join(_ENTITY.sub(lambda entity: html.unescape(entity[0]), text).split())


def _gap(tag: re.Match[str]) -> str:
    return " " if tag[0].startswith("\\") else ""
