"""Captions instead of recognition: WebVTT and SubRip files, with who speaks where they say so.

WebVTT: W3C candidate recommendation, cues and ``<v Name>`` voice spans. SubRip has no standard; the common form is
read. Styling is dropped.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.errors import CaptionsError
from emotrack.tracker.listener import SpeechTurn

MAX_FILE_BYTES = 20_000_000  # a day of captions is a few megabytes
_MIN_OVERLAP = 0.3  # of the shorter of cue and turn: what counts as said in that turn

_MIN_PART = round(0.2 * SAMPLE_RATE)  # the shortest part of a divided turn, in samples

_TIMING = re.compile(r"^\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{3})\s*-->\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{3})(?:\s.*)?$")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]*)>")
_TAG = re.compile(r"<[^>]*>|\{\\[^}]*\}")


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption."""

    start_s: float
    end_s: float
    text: str
    speaker: str | None


@dataclass(frozen=True, slots=True)
class CaptionedTurn:
    """A turn, or the part of one that one speaker's captions cover."""

    turn: SpeechTurn
    text: str | None
    speaker: str | None


def read_captions(path: Path) -> list[Cue]:
    """The cues of a ``.vtt`` or ``.srt`` file in order of time.

    Raises ``CaptionsError`` naming the file and the line where it is malformed.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CaptionsError(f"{path}: larger than {MAX_FILE_BYTES // 1_000_000} MB, this is no captions file")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CaptionsError(f"{path}: not UTF-8 text") from error
    except OSError as error:
        raise CaptionsError(f"{path}: {error.strerror}") from error
    if path.suffix.lower() == ".vtt" and not (lines and lines[0].startswith("WEBVTT")):
        raise CaptionsError(f"{path}: line 1: a .vtt file starts with WEBVTT")

    cues: list[Cue] = []
    for first, block in _blocks(lines):
        at = next((i for i, line in enumerate(block) if "-->" in line), None)
        if at is None:
            _check_is_no_cue(path, first, block)
            continue
        number = first + at
        timing = _TIMING.match(block[at])
        if at > 1 or timing is None:
            raise CaptionsError(f"{path}: line {number}: not a timing line: {block[at].strip()[:60]!r}")
        start_s, end_s = _seconds(timing[1]), _seconds(timing[2])
        if end_s <= start_s:
            raise CaptionsError(f"{path}: line {number}: the cue ends before it starts")
        cues += _voices(start_s, end_s, " ".join(block[at + 1 :]))
    if not cues:
        raise CaptionsError(f"{path}: no captions in it")
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def _blocks(lines: list[str]) -> list[tuple[int, list[str]]]:
    """Runs of lines between blank ones, with the number of each run's first line."""
    blocks: list[tuple[int, list[str]]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            blocks.append((number + 1, []))
            continue
        if not blocks:
            blocks.append((number, []))
        blocks[-1][1].append(line)
    return [(first, block) for first, block in blocks if block]


def _check_is_no_cue(path: Path, first: int, block: list[str]) -> None:
    is_vtt = path.suffix.lower() == ".vtt"
    if is_vtt and block[0].split()[0].split(":")[0] in {"WEBVTT", "NOTE", "STYLE", "REGION"}:
        return
    raise CaptionsError(f"{path}: line {first}: neither a cue nor a comment: {block[0].strip()[:60]!r}")


def _seconds(stamp: str) -> float:
    *hours, minutes, seconds = stamp.replace(",", ".").split(":")
    return 3600.0 * int(hours[0] if hours else 0) + 60.0 * int(minutes) + float(seconds)


def _voices(start_s: float, end_s: float, text: str) -> list[Cue]:
    """One cue per speaker in a caption; several share its time in proportion to their words."""
    parts = _VOICE.split(text)  # text before any voice, then name, text, name, text, ...
    spoken = [(None, parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    clean = [(name, " ".join(html.unescape(_TAG.sub("", words)).split())) for name, words in spoken]
    clean = [(name, words) for name, words in clean if words]
    total = sum(len(words) for _, words in clean)
    cues, at = [], start_s
    for name, words in clean:
        end = at + (end_s - start_s) * len(words) / total
        speaker = html.unescape(name).strip() if name else ""
        cues.append(Cue(at, end, words, speaker or None))
        at = end
    return cues


class Captions:
    """Gives finished turns their words and speakers; a turn in which speakers change is divided between them."""

    def __init__(self, cues: list[Cue]) -> None:
        self._cues = cues
        self._starts = [cue.start_s for cue in cues]
        self._longest = max((cue.end_s - cue.start_s for cue in cues), default=0.0)
        self._used: set[int] = set()  # cues whose words a turn has taken; bounded by the file

    def caption(self, turn: SpeechTurn) -> list[CaptionedTurn]:
        """``turn`` with its words, in one part per stretch of one speaker. No later turn gets these words again."""
        parts, used = self._divide(turn)
        self._used |= used
        return parts

    def preview(self, turn: SpeechTurn) -> list[CaptionedTurn]:
        """What ``caption`` would make of ``turn`` if it ended now."""
        return self._divide(turn)[0]

    def _divide(self, turn: SpeechTurn) -> tuple[list[CaptionedTurn], set[int]]:
        """The parts, and the cues whose words are in them."""
        first = bisect_left(self._starts, turn.start_s - self._longest)
        last = bisect_left(self._starts, turn.end_s)
        said = [i for i in range(first, last) if self._belongs(self._cues[i], turn)]
        groups: list[list[int]] = []
        for i in said:
            if groups and self._cues[groups[-1][-1]].speaker == self._cues[i].speaker:
                groups[-1].append(i)
            else:
                groups.append([i])
        if not groups:
            return [CaptionedTurn(turn, None, None)], set()
        if len(groups) * _MIN_PART > turn.end - turn.start:  # too short to divide: the longest cue has it
            longest = max(said, key=lambda i: self._cues[i].end_s - self._cues[i].start_s)
            return [CaptionedTurn(turn, self._fresh(said), self._cues[longest].speaker)], set(said)
        parts = turn.divide(self._borders(turn, groups))
        return [
            CaptionedTurn(part, self._fresh(group), self._cues[group[0]].speaker)
            for part, group in zip(parts, groups, strict=True)
        ], set(said)

    def _borders(self, turn: SpeechTurn, groups: list[list[int]]) -> list[int]:
        """Between every two groups the middle of the pause; cues may overlap, the parts may not."""
        borders: list[int] = []
        for before, after in pairwise(groups):
            pause_s = (self._cues[before[-1]].end_s + self._cues[after[0]].start_s) / 2
            earliest = (borders[-1] if borders else turn.start) + _MIN_PART
            latest = turn.end - _MIN_PART * (len(groups) - 1 - len(borders))
            borders.append(min(max(round(pause_s * SAMPLE_RATE), earliest), latest))
        return borders

    def _belongs(self, cue: Cue, turn: SpeechTurn) -> bool:
        overlap = min(cue.end_s, turn.end_s) - max(cue.start_s, turn.start_s)
        return overlap >= _MIN_OVERLAP * min(cue.end_s - cue.start_s, turn.end_s - turn.start_s)

    def _fresh(self, group: list[int]) -> str | None:
        """The words of ``group`` that no earlier turn has taken."""
        return " ".join(self._cues[i].text for i in group if i not in self._used) or None
