"""Speakers whose names stand before their words: ``Ana: ...``, ``[SPEAKER_00]: ...``, ``>> ANA: ...``, ``(Ana) ...``.

"Note: ..." and "[laughs] ..." look the same, so that the whole file decides: a name is one if nearly all captions begin
with one, or if it comes again where many do. ``SPEAKER_00`` and the like are names wherever they stand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

_MAX_CHARS = 80  # of a name as people write it into a meeting, title and company included
_MAX_WORDS = 5  # of a name that is written as names are
_NEARLY_ALL = 0.9  # of the captions begin with a name: what stands there is one
_MANY = 0.2  # of them begin with a name that comes again: it is one
_MANY_OF_ONE = 0.5  # with the same name
_MANY_IN_BRACKETS = 0.5  # where sounds stand too
_SELDOM = 0.1  # of the names are the same as the one before: they stand where the speaker changes

_MARK = r"(?P<mark>>{2,}|[-–—•](?=\s))?\s*+"  # noqa: RUF001 - of a new speaker
_IN_BRACKETS = rf"[\[(]\s?(?P<bracketed>[^\[\]()]{{1,{_MAX_CHARS}}}?)\s?:?[\])](?P<colon>\s?[:：])?"  # noqa: RUF001
_BEFORE_COLON = rf"(?P<plain>[^:：]{{1,{_MAX_CHARS}}}?)\s?(?:：|:(?!\d|//))"  # noqa: RUF001 - not 10:30, not http://
_BEGINNING = re.compile(rf"{_MARK}(?P<rest>(?:{_IN_BRACKETS}|{_BEFORE_COLON})?+)\s*+")
_NEXT_SPEAKER = re.compile(r"(?<=[^\s>])\s*+(?=>>)")
_LABEL = re.compile(
    r"(?:speaker|spk|participant|caller|channel)[ _-]?(?:\d{1,3}|[A-Z?])|unknown speaker", re.IGNORECASE
)
_PARTICLE = re.compile("al|and|bin|da|de|del|den|der|di|el|la|le|of|the|und|van|von|y|zu")
_ORDINARY = re.compile(  # words with a colon that begin a sentence, or a headline; none is a name
    "again|also|and|answer|anyway|attention|because|but|careful|caution|chapter|conclusion|definition|episode|example"
    "|exactly|fact|finally|first|hello|hence|here|hey|hint|however|https?|idea|important|in|is|it|item|last|lesson"
    "|listen|look|maybe|namely|next|no|note|number|oh|ok|okay|one|or|part|perhaps|please|point|ps|question|quote"
    "|really|reason|remember|rule|scene|second|section|so|source|step|still|summary|that|then|there|therefore|third"
    "|this|thus|tip|to|today|tomorrow|translation|update|wait|warning|well|what|who|why|yeah|yes|yesterday",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _NamedLine:
    """A line with what may be a name before its words."""

    mark: str  # of a new speaker
    name: str | None
    is_bracketed: bool
    is_certain: bool  # hardly anything but a name is written so
    words: str
    """After mark and name."""
    unnamed: str
    """After the mark alone."""


class Names:
    """The speakers of one file, and what they say."""

    def __init__(self, cues: Sequence[Sequence[str]]) -> None:
        """Learn the names from the lines of all cues that do not tell their speaker otherwise."""
        read = [list(_lines(cue)) for cue in cues]
        self._names = _labels(read) | _usual(read, _MANY) | _usual(read, _MANY_IN_BRACKETS, bracketed=True)
        named = [line.name for cue in read for line in cue if line.name in self._names]
        same = sum(before == after for before, after in pairwise(named))
        self._stand_at_changes = len(set(named)) > 1 and same <= _SELDOM * len(named)
        self._speaker: str | None = None

    def spoken(self, cue: Sequence[str]) -> list[tuple[str | None, str]]:
        """(speaker, words) of a cue's lines; the cues have to come in order, as a name may hold until the next."""
        if not self._stand_at_changes:
            self._speaker = None
        said: list[tuple[str | None, str]] = []
        for line in _lines(cue):
            words = line.unnamed
            if line.name in self._names:
                self._speaker, words = line.name, line.words
            elif line.mark:
                self._speaker = None
            if words:
                said.append((self._speaker, words))
        return [(who, " ".join(words for _, words in lines)) for who, lines in groupby(said, key=itemgetter(0))]


def _lines(cue: Sequence[str]) -> Iterator[_NamedLine]:
    return (_line(line) for text in cue for line in _NEXT_SPEAKER.split(text))


def _line(line: str) -> _NamedLine:
    found = _beginning(line, 0)
    mark, unnamed, sound = found["mark"] or "", line[found.start("rest") :], ""
    if found["bracketed"] and not found["colon"] and not _may_be_bare(found["bracketed"]):
        sound = found["rest"] + " "
        found = _beginning(line, found.end())
    name, words = found["bracketed"] or found["plain"], line[found.end() :]
    if found["bracketed"] and not (found["colon"] or words):
        name = None  # a sound
    return _NamedLine(
        mark=mark,
        name=" ".join(name.split()) if name else None,
        is_bracketed=found["bracketed"] is not None,
        is_certain=bool(found["colon"] or (found["plain"] and (found["plain"].isupper() or ">>" in mark))),
        words=sound + words,
        unnamed=unnamed,
    )


def _beginning(line: str, at: int) -> re.Match[str]:
    found = _BEGINNING.match(line, at)
    assert found is not None  # noqa: S101 - every part of it may be absent
    return found


def _may_be_bare(name: str) -> bool:
    """Whether it may be a name in brackets with no colon; sounds are written so, mostly without a capital."""
    return _LABEL.fullmatch(name) is not None or _is_name_like(name)


def _labels(cues: list[list[_NamedLine]]) -> set[str]:
    return {line.name for cue in cues for line in cue if line.name and _LABEL.fullmatch(line.name)}


def _usual(cues: list[list[_NamedLine]], many: float, *, bracketed: bool = False) -> set[str]:
    """The names, inside or outside of brackets, that stand where names usually stand in this file."""
    found = [[line for line in cue if line.name and line.is_bracketed == bracketed] for cue in cues]
    first = Counter(cue[0].name for cue, read in zip(found, cues, strict=True) if cue and cue[0] is read[0])
    name_like = {line.name for cue in found for line in cue if line.name and _is_name_like(line.name)}
    if first.total() >= max(_NEARLY_ALL * len(cues), 2):
        return name_like | ({name for name in first if name} if 2 * len(first) <= first.total() else set())
    counts = Counter(line.name for cue in found for line in cue)
    again = {name for name in name_like if counts[name] > 1}
    share = sum(any(line.name in again for line in cue) for cue in found) / max(len(cues), 1)
    if share >= max(many, _MANY_OF_ONE if len(again) == 1 else 0):
        return again
    return again & {line.name for cue in found for line in cue if line.is_certain}


def _is_name_like(name: str) -> bool:
    """Whether it is written as people, roles and rooms are: ``Ana``, ``DR. SMITH``, ``Ana von Thun (she/her)``."""
    words = name.split()
    return (
        len(words) <= _MAX_WORDS
        and not _ORDINARY.fullmatch(words[0])
        and words[0][0].isalpha()
        and not any(word[0].islower() and not _PARTICLE.fullmatch(word) for word in words)
        and not any(char in '?!"…;' for char in name)
        and not any("." in word and len(word) > 4 for word in words)
    )
