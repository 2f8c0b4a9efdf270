"""Stage I where another program has computed the embeddings: a classifier on them, for words and for the voice.

Notation: N turns, F numbers of each, C labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.models.given import GivenSpeech, GivenSpeechConfig, GivenText, GivenTextConfig, no_vocabulary
from emotrack.models.heads import SpeechHead
from emotrack.train.corpora import Corpus
from emotrack.train.data.given import given_width, read_with_given
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.metrics import Scores, score
from emotrack.train.learning.loop import fit
from emotrack.train.learning.losses import Loss
from emotrack.train.recipes.recipe import FrozenSpeechRecipe, Recipe
from emotrack.train.stages.frozen_speech_stage import fit_speech_head
from emotrack.train.stages.text_stage import TextClassifier


class GivenWordsTask:
    """Batches of embeddings, the recipe's loss, and weighted F1 on dev."""

    metric = "weighted_f1"

    def __init__(self, model: TextClassifier, corpora: tuple[Corpus, Corpus], recipe: Recipe) -> None:
        self.model = model
        self.labels = corpora[0].labels
        self.train, self.dev = (given(corpus, "text") for corpus in corpora)
        self.phase = recipe.text.phases[-1]
        self.criterion = Loss(self.phase.loss, torch.bincount(self.train[1], minlength=len(self.labels)).float())

    def batches(self, generator: torch.Generator) -> list[list[int]]:
        order = torch.randperm(len(self.train[1]), generator=generator).tolist()
        size = self.phase.loop.batch
        return [order[first : first + size] for first in range(0, len(order), size)]

    def loss(self, batch: list[int]) -> Tensor:
        embeddings = self._on_device(self.train[0][batch])  # (B, F)
        return self.criterion(self.model.head(embeddings), self.train[1][batch], embeddings)

    def evaluate(self) -> Scores:
        probabilities = self.model.head(self._on_device(self.dev[0])).softmax(dim=1).cpu()  # (N, C)
        return score(probabilities.numpy(), self.dev[1].numpy(), self.labels)

    def _on_device(self, embeddings: Tensor) -> Tensor:
        return embeddings.to(self.model.head.classify.weight.device)


def given(corpus: Corpus, modality: str) -> tuple[Tensor, Tensor]:
    """(N, F) embeddings and (N,) label indices of the labelled turns that have them. Raises ``TrainError``."""
    turns = [turn for turn in corpus.turns if turn.emotion is not None and modality in turn.given]
    if not turns:
        raise TrainError(f"no labelled turn of {corpus.name} is given an embedding, {modality}/DIALOGUE/TURN")
    targets = torch.tensor([corpus.labels.index(turn.emotion or "") for turn in turns])  # (N,)
    return torch.stack([turn.given[modality] for turn in turns]), targets


def train_given_words(
    recipe: Recipe, data: dict[str, Path], out: Path, seed: int
) -> tuple[TextClassifier, GivenTextConfig, Tokenizer, dict[str, Any]]:
    """The trained classifier, what stands for its encoder, a vocabulary of nothing, and its scores."""
    train, dev = (read_with_given(recipe.corpus, data, split, recipe.labels) for split in ("train", "dev"))
    config = GivenTextConfig(given_width(train, "text"), data["features"].name)
    torch.manual_seed(seed)
    model = TextClassifier(GivenText(config), config.given, len(train.labels), recipe.text.dropout)
    task = GivenWordsTask(model, (train, dev), recipe)
    scores = fit(f"text-{recipe.corpus}", model, task, task.phase.loop, out, seed)
    return model.cpu(), config, no_vocabulary(config), scores.to_dict()


def train_given_voice(
    recipe: FrozenSpeechRecipe, corpora: tuple[Corpus, Corpus], data: dict[str, Path], out: Path, seed: int
) -> tuple[GivenSpeechConfig, nn.Module, SpeechHead, Scores]:
    """What stands for the encoder, as configuration and module, the trained head, and its scores."""
    config = GivenSpeechConfig(given_width(corpora[0], "speech"), data["features"].name)
    features = []
    for corpus in corpora:
        embeddings, targets = given(corpus, "speech")  # (N, F), (N,)
        features.append({"layers": embeddings.unsqueeze(1), "targets": targets})
    encoder = GivenSpeech(config)
    head, scores = fit_speech_head(encoder, (features[0], features[1]), corpora[0].labels, recipe, out, seed)
    return config, encoder, head, scores
