"""CSV: one row per turn, for spreadsheets and pandas.

``emotion`` is what counts; ``estimated`` is what the network said, and ``corrected`` what a person said, if one did.
``confidence``, ``uncertain``, ``valence``, ``arousal`` and the probabilities (one ``p_`` column per emotion) are the
network's, also where it was corrected. Times are stream time in seconds, ``left_at`` is wall-clock time.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, also behind spaces, and
someone may say or be called just that. Such words, and those that begin with a tab or a new line, get an apostrophe
in front, which spreadsheets take as "this is text". A program that wants the words unchanged removes one apostrophe
where what follows it, apart from further apostrophes, begins in this way. The columns are separated by commas; a
spreadsheet that expects semicolons must be told so when it opens the file.
"""

from __future__ import annotations

import csv
import io
import re

from emotrack.tracker.events import Turn
from emotrack.tracker.messages.plain import plain_document
from emotrack.tracker.sessions.export.wording import by_start, distinct, one_line
from emotrack.tracker.sessions.reading.reader import Session

# The wide forms are what input methods for Chinese and Japanese write; spreadsheets take them for the same.
_FORMULA = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_UNSEEN = r"\s\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # spaces, and what has no width
_RISKY = re.compile(rf"'*(?:[\t\r\n]|[{_UNSEEN}]*[{_FORMULA}])")

_COLUMNS = (
    *("session", "turn_id", "start_s", "end_s", "left_at", "speaker", "text"),
    *("emotion", "estimated", "corrected", "confidence", "uncertain", "doubt", "valence", "arousal"),
)
_LAST_COLUMNS = ("modalities", "end_of_turn_ms", "after_end_ms")


def to_csv(session: Session) -> str:
    """The turns as comma-separated values, a line of column names first."""
    labels = dict.fromkeys(session.labels)
    for turn in session.turns:
        labels.update(dict.fromkeys(turn.probabilities))
    names = distinct(labels, one_line)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(f"p_{name}" for name in names.values()), *_LAST_COLUMNS])
    for turn in by_start(session):
        writer.writerow(_row(session, turn, list(labels)))
    return out.getvalue()


def guarded(words: str) -> str:
    """``words`` as a cell that no spreadsheet takes for a formula."""
    cell = plain_document(words)
    return f"'{cell}" if _RISKY.match(cell) else cell


def _row(session: Session, turn: Turn, labels: list[str]) -> list[str | float]:
    correction = session.corrections.get(turn.turn_id)
    return [
        guarded(session.name),
        turn.turn_id,
        turn.start_s,
        turn.end_s,
        turn.time.isoformat(timespec="milliseconds"),
        guarded(turn.speaker or ""),
        guarded(turn.text or ""),
        guarded(session.emotion(turn)),
        guarded(turn.emotion),
        guarded(correction.emotion) if correction else "",
        turn.confidence,
        "true" if turn.uncertain else "false",
        turn.doubt or "",
        "" if turn.valence is None else turn.valence,
        "" if turn.arousal is None else turn.arousal,
        *(turn.probabilities.get(label, "") for label in labels),
        "+".join(turn.modalities),
        turn.latency_ms.end_of_turn,
        turn.latency_ms.after_end,
    ]
