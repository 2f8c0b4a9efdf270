"""Pre-training of the text encoder: it learns the labels that an annotator gave to sentences.

    labels/*.parquet -> 80 % to learn from, 20 % for dev -> OUT/encoder, which Stage I begins with (--data encoder=...)

What is written has the very layout that Stage I reads first weights from, with all tokens: which of them are pruned is
Stage I's to say. All sentences are in memory, as token ids: about 1 KB each.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotrack.models import hub
from emotrack.models.hub_encoders import HubTextEncoder
from emotrack.models.text_encoder import TextEncoder
from emotrack.train.corpora import LabelledUtterance, TextCorpus
from emotrack.train.errors import TrainError
from emotrack.train.learning.lora import adapted
from emotrack.train.pretraining.annotating.annotators import SENTIMENTS
from emotrack.train.pretraining.corpus.rows import LabelRow
from emotrack.train.pretraining.corpus.table import Table, address
from emotrack.train.recipes.recipe import Recipe
from emotrack.train.running.checkpoint import save_text_encoder
from emotrack.train.running.ranks import rank, rank_0_first
from emotrack.train.stages.first_weights import hub_name, pretrained_words
from emotrack.train.stages.stage_one import claim
from emotrack.train.stages.text_stage import train_text

DEV_SHARE = 0.2  # the paper's

CARD = """\
# A text encoder, pre-trained on silver labels

First weights: {origin}.

Trained to call sentences {sentiments}, as {annotator} called them: an annotator that
nobody has checked. It is a beginning for training and no classifier; the head that it was trained with is not in here.

- {train:,} sentences to learn from, {dev:,} for dev, no sentence in both; seed {seed}.
  Sentences without a label, left out: {aside:,}.
- On dev, against the same annotator: weighted F1 {weighted_f1:.3f}, accuracy {accuracy:.3f}.

Its licence is that of the first weights and of the sentences. In use: `emotrack train all --data encoder=THIS ...`.
"""


@dataclass(frozen=True, slots=True)
class SilverLabels:
    """One annotator's labels of sentences, each sentence once."""

    annotator: str
    train: TextCorpus
    dev: TextCorpus
    aside: int
    """How many sentences have no label."""


def labels_address(folder: Path) -> str:
    """Content address of a table of labels.

    Raises:
        TrainError: there are none.
    """
    if shards := Table(folder, LabelRow).shards():
        return address(*(shard.name for shard in shards))
    made = sorted(shard.parent for shard in folder.glob("*/*.parquet"))
    hint = f"; name one annotator's, such as {made[0]}" if made else ""
    raise TrainError(f"{folder}: no labels in it{hint}")


def read_labels(folder: Path, seed: int) -> SilverLabels:
    """The labelled sentences of a table, split at random.

    A sentence's side hangs on its words and the seed alone, whatever else is in the table; upper and lower case and
    spaces make no difference to it. Of a sentence that is there more than once, the first label counts.

    Raises:
        TrainError: unreadable, labels of several annotators, or too few to split.
    """
    seen: set[bytes] = set()
    sides: dict[bool, list[LabelledUtterance]] = {False: [], True: []}  # dev or not
    annotators: set[str] = set()
    aside = 0
    for row in Table(folder, LabelRow).rows():
        annotators.add(row.annotator)
        sentence = hashlib.sha256(" ".join(row.text.casefold().split()).encode()).digest()[:16]
        if row.label is None:
            aside += 1
        elif sentence not in seen:
            seen.add(sentence)
            draw = int.from_bytes(hashlib.sha256(sentence + str(seed).encode()).digest()[:8]) / 2**64
            # Each is a dialogue of its own, as nothing is known of what was said before it.
            sides[draw < DEV_SHARE].append(LabelledUtterance(row.text, (row.label,), None, sentence.hex()))
    if len(annotators) > 1:
        raise TrainError(
            f"{folder}: labels of several annotators, {', '.join(sorted(annotators))}: take one's, or a vote"
        )
    if not all(sides.values()):
        raise TrainError(f"{folder}: {len(seen)} labelled sentences are too few to learn from")
    train, dev = (TextCorpus("silver", SENTIMENTS, tuple(sides[side])) for side in (False, True))
    return SilverLabels(annotators.pop(), train, dev, aside)


def run_pretraining(recipe: Recipe, labels: Path, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Train the recipe's text encoder on silver labels and write it to ``out/encoder``.

    Args:
        recipe: says how, and which encoder.
        labels: folder of a table of labels.
        data: has the first weights as ``encoder``, unless the recipe names an encoder of the hub.
        out: the folder for the results.
        seed: of the split and of everything else that is random.

    Raises:
        TrainError: labels that cannot be used, a training that went wrong, or a folder with another run in it.
        HubError: an encoder that cannot be had.
    """
    if recipe.text.pretraining is None:
        raise TrainError(f"recipe {recipe.name} has no [text.pretraining]")
    with rank_0_first():
        claim(out, recipe, seed, labels=labels_address(labels))
    silver = read_labels(labels, seed)
    encoder, _, tokenizer = pretrained_words(recipe, data, whole=True)
    corpora = (silver.train, silver.dev)
    with adapted(encoder, recipe.text.lora, seed):
        _, scores = train_text(
            "pretraining", encoder, tokenizer, corpora, recipe.text.pretraining, recipe.text.dropout, out, seed
        )
    made: dict[str, Any] = {
        "origin": (recipe.text.origin or "a BERT") if isinstance(encoder, TextEncoder) else encoder.config.origin,
        "annotator": silver.annotator,
        "train": len(silver.train.utterances),
        "dev": len(silver.dev.utterances),
        "aside": silver.aside,
        "labels": Counter(label for corpus in corpora for each in corpus.utterances for label in each.labels),
        "text": scores.to_dict(),
    }
    if rank() == 0:
        _write(recipe, encoder, data, out / "encoder", {"seed": seed, "pretraining": made})
    return out / "encoder"


def _write(
    recipe: Recipe,
    encoder: TextEncoder | HubTextEncoder,
    data: dict[str, Path],
    folder: Path,
    metrics: dict[str, Any],
) -> None:
    """The encoder with its metrics and its card, whole or not at all."""
    partial = folder.with_name("encoder.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    if isinstance(encoder, TextEncoder):
        save_text_encoder(encoder, data["encoder"], partial)
    else:
        hub.save(encoder.model, str(hub_name(recipe, data)), partial)
    (partial / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    made = metrics["pretraining"]
    facts = {**made, **made["text"], "sentiments": ", ".join(SENTIMENTS), "seed": metrics["seed"]}
    (partial / "README.md").write_text(CARD.format(**facts))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
