"""MELD (Poria et al. 2019), in the layout of its release.

    {train,dev,test}_sent_emo.csv
    train_splits/, dev_splits_complete/, output_repeated_splits_test/    diaX_uttY.mp4, optional

Each may also lie in a folder named after its split, as the archives unpack.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from emotrack.models.labels import EMOTIONS
from emotrack.train.corpora.corpus import Corpus, CorpusTurn, Counts, Dialogue, checked, existing, read_table

PUBLISHED = {"train": Counts(9_989, 1_038), "dev": Counts(1_109, 114), "test": Counts(2_610, 280)}
AUDIO = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
UNREADABLE = ("train_splits/dia125_utt3.mp4",)  # broken in the release


def read_meld(folder: Path, split: str) -> Corpus:
    """Read one split; a turn without a clip has words alone. Raises ``TrainError``."""
    columns = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
    rows = read_table(_place(folder, split, f"{split}_sent_emo.csv"), columns)
    clips = _place(folder, split, AUDIO[split])
    dialogues = [
        Dialogue(name, tuple(_turn(row, clips) for row in turns if row["Utterance"].strip()))
        for name, turns in groupby(rows, key=lambda row: row["Dialogue_ID"])
    ]
    return checked(Corpus("meld", EMOTIONS, tuple(dialogues)), split, PUBLISHED[split])


def _turn(row: dict[str, str], clips: Path) -> CorpusTurn:
    clip = clips / f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.mp4"
    return CorpusTurn(
        name=row["Utterance_ID"],
        text=row["Utterance"].strip(),
        labels=(row["Emotion"].strip().lower(),),
        speaker=row["Speaker"],
        audio=None if f"{clips.name}/{clip.name}" in UNREADABLE else existing(clip),
    )


def _place(folder: Path, split: str, name: str) -> Path:
    return folder / split / name if (folder / split / name).exists() else folder / name
