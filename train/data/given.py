"""Embeddings of a corpus's turns that another program computed, and the corpus with them.

    FOLDER/{train,dev,test}.safetensors    text/DIALOGUE/TURN and speech/DIALOGUE/TURN, each (F,)

Dialogues and turns are called as ``emotrack evaluate --predictions`` calls them. A turn without one lacks the modality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from emotrack.train.corpora import READERS, Corpus, CorpusTurn
from emotrack.train.corpora.own_labels import LabelMap, relabelled
from emotrack.train.errors import TrainError
from emotrack.train.running.files import read_whole
from emotrack.train.running.provenance import addresses

MODALITIES = ("text", "speech")


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
    if not folder.is_dir():
        raise TrainError(f"{folder}: is no folder with {split}.safetensors in it")
    path = folder / f"{split}.safetensors"
    if not path.is_file():
        raise TrainError(f"{path}: No such file")
    tensors, _ = read_whole(path)
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
