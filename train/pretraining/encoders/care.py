"""CARE's own training: one branch learns what speech means, the other how it sounds (arXiv 2409.05566, Fig. 1).

    turns/*.parquet, audio -> 5-s crops -> CARE -+-> mean over time of the semantic encoder -> what the words mean
                                                 +-> frames of the acoustic encoder         -> how the frames sound

The loss is the mean squared error of both, the second times the recipe's ``acoustic``, 1 in the paper. What the words
mean is the mean state of a text encoder that reads the whole transcript, cropped or not (see ``meanings``); how frames
sound is described by signal processing (see ``descriptors``). The acoustic loss trains the acoustic encoder alone
(see ``Care``). Whoever speaks in the held-out part is not learned from.

Notation: B batch, T frames, D width, W width of what words mean, K descriptors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from emotrack.models.care import Care, small_care
from emotrack.models.published_care import PublishedCare
from emotrack.train.errors import TrainError
from emotrack.train.learning.loop import dev_scores, fit, pad, shuffled_batches
from emotrack.train.pretraining.corpus.utterances import (
    Crop,
    Utterance,
    Utterances,
    crop,
    read_ahead,
    read_crop,
    read_utterances,
)
from emotrack.train.pretraining.encoders.descriptors import FRAME, NAMES, Descriptors, at_rate
from emotrack.train.pretraining.encoders.meanings import meanings
from emotrack.train.recipes.recipe import ActedSpeechRecipe, CareRecipe, MeasuredSpeechRecipe, Recipe
from emotrack.train.running.ranks import device_of, rank, rank_0_first, ranks, training_device
from emotrack.train.stages.saved_care import AnyCareConfig, save_care
from emotrack.train.stages.stage_one import claim

EVALUATED_AT_ONCE = 32
PADDED_TO = {1: 5_120, 2: 32}  # samples, or log-mel frames: 0.32 s either way
LEAST_SPREAD = 0.01

CARD = """\
# CARE, pre-trained on speech and its transcripts

First weights: {origin}. The semantic encoder has learned to predict what the words of an utterance mean to a text
encoder, the acoustic encoder {descriptors} descriptors of how each frame sounds (arXiv 2409.05566). It is a beginning
for stage I and no classifier.

- {train:,} utterances to learn from; {held_out:,} of other speakers or recordings held out; seed {seed}.
  Left out: {without_words:,} turns without words, {too_short:,} shorter than {shortest_s:g} s.

| held out | before | after |
|---|---|---|
{table}

*Explained* is the share of the variance that is predicted, *retrieval* how often the right one of {texts:,} texts is
nearest to what was predicted.

Its licence is that of the first weights and of the speech. In use: `emotrack train all --data care=THIS ...`.
"""


@dataclass(frozen=True, slots=True)
class Distilled:
    """How well both targets are predicted."""

    count: int  # utterances
    texts: int  # that differ
    semantic: float  # mean squared error
    acoustic: float
    semantic_explained: float  # share of the variance that is predicted; below 0 is worse than always the mean
    acoustic_explained: float
    retrieval: float  # how often the utterance's own text is nearest, of all that differ
    spread: float  # of the predicted meanings, against that of the true ones

    @property
    def explained(self) -> float:
        """The mean over both targets."""
        return (self.semantic_explained + self.acoustic_explained) / 2

    @property
    def collapsed(self) -> str | None:
        """Whether everything means the same to it."""
        return "every held-out utterance means the same" if self.spread < LEAST_SPREAD else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        shares = ("semantic_explained", "acoustic_explained", "explained", "retrieval", "spread")
        return {
            "count": self.count,
            "texts": self.texts,
            "semantic": float(f"{self.semantic:.4g}"),
            "acoustic": float(f"{self.acoustic:.4g}"),
            **{name: round(getattr(self, name), 4) for name in shares},
        }


class CareDistillation(nn.Module):
    """CARE, and the layers that turn its states into predictions of both targets."""

    def __init__(self, encoder: Care, meaning_width: int, descriptors: int) -> None:
        """Put a new head on each path.

        Args:
            encoder: to be trained, but for how it weighs frames, which has no part in this.
            meaning_width: W. Where it is the encoder's own width, as in the paper, the mean state is the prediction.
            descriptors: K.
        """
        super().__init__()
        self.encoder = encoder
        if encoder.attention is not None:
            encoder.attention.requires_grad_(False)
        width = encoder.frame_width
        self.meaning = nn.Identity() if meaning_width == width else nn.Linear(width, meaning_width)
        self.sound = nn.Linear(width, descriptors)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T0, ...), (B,) -> (B, W) meanings, (B, T, K) sounds and (B, T) True where padded."""
        states = self.encoder.states(inputs, lengths)
        present = (~states.padding).unsqueeze(-1)  # (B, T, 1)
        mean = (states.semantic[:, -1].float() * present).sum(dim=1) / present.sum(dim=1)  # (B, D)
        return self.meaning(mean), self.sound(states.acoustic[:, -1]), states.padding


