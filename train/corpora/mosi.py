"""CMU-MOSI (Zadeh et al. 2016), in the layout of its raw release.

    Raw/Labels/OpinionLevelSentiment.csv                      start, end, video, number, score; no header
    Raw/Transcript/Segmented/<video>.annotprocessed           number_DELIM_TEXT
    Raw/Audio/WAV_16000/Segmented/<video>_<number>.wav

Opinions are scored from -3 to 3. ``mosi`` has two labels: those scored below 0 are negative, the others positive.
``mosi-7`` has seven: the scores themselves, rounded half to even. In the order of their names, the first 49 videos are
train, the next 13 dev and the last 31 test; the last are also the test videos of the authors' own folds.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from emotrack.train.corpora.corpus import Corpus, CorpusTurn, Counts, Dialogue, checked, existing, read_lines
from emotrack.train.errors import TrainError

LABELS = ("negative", "positive")
DEGREES = ("-3", "-2", "-1", "0", "1", "2", "3")
PUBLISHED = {"train": Counts(None, 49), "dev": Counts(None, 13), "test": Counts(686, 31)}
FIRST_OF_DEV = "VbQk4H8hgr0"  # so that a copy that lacks a video splits the others in the same way
FIRST_OF_TEST = "c7UH_rxdZv4"
EXTREME = 3.0  # of scores, either way


def read_mosi(folder: Path, split: str) -> Corpus:
    """Read one split with the two labels, each video a dialogue of one speaker.

    Raises:
        TrainError: a file is missing, or a line is not of the format.
    """
    return _read("mosi", LABELS, lambda score: "negative" if score < 0 else "positive", folder, split)


def read_mosi_7(folder: Path, split: str) -> Corpus:
    """Read one split with the seven labels. Raises as ``read_mosi``."""
    return _read("mosi-7", DEGREES, lambda score: str(round(score)), folder, split)


def _read(name: str, labels: tuple[str, ...], label: Callable[[float], str], folder: Path, split: str) -> Corpus:
    raw = folder / "Raw" if (folder / "Raw").is_dir() else folder
    opinions = sorted(opinion for opinion in _opinions(raw) if _split_of(opinion[0]) == split)
    dialogues = [
        Dialogue(video, _turns(raw, video, label, [(number, score) for _, number, score in own]))
        for video, own in groupby(opinions, key=lambda opinion: opinion[0])
    ]
    return checked(Corpus(name, labels, tuple(dialogues)), split, PUBLISHED[split])


def _split_of(video: str) -> str:
    if video >= FIRST_OF_TEST:
        return "test"
    return "dev" if video >= FIRST_OF_DEV else "train"


def _opinions(raw: Path) -> list[tuple[str, int, float]]:
    """(video, number, score) of every opinion."""
    path = raw / "Labels/OpinionLevelSentiment.csv"
    opinions = []
    for row in csv.reader(read_lines(path)):
        try:
            _, _, video, number, score = row
            opinions.append((video.strip(), int(number), float(score)))
        except ValueError as error:
            raise TrainError(f"{path}: not start, end, video, number and score: {','.join(row)}") from error
        if not abs(opinions[-1][2]) <= EXTREME:
            raise TrainError(f"{path}: a score out of [-3, 3]: {','.join(row)}")
    return opinions


def _turns(
    raw: Path, video: str, label: Callable[[float], str], opinions: list[tuple[int, float]]
) -> tuple[CorpusTurn, ...]:
    path = raw / "Transcript/Segmented" / f"{video}.annotprocessed"
    lines = (line.partition("_DELIM_") for line in read_lines(path))
    # They are in capitals throughout, which encoders that know about case read poorly.
    texts = {number.strip(): text.strip().lower() for number, _, text in lines}
    return tuple(
        CorpusTurn(
            name=str(number),
            text=texts.get(str(number)) or None,
            labels=(label(score),),
            speaker=video,
            audio=existing(raw / "Audio/WAV_16000/Segmented" / f"{video}_{number}.wav"),
            sentiment=score,
        )
        for number, score in opinions
    )
