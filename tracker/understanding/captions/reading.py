"""A captions file as cues."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from emotrack.tracker.errors import CaptionsError
from emotrack.tracker.text_files import decode
from emotrack.tracker.understanding.captions.markup import unmarked, voices
from emotrack.tracker.understanding.captions.names import Names
from emotrack.tracker.understanding.captions.parsing import Remarks, WrittenCue, parse
from emotrack.tracker.understanding.captions.rolling import unrolled

_log = logging.getLogger(__name__)

MAX_FILE_BYTES = 20_000_000  # a day of captions is a few megabytes
_EXAMPLE = "00:00:01.000 --> 00:00:03.500"


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption of one speaker."""

    start_s: float
    end_s: float
    text: str
    speaker: str | None


def read_captions(path: Path) -> list[Cue]:
    """The cues of a WebVTT or SubRip file, whatever it is called, in order of time.

    One line is logged about what was left out or had to be guessed, if anything was. Raises ``CaptionsError``
    naming the file if no caption in it can be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CaptionsError(f"{path}: {error.strerror}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise CaptionsError(f"{path}: larger than {MAX_FILE_BYTES // 1_000_000} MB, this is no captions file")
    decoded, remarks = decode(raw), Remarks()
    written = parse(decoded.text, remarks)
    cues = _spoken(unrolled(sorted(written, key=lambda cue: (cue.start_s, cue.end_s))))
    said = remarks.clauses()
    if not cues:
        raise CaptionsError(f"{path}: no captions in it: {'; '.join(said) or 'no words under a line like ' + _EXAMPLE}")
    if decoded.remark:
        said.insert(0, decoded.remark)
    if said:
        _log.warning("%s: %s", path, "; ".join(said))
    return cues


def _spoken(written: list[WrittenCue]) -> list[Cue]:
    """One cue per speaker in a caption; several share its time in proportion to their words."""
    parts = [
        [
            (voice, [words for line in text.split("\n") if (words := unmarked(line))])
            for voice, text in voices("\n".join(cue.lines))
        ]
        for cue in written
    ]
    names = Names([lines for cue in parts for voice, lines in cue if voice is None and lines])
    cues: list[Cue] = []
    for cue, own in zip(written, parts, strict=True):
        spoken = [
            said
            for voice, lines in own
            for said in (names.spoken(lines) if voice is None else [(voice, " ".join(lines))])
            if said[1]
        ]
        total = sum(len(words) for _, words in spoken)
        at = cue.start_s
        for speaker, words in spoken:
            end = at + (cue.end_s - cue.start_s) * len(words) / total
            cues.append(Cue(at, end, words, speaker))
            at = end
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))
