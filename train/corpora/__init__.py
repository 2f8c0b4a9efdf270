"""Public corpora in their official layouts, one module each; all give the same ``Corpus``.

``dialogues.read_corpus`` reads any of them, acted speech included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from emotrack.train.corpora.corpus import Corpus, CorpusTurn, Counts, Dialogue, read_table
from emotrack.train.corpora.emorynlp import read_emorynlp
from emotrack.train.corpora.goemotions import read_goemotions
from emotrack.train.corpora.iemocap import read_iemocap, read_iemocap_6
from emotrack.train.corpora.meld import read_meld
from emotrack.train.corpora.mosi import read_mosi, read_mosi_7
from emotrack.train.corpora.own_labels import LabelMap, relabelled
from emotrack.train.errors import TrainError

__all__ = [
    "READERS",
    "Corpus",
    "CorpusTurn",
    "Counts",
    "Dialogue",
    "TextCorpus",
    "Utterance",
    "read_table",
    "read_text_corpus",
]

FOLDS = {
    f"{name}-fold-{fold}": partial(read, fold=fold)
    for name, read in (("iemocap", read_iemocap), ("iemocap-6", read_iemocap_6))
    for fold in range(1, 6)
}
"""IEMOCAP with each session as test once."""

READERS: dict[str, Callable[[Path, str], Corpus]] = {
    "meld": read_meld,
    "iemocap": read_iemocap,
    "iemocap-6": read_iemocap_6,
    "mosi": read_mosi,
    "mosi-7": read_mosi_7,
    "emorynlp": read_emorynlp,
    "goemotions": read_goemotions,
    **FOLDS,
}
SAME_FOLDER = {**dict.fromkeys(("iemocap-6", *FOLDS), "iemocap"), "mosi-7": "mosi"}
"""Corpora that are read from the folder of another one, unless they have one of their own."""


@dataclass(frozen=True, slots=True)
class LabelledUtterance:
    """One utterance; ``labels`` has more than one name where annotators saw several emotions, and none in context."""

    text: str
    labels: tuple[str, ...]
    speaker: str | None
    dialogue: str


@dataclass(frozen=True, slots=True)
class TextCorpus:
    """The words of one split, utterance by utterance, and the label names of the corpus.

    What nobody labelled is there too, where a labelled one of its dialogue may be read with it, and is not learned.
    """

    name: str
    labels: tuple[str, ...]
    utterances: tuple[LabelledUtterance, ...]

    @property
    def labelled(self) -> tuple[LabelledUtterance, ...]:
        """The utterances that are learned, or asked for."""
        return tuple(each for each in self.utterances if each.labels)


def read_text_corpus(name: str, folder: Path, split: str, labels: LabelMap | None = None) -> TextCorpus:
    """The utterances of one split that have words, with labels of one's own where these are named.

    Raises:
        TrainError: unknown corpus, missing file or column, unknown label.
    """
    if name not in READERS:
        raise TrainError(f"no text corpus {name!r}: there are {', '.join(READERS)}")
    corpus = relabelled(READERS[name](folder, split), labels or {})
    utterances = tuple(
        LabelledUtterance(turn.text, turn.labels, turn.speaker, dialogue.name)
        for dialogue in corpus.dialogues
        for turn in dialogue.turns
        if turn.text is not None
    )
    return TextCorpus(name, corpus.labels, utterances)