class CareTask:
    """Random crops of utterances, both losses, and how much of the held-out utterances is explained."""

    metric = "explained"

    def __init__(self, model: CareDistillation, data: Utterances, targets: Tensor, recipe: CareRecipe) -> None:
        """Args: ``targets`` are (texts, W), what each of ``data.texts`` means."""
        self.model = model
        self.data = data
        self.targets = targets
        self.recipe = recipe
        self.descriptors = Descriptors()
        self._row = {text: row for row, text in enumerate(data.texts)}
        self._read: Iterator[Tensor] = iter(())

    def batches(self, generator: torch.Generator) -> list[list[Crop]]:
        """An epoch: every utterance once, a stretch of it drawn. ``loss`` takes them in this order."""
        places = torch.rand(len(self.data.train), generator=generator).tolist()
        crops = [
            crop(index, utterance, self.recipe.crop_s, place)
            for index, (utterance, place) in enumerate(zip(self.data.train, places, strict=True))
        ]
        batches = shuffled_batches([round(100 * each.seconds) for each in crops], self.recipe.loop.batch, generator)
        drawn = [[crops[index] for index in batch] for batch in batches]
        mine = [each for batch in drawn for each in batch[rank() :: ranks()]]
        self._read = read_ahead(self._reading(self.data.train), mine, 2 * self.recipe.loop.batch)
        return drawn

    def loss(self, batch: list[Crop]) -> Tensor:
        waveforms = [next(self._read) for _ in batch]
        meant = self._meant([self.data.train[each.index] for each in batch])  # (B, W)
        predicted, heard, sounds = self._predict(waveforms)
        semantic = nn.functional.mse_loss(predicted, meant)  # ()
        return semantic + self.recipe.acoustic * nn.functional.mse_loss(heard, sounds)

    def evaluate(self) -> Distilled:
        crops = [crop(index, each, self.recipe.crop_s, 0.5) for index, each in enumerate(self.data.held_out)]
        read = read_ahead(self._reading(self.data.held_out), crops, 2 * EVALUATED_AT_ONCE)
        predicted: list[Tensor] = []
        acoustic = power = 0.0
        values = 0
        for first in range(0, len(crops), EVALUATED_AT_ONCE):
            waveforms = [next(read) for _ in crops[first : first + EVALUATED_AT_ONCE]]
            found, heard, sounds = self._predict(waveforms)
            predicted.append(found.cpu())  # (B, W)
            acoustic += float((heard - sounds).double().square().sum())
            power += float(sounds.double().square().sum())  # of zero mean
            values += sounds.numel()
        meant = self._meant(self.data.held_out).cpu().double()  # (utterances, W)
        found = torch.cat(predicted).double()  # (utterances, W)
        semantic, variance = (found - meant).square().mean(), meant.var(dim=0, correction=0).mean()
        return Distilled(
            count=len(meant),
            texts=len({each.text for each in self.data.held_out}),
            semantic=float(semantic),
            acoustic=acoustic / values,
            semantic_explained=1.0 - float(semantic / variance),
            acoustic_explained=1.0 - acoustic / power,
            retrieval=self._retrieval(found),
            spread=float((found.var(dim=0, correction=0).mean() / variance).sqrt()),
        )

    def _predict(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(samples,) each -> (B, W) meanings; (frames, K) sounds as predicted, and as they are."""
        device = device_of(self.model)
        sound = [waveform.to(device) for waveform in waveforms]
        prepared = [self.model.encoder.prepare(waveform) for waveform in sound]  # (T0, ...) each
        inputs, lengths = pad(prepared, PADDED_TO[prepared[0].ndim])  # (B, T0, ...), (B,)
        meant, heard, padding = self.model(inputs, lengths.to(device))
        frames = (~padding).sum(dim=1).tolist()
        sounds = [at_rate(each, count) for each, count in zip(self._described(sound), frames, strict=True)]
        return meant.float(), heard[~padding].float(), torch.cat(sounds)

    def _described(self, waveforms: Sequence[Tensor]) -> Iterator[Tensor]:
        """(samples,) each -> (T, K) each."""
        describe = self.descriptors.to(waveforms[0].device)
        if waveforms[0].device.type == "cpu":  # what fits the cache is quickest
            yield from (describe(waveform.unsqueeze(0))[0] for waveform in waveforms)
        else:
            padded, lengths = pad(list(waveforms), PADDED_TO[1])  # (B, samples), (B,)
            for found, length in zip(describe(padded), lengths.tolist(), strict=True):
                yield found[: length // FRAME + 1]

    def _meant(self, utterances: Sequence[Utterance]) -> Tensor:
        """-> (utterances, W)."""
        return self.targets[[self._row[each.text] for each in utterances]].float().to(device_of(self.model))

    def _retrieval(self, found: Tensor) -> float:
        """(utterances, W) -> how often the nearest of the held-out texts is the utterance's own."""
        rows = sorted({self._row[each.text] for each in self.data.held_out})
        meant = self.targets[rows].double()  # (texts, W)
        nearest = torch.cat(
            [torch.cdist(found[first : first + 256], meant).argmin(dim=1) for first in range(0, len(found), 256)]
        )  # (utterances,)
        own = torch.tensor([rows.index(self._row[each.text]) for each in self.data.held_out])  # (utterances,)
        return float((nearest == own).double().mean())

    @staticmethod
    def _reading(utterances: list[Utterance]) -> Callable[[Crop], Tensor]:
        return lambda stretch: read_crop(utterances[stretch.index], stretch)


def train_care(recipe: Recipe, corpus: Path, audio: Path, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Train a recipe's CARE on the turns of a corpus and write it to ``out/care``.

    Raises:
        TrainError: the recipe has no CARE, the corpus cannot be used, or training went wrong.
        HubError: an encoder that cannot be had.
    """
    options = None if isinstance(recipe.speech, MeasuredSpeechRecipe) else recipe.speech.pretraining
    if options is None:
        raise TrainError(f"recipe {recipe.name}: has no [speech.pretraining]")
    utterances = read_utterances(corpus, audio, options.shortest_s, options.held_out)
    with rank_0_first():
        claim(out, recipe, seed, turns=utterances.address)
    targets = meanings(utterances.texts, recipe, data, out)  # (texts, W)
    torch.manual_seed(seed)
    encoder, config = _new_care(recipe)
    model = CareDistillation(encoder, targets.shape[1], len(NAMES)).to(training_device())
    task = CareTask(model, utterances, targets, options)
    before = dev_scores(model, task).to_dict() if rank() == 0 else {}
    after = fit("care", model, task, options.loop, out, seed).to_dict()
    if rank() == 0:
        facts = {
            "train": len(utterances.train),
            "held_out": len(utterances.held_out),
            "without_words": utterances.without_words,
            "too_short": utterances.too_short,
        }
        metrics = {"seed": seed, "care": {**facts, "before": before, "after": after}}
        save_care(encoder, config, out / "care", metrics, _card(config, metrics, options))
    return out / "care"


def _new_care(recipe: Recipe) -> tuple[Care, AnyCareConfig]:
    """The recipe's CARE as training begins, and its dimensions."""
    if isinstance(recipe.speech, ActedSpeechRecipe):
        return small_care(recipe.speech.encoder), recipe.speech.encoder
    if isinstance(recipe.speech, MeasuredSpeechRecipe) or recipe.speech.care is None:
        raise TrainError(f"recipe {recipe.name}: its voice is no CARE, but {recipe.speech.encoder}")
    encoder = PublishedCare.from_hub(*recipe.speech.care)
    return encoder, replace(encoder.config, origin=f"{encoder.config.origin}, trained as CARE")


def _card(config: AnyCareConfig, metrics: dict[str, Any], options: CareRecipe) -> str:
    facts = metrics["care"]
    before, after = facts["before"], facts["after"]
    names = {
        "semantic": "meaning, mean squared error",
        "semantic_explained": "meaning, explained",
        "retrieval": "meaning, retrieval",
        "acoustic": "sound, mean squared error",
        "acoustic_explained": "sound, explained",
    }
    return CARD.format(
        **{name: facts[name] for name in ("train", "held_out", "without_words", "too_short")},
        origin=getattr(config, "origin", "none, a small CARE on log-mel frames").removesuffix(", trained as CARE"),
        descriptors=len(NAMES),
        seed=metrics["seed"],
        shortest_s=options.shortest_s,
        texts=after["texts"],
        table="\n".join(f"| {what} | {before[name]:.4g} | {after[name]:.4g} |" for name, what in names.items()),
    )
