"""Embeddings of a corpus's turns that another program computed, and the corpus with them.

    FOLDER/{train,dev,test}.safetensors    text/DIALOGUE/TURN and speech/DIALOGUE/TURN, each (F,)
    FOLDER/{train,dev,test}.parquet        or these: dialogue, turn, and text, speech or both, each a list of F numbers

Dialogues and turns are called as ``emotrack evaluate --predictions`` calls them. A turn without one lacks the modality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emotrack.train.corpora import READERS, Corpus, CorpusTurn
from emotrack.train.corpora.own_labels import LabelMap, relabelled
from emotrack.train.errors import TrainError
from emotrack.train.running.files import read_whole
from emotrack.train.running.parquet import read_parquet
from emotrack.train.running.provenance import addresses

MODALITIES = ("text", "speech")
ENDINGS = (".safetensors", ".parquet")


def read_with_given(name: str, data: Mapping[str, Path], split: str, labels: LabelMap) -> Corpus:
    """One split of a corpus of conversations, with the embeddings of ``data["features"]`` where that is there.

    Args:
        name: of the corpus.
        data: where it and the embeddings lie.
        split: train, dev or test.
        labels: of a recipe's own; its corpus's where there are none.

    Raises:
        TrainError: data that is missing or malformed.
    """
    corpus = relabelled(READERS[name](data[name], split), labels)
    return with_given(corpus, data["features"], split) if "features" in data else corpus


def with_given(corpus: Corpus, folder: Path, split: str) -> Corpus:
    """A corpus whose turns have the embeddings of a folder. Raises ``TrainError``."""
    names = [f"{split}{ending}" for ending in ENDINGS]
    there = [folder / name for name in names if (folder / name).is_file()]
    if len(there) != 1:
        has = f"both {' and '.join(names)}" if there else f"neither {' nor '.join(names)}"
        raise TrainError(f"{folder}: has {has}")
    (path,) = there
    tensors = _read_parquet(path) if path.suffix == ".parquet" else read_whole(path)[0]
    _check(tensors, path)
    dialogues = tuple(
        replace(dialogue, turns=tuple(_with(turn, dialogue.name, tensors) for turn in dialogue.turns))
        for dialogue in corpus.dialogues
    )
    known = {
        f"{modality}/{dialogue.name}/{turn.name}"
        for dialogue in dialogues
        for turn in dialogue.turns
        for modality in turn.given
    }
    if strange := sorted(tensors.keys() - known):
        raise TrainError(f"{path}: {len(strange):,} names are of no turn of {corpus.name}, {strange[0]} among them")
    return replace(corpus, dialogues=dialogues, given=addresses({"features": path})["features"])


def given_width(corpus: Corpus, modality: str) -> int:
    """F of a modality. Raises ``TrainError`` where no turn has it."""
    found = next((turn.given[modality] for turn in corpus.turns if modality in turn.given), None)
    if found is None:
        raise TrainError(f"the embeddings that are given have no {modality}/DIALOGUE/TURN of {corpus.name}")
    return len(found)


def _with(turn: CorpusTurn, dialogue: str, tensors: Mapping[str, Tensor]) -> CorpusTurn:
    names = {modality: f"{modality}/{dialogue}/{turn.name}" for modality in MODALITIES}
    return replace(turn, given={each: tensors[name].float() for each, name in names.items() if name in tensors})


def _read_parquet(path: Path) -> dict[str, Tensor]:
    """The embeddings of a table, called as safetensors call them."""
    table = read_parquet(path)
    modalities = [name for name in MODALITIES if name in table.column_names]
    if missing := [name for name in ("dialogue", "turn") if name not in table.column_names]:
        raise TrainError(f"{path}: no column {missing[0]!r}")
    if not modalities:
        raise TrainError(f"{path}: neither a column 'text' nor 'speech'")
    turns = [f"{row['dialogue']}/{row['turn']}" for row in table.select(["dialogue", "turn"]).to_pylist()]
    if len(set(turns)) != len(turns):
        raise TrainError(f"{path}: a turn has two rows")
    return {
        f"{modality}/{turn}": _as_tensor(value, f"{path}: {modality} of {turn}")
        for modality in modalities
        for turn, value in zip(turns, table.column(modality), strict=True)
        if value.is_valid
    }


def _as_tensor(value: Any, what: str) -> Tensor:
    """A list of Arrow's -> (F,)."""
    numbers = getattr(value, "values", None)
    if numbers is None:
        raise TrainError(f"{what} is no list of numbers")
    try:
        return torch.from_numpy(numbers.to_numpy(zero_copy_only=False).copy())  # (F,)
    except TypeError as error:
        raise TrainError(f"{what} is no list of numbers") from error


def _check(tensors: Mapping[str, Tensor], path: Path) -> None:
    widths: dict[str, int] = {}
    for name, tensor in tensors.items():
        modality = name.partition("/")[0]
        if modality not in MODALITIES or tensor.ndim != 1 or not tensor.is_floating_point():
            raise TrainError(f"{path}: {name} is no embedding of a text/DIALOGUE/TURN or speech/DIALOGUE/TURN")
        if not tensor.isfinite().all():
            raise TrainError(f"{path}: {name} holds numbers that are infinite or none")
        if widths.setdefault(modality, len(tensor)) != len(tensor):
            raise TrainError(f"{path}: {name} has {len(tensor)} numbers, others of {modality} {widths[modality]}")
