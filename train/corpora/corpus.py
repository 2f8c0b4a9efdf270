"""What a corpus is here, whatever its files look like."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from emotrack.tracker.messages.output import say
from emotrack.tracker.text_files import decode
from emotrack.train.errors import TrainError

if TYPE_CHECKING:
    from torch import Tensor  # seconds, which whoever reads a corpus alone does not need


@dataclass(frozen=True, slots=True)
class CorpusTurn:
    """One turn of a dialogue. Its voice stays in its file until it is heard (``dialogues.hear``)."""

    name: str  # as the corpus counts or calls it, unique in its dialogue
    text: str | None
    labels: tuple[str, ...]
    """Of the corpus. None where nobody labelled it or the task leaves it out; several where annotators saw several."""
    speaker: str | None = None
    audio: Path | None = None
    span: tuple[float, float] | None = None
    """Seconds from where to where in the file; None is all of it."""
    traits: Mapping[str, str] = field(default_factory=dict)
    """What it is of, as far as the corpus tells, so that scores can be told apart by it: corpus, gender, language."""
    sentiment: float | None = None
    """From -3, strongly negative, to 3, strongly positive, where the corpus tells how strong it is."""
    given: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    """Embeddings that another program computed: "text" and "speech", (F,) each."""

    @property
    def emotion(self) -> str | None:
        """The label, if there is just one."""
        return self.labels[0] if len(self.labels) == 1 else None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns in the order in which they were spoken."""

    name: str
    turns: tuple[CorpusTurn, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """One split of a corpus. Its labels have MELD's nouns, or the corpus's own name where those have no counterpart."""

    name: str
    labels: tuple[str, ...]
    dialogues: tuple[Dialogue, ...]
    given: str = ""  # content address of the embeddings that its turns are given
    words: str = ""  # which recogniser its words are of; nothing where they are the corpus's own

    @property
    def turns(self) -> list[CorpusTurn]:
        """The turns of all dialogues."""
        return [turn for dialogue in self.dialogues for turn in dialogue.turns]


@dataclass(frozen=True, slots=True)
class Counts:
    """How large a split is published to be; None where that is not published."""

    turns: int | None  # labelled ones
    dialogues: int | None


def checked(corpus: Corpus, split: str, published: Counts | None) -> Corpus:
    """The corpus itself, if its labels are its own; a warning on standard error if its size is not the published one.

    Raises:
        TrainError: it is empty, or a label is unknown.
    """
    if not corpus.dialogues:
        raise TrainError(f"{corpus.name}: no utterances in split {split}")
    found = {label for turn in corpus.turns for label in turn.labels}
    if unknown := sorted(found - set(corpus.labels)):
        raise TrainError(f"{corpus.name}: unknown label {unknown[0]!r} in split {split}")
    if published is not None:
        here = (sum(bool(turn.labels) for turn in corpus.turns), len(corpus.dialogues))
        expected = (published.turns, published.dialogues)
        if any(ours != theirs for ours, theirs in zip(here, expected, strict=True) if theirs is not None):
            turns, dialogues = ("any number of" if count is None else f"{count:,}" for count in expected)
            _warn(
                f"emotrack: this copy of {corpus.name}, {split}, has {here[0]:,} labelled turns in {here[1]:,} "
                f"dialogues; published are {turns} in {dialogues}: scores on it do not compare"
            )
    return corpus


@cache  # once a run
def _warn(message: str) -> None:
    say(message, None)


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV file that has at least these columns, however a spreadsheet has saved it.

    A comma, semicolon or tab is between the columns. A warning on standard error says if it is not UTF-8.

    Raises:
        TrainError: the file or a column is missing, or it is no CSV.
    """
    text = _text(path)
    if not text.strip():
        raise TrainError(f"{path}: is empty")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
            raise TrainError(f"{path}: no column {missing[0]!r}")
        return [row for row in reader if all(row[column] is not None for column in columns)]
    except csv.Error as error:
        raise TrainError(f"{path}: not a CSV: {error}") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file; a warning on standard error says if it is not UTF-8.

    Raises:
        TrainError: it cannot be read.
    """
    return _text(path).splitlines()


def _text(path: Path) -> str:
    try:
        decoded = decode(path.read_bytes())
    except OSError as error:
        raise TrainError(f"{path}: {error.strerror}") from error
    if decoded.remark:
        _warn(f"emotrack: {path}: {decoded.remark}")
    return decoded.text


def existing(path: Path) -> Path | None:
    """The path, if there is a file."""
    return path if path.is_file() else None


def visible(paths: Iterable[Path]) -> list[Path]:
    """Paths in order, without the hidden files that some copies are littered with."""
    return sorted(path for path in paths if not path.name.startswith("."))
