"""GoEmotions (Demszky et al. 2020): ``{train,dev,test}.tsv`` and ``labels.txt``. Single comments, words alone."""

from __future__ import annotations

from pathlib import Path

from emotrack.train.corpora.corpus import Corpus, CorpusTurn, Counts, Dialogue, checked, read_lines
from emotrack.train.errors import TrainError

PUBLISHED = {"train": Counts(43_410, None), "dev": Counts(5_426, None)}


def read_goemotions(folder: Path, split: str) -> Corpus:
    """Read one split, each comment a dialogue of one turn.

    Raises:
        TrainError: a file is missing, or a line is not of the format.
    """
    labels = tuple(read_lines(folder / "labels.txt"))
    path = folder / f"{split}.tsv"
    dialogues = []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            text, ids, _ = line.split("\t")
            names = tuple(labels[int(index)] for index in ids.split(","))
        except (ValueError, IndexError) as error:
            raise TrainError(f"{path}, line {number}: not text, label ids and id, separated by tabs") from error
        dialogues.append(Dialogue(str(number), (CorpusTurn("0", text.strip() or None, names),)))
    return checked(Corpus("goemotions", labels, tuple(dialogues)), split, PUBLISHED.get(split))
