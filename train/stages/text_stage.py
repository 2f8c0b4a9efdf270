"""Stage I, words: the text encoder and its classifier, first on large corpora, then on conversation.

Corpora name emotions differently, so each has a head of its own while the encoder is shared. The head of the last
phase, on MELD, is the one that ships.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.models.encoders import AnyTextConfig
from emotrack.models.front_end import padding_mask
from emotrack.models.heads import TextHead
from emotrack.models.hub_encoders import HubTextEncoder
from emotrack.models.text_encoder import TextEncoder, read_turn
from emotrack.train.corpora import TextCorpus
from emotrack.train.evaluation.metrics import Scores, score
from emotrack.train.learning.loop import fit, pad, shuffled_batches
from emotrack.train.learning.losses import Loss
from emotrack.train.recipes.recipe import StageRecipe


@dataclass(frozen=True, slots=True)
class Reading:
    """One utterance as the text encoder reads it: its tokens, and those of the turns before it."""

    ids: Tensor  # (N,)
    own: int  # how many of them are its own


@dataclass(frozen=True, slots=True)
class TokenisedCorpus:
    """A corpus as the encoder reads it."""

    labels: tuple[str, ...]
    readings: list[Reading]
    targets: Tensor  # (utterances, C), each row a distribution over the labels


@dataclass(frozen=True, slots=True)
class Opinions:
    """A teacher's opinions of the N utterances of a corpus."""

    probabilities: Tensor  # (2 N, C) of each after the turns before it, then of each by itself
    share: float  # of a target that they are; the rest is the label


def read_dialogue(texts: Sequence[str], tokenizer: Tokenizer, config: AnyTextConfig) -> list[Reading]:
    """Every turn of a dialogue as the text encoder reads it, in the light of those before it."""
    turns = (read_turn(tokenizer, text, texts[:place], config) for place, text in enumerate(texts))
    return [Reading(torch.tensor(ids), own) for ids, own in turns]


def tokenise(corpus: TextCorpus, tokenizer: Tokenizer, config: AnyTextConfig) -> TokenisedCorpus:
    """Token ids and targets of what is labelled; an utterance with several labels shares itself among them."""
    readings: list[Reading] = []
    for _, utterances in groupby(corpus.utterances, key=lambda utterance: utterance.dialogue):
        dialogue = list(utterances)
        read = read_dialogue([utterance.text for utterance in dialogue], tokenizer, config)
        readings += [reading for reading, utterance in zip(read, dialogue, strict=True) if utterance.labels]
    targets = torch.zeros(len(corpus.labelled), len(corpus.labels))  # (utterances, C)
    for row, utterance in zip(targets, corpus.labelled, strict=True):
        for label in utterance.labels:
            row[corpus.labels.index(label)] = 1.0 / len(utterance.labels)
    return TokenisedCorpus(corpus.labels, readings, targets)


def in_context_and_alone(readings: Sequence[Reading]) -> list[Reading]:
    """N utterances after the turns before them, then each of them by itself."""
    return [*readings, *(Reading(reading.ids[: reading.own], reading.own) for reading in readings)]


def taught(corpus: TokenisedCorpus, opinions: Opinions) -> TokenisedCorpus:
    """A corpus of which labels and opinions are learned, from every utterance in context and alone."""
    labels = corpus.targets.repeat(2, 1)  # (2 N, C)
    targets = (1.0 - opinions.share) * labels + opinions.share * opinions.probabilities  # (2 N, C)
    return TokenisedCorpus(corpus.labels, in_context_and_alone(corpus.readings), targets)


def text_batch(readings: Sequence[Reading], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Several readings -> (B, N) ids, (B, N) True where padded, (B,) how many tokens are an utterance's own."""
    ids, lengths = pad([reading.ids for reading in readings], multiple=8)  # (B, N), (B,)
    own = torch.tensor([reading.own for reading in readings])  # (B,)
    return ids.to(device), padding_mask(lengths, ids.shape[1]).to(device), own.to(device)


def embed(encoder: nn.Module, readings: Sequence[Reading], batch: int = 64) -> Tensor:
    """Embeddings of many readings -> (readings, E), in their order, where the processor is."""
    order = np.argsort([len(reading.ids) for reading in readings], kind="stable")
    device = next(encoder.parameters()).device
    found = torch.cat(
        [
            encoder(*text_batch([readings[index] for index in order[start : start + batch]], device)).float().cpu()
            for start in range(0, len(readings), batch)
        ]
    )  # (readings, E), by length
    return found[torch.tensor(np.argsort(order, kind="stable"))]


class TextClassifier(nn.Module):
    """A text encoder with a head for one set of labels."""

    def __init__(self, encoder: nn.Module, width: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = TextHead(width, labels, dropout)

    def forward(self, ids: Tensor, padding: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) ids, (B, N) padding, (B,) own tokens -> (B, C) scores, (B, E) embeddings."""
        embedding = self.encoder(ids, padding, own)  # (B, E)
        return self.head(embedding), embedding


class TextTask:
    """Batches of texts, the recipe's loss, and weighted F1 on dev."""

    metric = "weighted_f1"

    def __init__(self, model: TextClassifier, train: TokenisedCorpus, dev: TokenisedCorpus, phase: StageRecipe) -> None:
        self.model = model
        self.train = train
        self.dev = dev
        self.batch = phase.loop.batch
        self.criterion = Loss(phase.loss, train.targets.sum(dim=0))

    def batches(self, generator: torch.Generator) -> list[list[int]]:
        return shuffled_batches([len(reading.ids) for reading in self.train.readings], self.batch, generator)

    def loss(self, batch: list[int]) -> Tensor:
        device = self.model.head.classify.weight.device
        scores, embedding = self.model(*text_batch([self.train.readings[index] for index in batch], device))
        return self.criterion(scores, self.train.targets[batch], embedding)

    def evaluate(self) -> Scores:
        embeddings = embed(self.model.encoder, self.dev.readings)  # (utterances, E)
        device = self.model.head.classify.weight.device
        scores = self.model.head(embeddings.to(device)).cpu()  # (utterances, C)
        single = (self.dev.targets.max(dim=1).values == 1.0).numpy()  # (utterances,) those with one label
        truth = self.dev.targets.argmax(dim=1).numpy()  # (utterances,)
        return score(scores.softmax(dim=1).numpy()[single], truth[single], self.dev.labels)


def train_text(
    name: str,
    encoder: TextEncoder | HubTextEncoder,
    tokenizer: Tokenizer,
    corpora: tuple[TextCorpus, TextCorpus],
    phase: StageRecipe,
    dropout: float,
    folder: Path,
    seed: int,
    opinions: Opinions | None = None,
) -> tuple[TextClassifier, Scores]:
    """Train ``encoder`` with a new head on (train, dev) of one corpus, and on a teacher's opinions of it."""
    torch.manual_seed(seed)
    train, dev = (tokenise(corpus, tokenizer, encoder.config) for corpus in corpora)
    if opinions is not None:
        train = taught(train, opinions)
    model = TextClassifier(encoder, encoder.width, len(train.labels), dropout)
    scores = fit(name, model, TextTask(model, train, dev, phase), phase.loop, folder, seed)
    return model.cpu(), scores
