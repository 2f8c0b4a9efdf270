"""Readers for acted speech: clips listed by an ``index.csv``, and conversations put together from such clips.

    clips          index.csv (file, speaker, emotion, ...) beside the audio files
    conversations  acted-*.json, each naming its audio file and its turns

Clips are split by speaker, never by clip. The lists below name the speakers that are for choosing (dev) and those that
are for training; a speaker in neither is for testing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, FiniteFloat, TypeAdapter, ValidationError

from emotrack.models.labels import EMOTIONS, canonical
from emotrack.train.corpora import read_table
from emotrack.train.errors import TrainError

ACTED = ("ravdess", "tess", "nemo", "emodb")
TRAITS = ("gender", "language")  # columns of an index by which scores are told apart

SPEAKERS = {
    "dev": {f"ravdess-{actor}" for actor in range(17, 21)}
    | {"nemo-MP0", "emodb-10"}
    | {f"urdu-SF{number}" for number in (3, 5, 6, 7)}
    | {f"urdu-SM{number}" for number in (1, 2, 5, 6, 17, 18, 19, 25, 26, 27)},
    "train": {f"ravdess-{actor:02}" for actor in range(1, 17)}
    | {"tess-YAF", "tess-OAF"}
    | {f"nemo-{name}" for name in ("EB0", "IC0", "KD0", "KS0", "MK0", "SM0")}
    | {f"emodb-{name}" for name in ("03", "08", "09", "11", "12", "13", "14")},
}


@dataclass(frozen=True, slots=True)
class Clip:
    """One acted utterance; ``emotion`` is the network's name for what its corpus calls it, if it has one."""

    path: Path
    speaker: str
    emotion: str
    text: str | None  # the words, where the index tells
    intensity: str | None  # normal or strong, where the index tells
    traits: Mapping[str, str]  # its corpus, the name of its folder; its gender and language, where the index tells


class ActedTurn(BaseModel):
    """One turn of an acted conversation; times in seconds."""

    speaker: str
    start: FiniteFloat
    end: FiniteFloat
    text: str
    emotion: str


class ActedConversation(BaseModel):
    """What an ``acted-*.json`` says; ``audio`` is a file beside it."""

    audio: str
    turns: list[ActedTurn]


def split_of(speaker: str) -> str:
    """Which split a speaker is for: train, dev or test."""
    return next((split for split, speakers in SPEAKERS.items() if speaker in speakers), "test")


def read_index(folder: Path) -> list[Clip]:
    """All clips of a corpus, in the order of its index; an emotion without a name here keeps its own.

    Raises:
        TrainError: ``index.csv`` or a column of it is missing.
    """
    return [
        Clip(
            path=folder / row["file"],
            speaker=row["speaker"],
            emotion=canonical(row["emotion"]) or row["emotion"],
            text=row.get("text") or None,
            intensity=row.get("intensity") or None,
            traits={"corpus": folder.resolve().name} | {trait: row[trait] for trait in TRAITS if row.get(trait)},
        )
        for row in read_table(folder / "index.csv", ("file", "speaker", "emotion"))
    ]


def read_clips(folder: Path) -> list[Clip]:
    """The clips of a corpus whose emotion the network has a name for, in the order of its index.

    Raises:
        TrainError: ``index.csv`` or a column of it is missing, or there are no such clips.
    """
    clips = [clip for clip in read_index(folder) if clip.emotion in EMOTIONS]
    if not clips:
        raise TrainError(f"{folder / 'index.csv'}: no clips with a known emotion")
    return clips


def read_conversations(folder: Path) -> list[tuple[Path, ActedConversation]]:
    """Every ``acted-*.json`` of a folder with the path of its audio, in the order of their names.

    Raises:
        TrainError: there is none, or one is malformed.
    """
    paths = sorted(folder.glob("acted-*.json"))
    if not paths:
        raise TrainError(f"{folder}: no acted-*.json")
    conversations = []
    for path in paths:
        try:
            conversation = TypeAdapter(ActedConversation).validate_python(json.loads(path.read_bytes()))
            audio = path.with_name(conversation.audio)
        except (ValidationError, ValueError) as error:
            raise TrainError(f"{path}: not an acted conversation: {str(error).splitlines()[0]}") from error
        conversations.append((audio, conversation))
    return conversations
