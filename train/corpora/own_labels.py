"""Labels of one's own: a recipe's ``[labels]`` says which of a corpus's labels each of them stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from emotrack.train.corpora.corpus import Corpus
from emotrack.train.errors import TrainError

LabelMap = Mapping[str, Sequence[str]]  # own label -> the corpus's


def relabelled(corpus: Corpus, labels: LabelMap) -> Corpus:
    """The corpus with these labels; as it is where there are none. A turn with none of them is context.

    Raises:
        TrainError: the corpus has no such label.
    """
    if not labels:
        return corpus
    own = {source: label for label, sources in labels.items() for source in sources}
    if unknown := next((source for source in own if source not in corpus.labels), None):
        raise TrainError(
            f"labels.{own[unknown]}: {corpus.name} has no label {unknown!r}: there are {', '.join(corpus.labels)}"
        )
    dialogues = tuple(
        replace(
            dialogue,
            turns=tuple(
                replace(turn, labels=tuple(dict.fromkeys(own[label] for label in turn.labels if label in own)))
                for turn in dialogue.turns
            ),
        )
        for dialogue in corpus.dialogues
    )
    return replace(corpus, labels=tuple(labels), dialogues=dialogues)


def check_every_label_occurs(corpus: Corpus, labels: LabelMap, split: str) -> None:
    """Whether each of these labels can be learned. Raises ``TrainError``."""
    found = {label for turn in corpus.turns for label in turn.labels}
    if missing := next((label for label in labels if label not in found), None):
        raise TrainError(
            f"labels.{missing}: no turn of {corpus.name}, {split}, is labelled {' or '.join(labels[missing])}"
        )
