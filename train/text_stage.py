"""Stage I, words: the text encoder and its classifier, first on large corpora, then on conversation.

Corpora name emotions differently, so each has a head of its own while the encoder is shared. The head of the last
phase, on MELD, is the one that ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.models.speech_encoder import padding_mask
from emotrack.models.text_encoder import TextEncoder
from emotrack.train.corpora import TextCorpus
from emotrack.train.loop import LoopOptions, fit, pad, shuffled_batches
from emotrack.train.metrics import Scores, score


@dataclass(frozen=True, slots=True)
class TokenisedCorpus:
    """A corpus as the encoder reads it."""

    labels: tuple[str, ...]
    ids: list[Tensor]  # each (N,)
    targets: Tensor  # (utterances, C), each row a distribution over the labels


def tokenise(corpus: TextCorpus, tokenizer: Tokenizer) -> TokenisedCorpus:
    """Token ids and targets; an utterance with several labels shares itself among them."""
    encodings = tokenizer.encode_batch([utterance.text for utterance in corpus.utterances])
    targets = torch.zeros(len(corpus.utterances), len(corpus.labels))  # (utterances, C)
    for row, utterance in zip(targets, corpus.utterances, strict=True):
        for label in utterance.labels:
            row[corpus.labels.index(label)] = 1.0 / len(utterance.labels)
    return TokenisedCorpus(corpus.labels, [torch.tensor(encoding.ids) for encoding in encodings], targets)


def text_batch(ids: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Token ids of several texts -> (B, N) ids and (B, N) True where padded."""
    padded, lengths = pad(ids, multiple=8)  # (B, N), (B,)
    return padded, padding_mask(lengths, padded.shape[1])


class TextClassifier(nn.Module):
    """The text encoder with a head for one set of labels."""

    def __init__(self, encoder: TextEncoder, labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.width, labels)

    def forward(self, ids: Tensor, padding: Tensor) -> Tensor:
        """(B, N) ids, (B, N) padding -> (B, C) scores."""
        scores: Tensor = self.head(self.dropout(self.encoder(ids, padding)))  # (B, C)
        return scores


class TextTask:
    """Batches of texts, cross-entropy, and weighted F1 on dev."""

    metric = "weighted_f1"

    def __init__(self, model: TextClassifier, train: TokenisedCorpus, dev: TokenisedCorpus, batch: int) -> None:
        self.model = model
        self.train = train
        self.dev = dev
        self.batch = batch

    def batches(self, generator: torch.Generator) -> list[list[int]]:
        return shuffled_batches([len(ids) for ids in self.train.ids], self.batch, generator)

    def loss(self, batch: list[int]) -> Tensor:
        scores = self.model(*text_batch([self.train.ids[index] for index in batch]))  # (B, C)
        return nn.functional.cross_entropy(scores.float(), self.train.targets[batch])

    def evaluate(self) -> Scores:
        scores = predict(self.model, self.dev.ids)  # (utterances, C)
        single = (self.dev.targets.max(dim=1).values == 1.0).numpy()  # (utterances,) those with one label
        truth = self.dev.targets.argmax(dim=1).numpy()  # (utterances,)
        return score(scores.softmax(dim=1).numpy()[single], truth[single], self.dev.labels)


def predict(model: TextClassifier, ids: list[Tensor], batch: int = 64) -> Tensor:
    """Scores for many texts -> (texts, C), in their order."""
    order = np.argsort([len(text) for text in ids], kind="stable")
    scores = torch.cat(
        [
            model(*text_batch([ids[index] for index in order[start : start + batch]])).float()
            for start in range(0, len(ids), batch)
        ]
    )  # (texts, C), by length
    return scores[torch.tensor(np.argsort(order, kind="stable"))]


def train_text(
    name: str,
    encoder: TextEncoder,
    tokenizer: Tokenizer,
    corpora: tuple[TextCorpus, TextCorpus],
    options: LoopOptions,
    folder: Path,
    seed: int,
) -> tuple[TextClassifier, Scores]:
    """Train ``encoder`` with a new head on (train, dev) of one corpus."""
    torch.manual_seed(seed)
    train, dev = (tokenise(corpus, tokenizer) for corpus in corpora)
    model = TextClassifier(encoder, len(train.labels))
    scores = fit(name, model, TextTask(model, train, dev, options.batch), options, folder, seed)
    return model, scores
