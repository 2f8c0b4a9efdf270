"""EmoryNLP (Zahiri and Choi 2018), as published with MELD: ``emorynlp_{train,dev,test}_final.csv``. Words alone."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from emotrack.train.corpora.corpus import Corpus, CorpusTurn, Counts, Dialogue, checked, read_table

LABELS = ("neutral", "joyful", "peaceful", "powerful", "scared", "mad", "sad")
PUBLISHED = {"train": Counts(7_551, None), "dev": Counts(954, None)}


def read_emorynlp(folder: Path, split: str) -> Corpus:
    """Read one split. Raises ``TrainError``."""
    columns = ("Utterance", "Speaker", "Emotion", "Season", "Episode", "Scene_ID", "Utterance_ID")
    rows = read_table(folder / f"emorynlp_{split}_final.csv", columns)
    dialogues = [
        Dialogue(name, tuple(_turn(row) for row in turns if row["Utterance"].strip()))
        for name, turns in groupby(rows, key=lambda row: f"{row['Season']}-{row['Episode']}-{row['Scene_ID']}")
    ]
    return checked(Corpus("emorynlp", LABELS, tuple(dialogues)), split, PUBLISHED.get(split))


def _turn(row: dict[str, str]) -> CorpusTurn:
    return CorpusTurn(
        name=row["Utterance_ID"],
        text=row["Utterance"].strip(),
        labels=(row["Emotion"].strip().lower(),),
        speaker=row["Speaker"].strip("[]'\""),
    )
