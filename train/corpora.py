"""Readers for corpora of words, in their official layouts.

MELD        {train,dev,test}_sent_emo.csv
EmoryNLP    emorynlp_{train,dev,test}_final.csv
GoEmotions  {train,dev,test}.tsv and labels.txt
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emotrack.models.labels import EMOTIONS
from emotrack.train.errors import TrainError

EMORYNLP_LABELS = ("neutral", "joyful", "peaceful", "powerful", "scared", "mad", "sad")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled utterance; ``labels`` has more than one name where annotators saw several emotions."""

    text: str
    labels: tuple[str, ...]
    speaker: str | None
    dialogue: str


@dataclass(frozen=True, slots=True)
class TextCorpus:
    """The utterances of one split in their order, and the label names of the corpus."""

    name: str
    labels: tuple[str, ...]
    utterances: tuple[Utterance, ...]


def read_text_corpus(name: str, folder: Path, split: str) -> TextCorpus:
    """Read one split of a corpus.

    Raises:
        TrainError: unknown corpus, missing file or column, unknown label.
    """
    if name not in _READERS:
        raise TrainError(f"no text corpus {name!r}: there are {', '.join(_READERS)}")
    corpus = _READERS[name](folder, split)
    if not corpus.utterances:
        raise TrainError(f"{name}: no utterances in {folder}, split {split}")
    for utterance in corpus.utterances:
        if unknown := set(utterance.labels) - set(corpus.labels):
            raise TrainError(f"{name}: unknown label {unknown.pop()!r} in split {split}")
    return corpus


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV file that has at least these columns.

    Raises:
        TrainError: the file or a column is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.DictReader(file)
            if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
                raise TrainError(f"{path}: no column {missing[0]!r}")
            return [row for row in reader if all(row[column] is not None for column in columns)]
    except OSError as error:
        raise TrainError(f"{path}: {error.strerror}") from error


def _read_meld(folder: Path, split: str) -> TextCorpus:
    rows = read_table(folder / f"{split}_sent_emo.csv", ("Utterance", "Speaker", "Emotion", "Dialogue_ID"))
    utterances = tuple(
        Utterance(row["Utterance"].strip(), (row["Emotion"].strip().lower(),), row["Speaker"], row["Dialogue_ID"])
        for row in rows
        if row["Utterance"].strip()
    )
    return TextCorpus("meld", EMOTIONS, utterances)


def _read_emorynlp(folder: Path, split: str) -> TextCorpus:
    columns = ("Utterance", "Speaker", "Emotion", "Season", "Episode", "Scene_ID")
    utterances = tuple(
        Utterance(
            row["Utterance"].strip(),
            (row["Emotion"].strip().lower(),),
            row["Speaker"].strip("[]'\""),
            f"{row['Season']}-{row['Episode']}-{row['Scene_ID']}",
        )
        for row in read_table(folder / f"emorynlp_{split}_final.csv", columns)
        if row["Utterance"].strip()
    )
    return TextCorpus("emorynlp", EMORYNLP_LABELS, utterances)


def _read_goemotions(folder: Path, split: str) -> TextCorpus:
    path = folder / f"{split}.tsv"
    try:
        labels = tuple((folder / "labels.txt").read_text(encoding="utf-8").split())
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise TrainError(f"{error.filename}: {error.strerror}") from error
    utterances = []
    for number, line in enumerate(lines, start=1):
        try:
            text, ids, _ = line.split("\t")
            names = tuple(labels[int(index)] for index in ids.split(","))
        except (ValueError, IndexError) as error:
            raise TrainError(f"{path}, line {number}: not text, label ids and id, separated by tabs") from error
        utterances.append(Utterance(text.strip(), names, None, str(number)))
    return TextCorpus("goemotions", labels, tuple(utterances))


_READERS: dict[str, Callable[[Path, str], TextCorpus]] = {
    "meld": _read_meld,
    "emorynlp": _read_emorynlp,
    "goemotions": _read_goemotions,
}
