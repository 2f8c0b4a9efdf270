"""A copy of a saved session that can be shown to others: without words, without names, or without both.

Every line is read as an event and written anew, so that only what an event may hold can get into the copy. A line
that cannot be read might hold anything and is left out. In either case these go too:

- the references to kept audio: a voice is both who speaks and what is said;
- where the audio came from (a file's name, a device called after its owner), also where the source was lost, and
  the folder of a recogniser.

``words`` drops what was said. ``speakers`` replaces names by "speaker 1", "speaker 2" and so on, in the order in which
they first speak, the same throughout the file, so that the copy can still tell people apart; the counts per speaker
at the end are dropped, and ``site`` becomes "default", since a place is often called after somebody. Without
``words``, what was said stays as it is, names that were said included.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any, BinaryIO

from emotrack.models.files import whole_file
from emotrack.tracker.events import (
    Event,
    Provisional,
    SessionEnded,
    SessionStarted,
    SourceLostEvent,
    SpeakerRenamed,
    SpeakersMerged,
    Turn,
    to_json,
)
from emotrack.tracker.sessions.reading.event_parser import Problems, lines, parse_line
from emotrack.tracker.sessions.reading.reader import SessionError
from emotrack.tracker.site import DEFAULT_SITE

MAX_SPEAKERS = 1_000  # further ones become nobody, to bound the memory

_GONE = "redacted"


def redact(path: Path, out: Path, *, words: bool, speakers: bool) -> int:
    """Copy the session file ``path`` to ``out``, a new file that only its owner can read.

    Returns how many lines were left out because they could not be read. The copy appears whole or not at all. Raises
    ``SessionError`` when ``out`` exists (``path`` itself included), when one of them cannot be read or written, or
    when nothing in ``path`` can be read.
    """
    if not (words or speakers):
        raise ValueError("neither words nor speakers are to go")
    if os.path.lexists(out):
        same = out.exists() and path.exists() and out.samefile(path)
        raise SessionError(f"{out}: " + ("is the session itself; give the copy another name" if same else "exists"))
    try:
        source = path.open("rb")
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}") from error
    try:
        with source, whole_file(out, private=True, new=True) as unfinished:
            with unfinished.open("wb") as target:
                kept, left_out = _copy(source, target, _Redaction(words=words, speakers=speakers))
            if not kept:
                raise SessionError(f"{path}: holds no session")
    except FileExistsError as error:
        raise SessionError(f"{out}: exists") from error
    except OSError as error:
        raise SessionError(f"cannot write {out}: {error.strerror}") from error
    return left_out


def _copy(source: BinaryIO, target: BinaryIO, redaction: _Redaction) -> tuple[int, int]:
    """Lines kept and left out."""
    kept = left_out = 0
    problems = Problems()
    for line in lines(source):
        event = parse_line(line, problems)
        if event is not None:
            target.write(to_json(redaction.apply(event)).encode() + b"\n")
            kept += 1
        elif line.strip():
            left_out += 1
    return kept, left_out


class _Redaction:
    def __init__(self, *, words: bool, speakers: bool) -> None:
        self._words = words
        self._speakers = speakers
        self._pseudonyms: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def apply(self, event: Event) -> Event:
        changes: dict[str, Any] = {"site": DEFAULT_SITE} if self._speakers else {}
        match event:
            case Turn():
                changes["audio"] = None
                if self._words:
                    changes["text"] = None
                if self._speakers:
                    changes["speaker"] = self._pseudonym(event.speaker)
            case Provisional() if self._speakers:
                changes["speaker"] = self._pseudonym(event.speaker)
            case SpeakerRenamed() if self._speakers:
                changes["speaker"], changes["name"] = self._renamed(event.speaker, event.name)
            case SpeakersMerged() if self._speakers:
                changes["speaker"], changes["into"] = self._renamed(event.speaker, event.into)
            case SessionStarted():
                changes["source"] = _GONE
                changes["recogniser"] = _without_folder(event.recogniser)
            case SourceLostEvent():
                changes["reason"] = _GONE
            case SessionEnded() if self._speakers:
                changes["speakers"] = {}
            case _:
                pass
        return event.model_copy(update=changes)

    def _pseudonym(self, speaker: str | None) -> str | None:
        if speaker is None or (speaker not in self._pseudonyms and len(self._pseudonyms) == MAX_SPEAKERS):
            return None
        return self._pseudonyms.get(speaker) or self._pseudonyms.setdefault(speaker, f"speaker {next(self._numbers)}")

    def _renamed(self, speaker: str, name: str) -> tuple[str, str]:
        """The pseudonyms of both names; a name that is new gets that of the old one, which nobody has any more."""
        if speaker in self._pseudonyms and name not in self._pseudonyms:
            self._pseudonyms[name] = self._pseudonyms.pop(speaker)
            return self._pseudonyms[name], self._pseudonyms[name]
        return self._pseudonym(speaker) or _GONE, self._pseudonym(name) or _GONE


def _without_folder(recogniser: str | None) -> str | None:
    """``faster-whisper /home/ana/model`` without the path, which says whose it is."""
    if recogniser is None or not ({"/", "\\"} & set(recogniser)):
        return recogniser
    return recogniser.split()[0] if not ({"/", "\\"} & set(recogniser.split()[0])) else _GONE
