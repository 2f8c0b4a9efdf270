"""Stage I, voice, as published: a head on the features of a frozen speech encoder.

Every utterance is encoded once; the features stay on disk, so that a run that was killed does not encode again unless
its data have changed.

Notation: N utterances, L layers, F features, S summary, B batch, C labels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotrack.models.bounds import MAX_SPEECH_S, SAMPLE_RATE
from emotrack.models.care import Care, SpeechFeatures
from emotrack.models.given import GivenSpeech
from emotrack.models.heads import SpeechHead
from emotrack.models.hub_encoders import HubSpeechEncoder
from emotrack.train.corpora import Corpus, CorpusTurn
from emotrack.train.data.dialogues import hear_if_readable
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.metrics import Scores, score
from emotrack.train.learning.loop import fit
from emotrack.train.learning.losses import Loss
from emotrack.train.recipes.recipe import FrozenSpeechRecipe
from emotrack.train.running.cache import cached, origin_of
from emotrack.train.running.progress import track
from emotrack.train.running.ranks import training_device

EVALUATED_AT_ONCE = 256


class HeadTask:
    """Batches of features, the recipe's loss, and weighted F1 on dev."""

    metric = "weighted_f1"

    def __init__(
        self,
        head: SpeechHead,
        features: tuple[dict[str, Tensor], dict[str, Tensor]],
        labels: tuple[str, ...],
        recipe: FrozenSpeechRecipe,
    ) -> None:
        self.head = head
        self.train, self.dev = features
        self.labels = labels
        self.recipe = recipe
        self.criterion = Loss(recipe.loss, torch.bincount(self.train["targets"], minlength=len(labels)))

    def batches(self, generator: torch.Generator) -> list[list[int]]:
        order = torch.randperm(len(self.train["targets"]), generator=generator).tolist()
        size = self.recipe.loop.batch
        return [order[first : first + size] for first in range(0, len(order), size)]

    def loss(self, batch: list[int]) -> Tensor:
        embedding = self.head.embed(self._features(self.train, batch))  # (B, E)
        return self.criterion(self.head(embedding), self.train["targets"][batch], embedding)

    def evaluate(self) -> Scores:
        items = list(range(len(self.dev["targets"])))
        scores = [
            self.head(self.head.embed(self._features(self.dev, items[first : first + EVALUATED_AT_ONCE])))
            for first in range(0, len(items), EVALUATED_AT_ONCE)
        ]  # (B, C) each
        probabilities = torch.cat(scores).float().softmax(dim=1).cpu()  # (N, C)
        return score(probabilities.numpy(), self.dev["targets"].numpy(), self.labels)

    def _features(self, split: dict[str, Tensor], items: list[int]) -> SpeechFeatures:
        device = self.head.layer_weights.device
        summary = split["summary"][items].float().to(device) if "summary" in split else None  # (B, S)
        return SpeechFeatures(split["layers"][items].float().to(device), summary)


def train_speech_head(
    encoder: Care | HubSpeechEncoder,
    corpora: tuple[Corpus, Corpus],
    recipe: FrozenSpeechRecipe,
    folder: Path,
    seed: int,
) -> tuple[SpeechHead, Scores]:
    """Train a head on (train, dev) of a corpus, with the encoder as it is.

    Raises:
        TrainError: the corpus has no voices, or they cannot be read.
    """
    encoder.requires_grad_(False).eval().to(training_device())
    folder.mkdir(parents=True, exist_ok=True)
    features = [
        _encoded(encoder, corpus, folder / f"speech-features-{split}.safetensors")
        for corpus, split in zip(corpora, ("train", "dev"), strict=True)
    ]
    found = fit_speech_head(encoder, (features[0], features[1]), corpora[0].labels, recipe, folder, seed)
    encoder.cpu()
    return found


def fit_speech_head(
    encoder: Care | HubSpeechEncoder | GivenSpeech,
    features: tuple[dict[str, Tensor], dict[str, Tensor]],
    labels: tuple[str, ...],
    recipe: FrozenSpeechRecipe,
    folder: Path,
    seed: int,
) -> tuple[SpeechHead, Scores]:
    """Train a head on (train, dev) features of an encoder: (N, L, F) layers, (N, S) summary and (N,) targets."""
    torch.manual_seed(seed)
    head = SpeechHead(
        encoder.layers,
        encoder.width,
        encoder.summary_width,
        len(labels),
        hidden=recipe.head.hidden,
        embedding=recipe.head.embedding,
        dropout=recipe.dropout,
    )
    task = HeadTask(head, features, labels, recipe)
    scores = fit("speech", head, task, recipe.loop, folder, seed)
    return head.cpu(), scores


def voiced(corpus: Corpus) -> list[CorpusTurn]:
    """The labelled turns of a corpus that can be heard. Raises ``TrainError`` where there are none."""
    turns = [turn for turn in corpus.turns if turn.audio is not None and turn.emotion is not None]
    if not turns:
        raise TrainError(f"this copy of {corpus.name} has no voices: stage I of the voice needs them")
    return turns


def _encoded(encoder: Care | HubSpeechEncoder, corpus: Corpus, path: Path) -> dict[str, Tensor]:
    """The features of every labelled utterance whose voice can be read.

    (N, L, F) layers, (N, S) summary and (N,) targets.
    """
    turns = voiced(corpus)

    def compute() -> dict[str, Tensor]:
        found: dict[str, list[Tensor]] = {"layers": [], "summary": [], "targets": []}
        for turn in track(turns, f"encode {path.stem}"):
            heard = hear_if_readable(turn)
            if heard.waveform is None:
                continue
            features = _features(encoder, heard.waveform)
            found["layers"].append(features.layers[0].half().cpu())  # (L, F)
            if features.summary is not None:
                found["summary"].append(features.summary[0].half().cpu())  # (S,)
            found["targets"].append(torch.tensor(corpus.labels.index(turn.emotion or "")))  # ()
        if not found["targets"]:
            raise TrainError(f"this copy of {corpus.name} has no voice that can be read")
        return {name: torch.stack(parts) for name, parts in found.items() if parts}

    return cached(path, origin_of(encoder.state_dict(), turns), compute)


def _features(encoder: Care | HubSpeechEncoder, waveform: NDArray[np.float32]) -> SpeechFeatures:
    """Features of one utterance, (samples,), a batch of one; what is past the encoder's limit is left out."""
    samples = torch.from_numpy(waveform[: int(MAX_SPEECH_S * SAMPLE_RATE)]).to(training_device())  # (samples,)
    inputs = encoder.prepare(samples)  # (T0, ...)
    features: SpeechFeatures = encoder(inputs.unsqueeze(0), torch.tensor([len(inputs)], device=inputs.device))
    return features
