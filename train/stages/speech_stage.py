"""Stage I, voice: a small CARE and its head, on acted clips.

The actors are few, so the encoder does not only learn their labels. Frame by frame, the semantic encoder learns to
predict the upper layers of a teacher that has heard many voices (see ``teacher``), the acoustic encoder its lowest; the
utterance's embedding learns to predict how all its layers behave over time; and beside the labels stand the opinions of
a listener who has not met the speaker (see ``listener``). All from the same augmented frames.

Notation: B batch, T frames at 100 a second, T' at 25, C labels, W the teacher's width, L its layers that are heard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from emotrack.models.care import Care, small_care
from emotrack.models.features import LogMel, normalise
from emotrack.models.heads import SpeechHead
from emotrack.models.labels import EMOTIONS
from emotrack.train.corpora.acted_corpora import Clip
from emotrack.train.data.audio import read_audio
from emotrack.train.data.augment import active_span, frame_positions, new_recording, resample, spec_augment
from emotrack.train.evaluation.metrics import Scores, score
from emotrack.train.learning.loop import fit, pad, shuffled_batches
from emotrack.train.recipes.recipe import ActedSpeechRecipe
from emotrack.train.stages.cross_fitted_teacher import listen
from emotrack.train.stages.speech_teacher import WhisperEncoder

FRAMES_PER_STATE = 4  # the encoder's frames are 25 a second
FRAME_MULTIPLE = 32
PEAK = 0.5
LOWEST_LAYER = 1  # of the teacher's, from 0, that is listened to: the one below tells emotions worse


@dataclass(frozen=True, slots=True)
class HeardClip:
    """A clip in memory, half precision: log-mel power and the teacher's states."""

    log_mel: Tensor  # (T, MELS)
    states: Tensor  # (T', 2 W) the lowest of the teacher's layers that are heard, and the mean of those above it
    summary: Tensor  # (2 L W,) mean and deviation over the words of every one of them
    label: int  # index into EMOTIONS
    speaker: str
    weight: float  # how often it is drawn in an epoch


def hear(clip: Clip, weight: float, teacher: WhisperEncoder) -> HeardClip:
    """Read a clip and compute the features that training needs."""
    waveform = torch.from_numpy(read_audio(clip.path))  # (samples,)
    waveform = PEAK * waveform / waveform.abs().max().clamp(min=1e-6)  # (samples,), as loud as the teacher is used to
    log_mel = LogMel()(waveform)  # (T, MELS)
    layers = teacher(waveform)[LOWEST_LAYER:]  # (L, T', W)
    first, end = (place // FRAMES_PER_STATE for place in active_span(log_mel))
    spoken = layers[:, first : max(end + 1, first + 2)]  # (L, words, W) as silence around them is nobody's voice
    return HeardClip(
        log_mel=log_mel.half(),
        states=torch.cat([layers[0], layers[1:].mean(dim=0)], dim=1).half(),
        summary=torch.cat([spoken.mean(dim=1), spoken.std(dim=1)], dim=1).flatten(),
        label=EMOTIONS.index(clip.emotion),
        speaker=clip.speaker,
        weight=weight,
    )


def standardise(clips: list[HeardClip]) -> list[HeardClip]:
    """The same clips, each dimension of states and summaries with mean 0 and variance 1 over them."""
    sample = torch.cat([clip.states.float() for clip in clips[::20]])  # (T', 2 W)
    mean, deviation = sample.mean(dim=0), sample.std(dim=0)  # (2 W,), (2 W,)
    summaries = torch.stack([clip.summary for clip in clips])  # (clips, 2 L W)
    summaries = (summaries - summaries.mean(dim=0)) / (summaries.std(dim=0) + 1e-6)  # (clips, 2 L W)
    return [
        replace(clip, states=((clip.states.float() - mean) / deviation).half(), summary=summary)
        for clip, summary in zip(clips, summaries, strict=True)
    ]


def opinions_of(clips: list[HeardClip]) -> Tensor:
    """The listener's opinion of standardised clips -> (clips, C) probabilities."""
    return listen(
        torch.stack([clip.summary for clip in clips]),
        torch.tensor([clip.label for clip in clips]),
        torch.tensor([clip.weight for clip in clips]),
        [clip.speaker for clip in clips],
        len(EMOTIONS),
    )


def new_take(clip: HeardClip) -> tuple[Tensor, Tensor]:
    """The clip as another recording: (T2, MELS) features and (T2 / 4, 2 W) the teacher's states at their places."""
    features, positions = another_recording(clip.log_mel.float())  # (T2, MELS), (T2,)
    return features, resample(clip.states.float(), positions[::FRAMES_PER_STATE] / FRAMES_PER_STATE)


def another_recording(log_mel: Tensor) -> tuple[Tensor, Tensor]:
    """(T, MELS) log-mel power as if recorded anew: (T2, MELS) features, and (T2,) the frames that they come from."""
    positions = frame_positions(log_mel)  # (T2,)
    return spec_augment(normalise(new_recording(resample(log_mel, positions)))), positions


class SpeechClassifier(nn.Module):
    """CARE with its head, and the layers that predict the teacher's states."""

    def __init__(self, recipe: ActedSpeechRecipe, teacher_width: int, summary_width: int) -> None:
        super().__init__()
        self.encoder = small_care(recipe.encoder)
        self.head = SpeechHead(
            self.encoder.layers,
            self.encoder.width,
            self.encoder.summary_width,
            len(EMOTIONS),
            hidden=recipe.head.hidden,
            embedding=recipe.head.embedding,
            dropout=recipe.dropout,
        )
        self.acoustic_target = nn.Linear(recipe.encoder.width, teacher_width)
        self.semantic_target = nn.Linear(recipe.encoder.width, teacher_width)
        self.summary_target = nn.Linear(recipe.head.embedding, summary_width)

    def hidden_matrices(self) -> dict[Tensor, int]:
        """The matrices between frames and embedding, each with how many are stacked in it."""
        found: dict[Tensor, int] = {}
        for module in (*self.encoder.modules(), self.head.reduce, self.head.project):
            if isinstance(module, nn.MultiheadAttention):
                found[module.in_proj_weight] = 3  # queries, keys, values
            elif isinstance(module, nn.Linear) and module.out_features > 1:
                found[module.weight] = 1
        return found

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, MELS), (B,) -> (B, C) scores, (frames, 2 W) predicted states, (B, 2 L W) predicted summaries."""
        states = self.encoder.states(features, lengths)
        present = ~states.padding  # (B, T')
        predicted = [
            self.acoustic_target(states.acoustic[:, -1][present]),
            self.semantic_target(states.semantic[:, -1][present]),
        ]  # (frames, W) each
        embedding = self.head.embed(self.encoder.pool(states))  # (B, E)
        summary = self.summary_target(self.head.dropout(embedding))  # (B, 2 L W)
        return self.head(embedding), torch.cat(predicted, dim=1), summary


class SpeechTask:
    """Batches of augmented clips, the losses named in the recipe, and unweighted recall on dev."""

    metric = "uar"

    def __init__(
        self, model: SpeechClassifier, train: list[HeardClip], dev: list[HeardClip], recipe: ActedSpeechRecipe
    ) -> None:
        self.model = model
        self.train = train
        self.dev = dev
        self.recipe = recipe
        self.opinions = opinions_of(train)  # (clips, C)

    def batches(self, generator: torch.Generator) -> list[list[int]]:
        weights = torch.tensor([clip.weight for clip in self.train])  # (clips,)
        counts = (weights + torch.rand(len(weights), generator=generator)).floor().long()  # (clips,) weight on average
        drawn = torch.repeat_interleave(torch.arange(len(counts)), counts).tolist()
        batches = shuffled_batches(
            [len(self.train[index].log_mel) for index in drawn], self.recipe.loop.batch, generator
        )
        return [[drawn[place] for place in places] for places in batches]

    def loss(self, batch: list[int]) -> Tensor:
        clips = [self.train[index] for index in batch]
        features, states = zip(*(new_take(clip) for clip in clips), strict=True)
        labels = torch.tensor([clip.label for clip in clips])  # (B,)
        summaries = torch.stack([clip.summary for clip in clips])  # (B, 2 L W)
        scores, predicted, summary = self.model(*self._padded(list(features)))
        device, recipe = scores.device, self.recipe
        return (
            recipe.labels * nn.functional.cross_entropy(scores.float(), labels.to(device), label_smoothing=0.1)
            + recipe.listener * nn.functional.cross_entropy(scores.float(), self.opinions[batch].to(device))
            + recipe.frames * nn.functional.mse_loss(predicted.float(), torch.cat(states).to(device))
            + recipe.summaries * nn.functional.mse_loss(summary.float(), summaries.to(device))
        )

    def evaluate(self) -> Scores:
        scores = []
        for start in range(0, len(self.dev), 32):
            features = [normalise(clip.log_mel.float()) for clip in self.dev[start : start + 32]]
            scores.append(self.model(*self._padded(features))[0].float().cpu())  # (B, C)
        truth = torch.tensor([clip.label for clip in self.dev])  # (clips,)
        return score(torch.cat(scores).softmax(dim=1).numpy(), truth.numpy(), EMOTIONS)

    def _padded(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        padded, lengths = pad(features, multiple=FRAME_MULTIPLE)  # (B, T, MELS), (B,)
        device = self.model.head.layer_weights.device
        return padded.to(device), lengths.to(device)


def train_speech(
    recipe: ActedSpeechRecipe,
    train: list[HeardClip],
    dev: list[HeardClip],
    folder: Path,
    seed: int,
    pretrained: Care | None = None,
) -> tuple[SpeechClassifier, Scores]:
    """Train a speech classifier on clips in memory, its encoder from what was ``pretrained`` or else from nothing."""
    torch.manual_seed(seed)
    model = SpeechClassifier(recipe, train[0].states.shape[1] // 2, len(train[0].summary))
    if pretrained is not None:
        model.encoder.load_state_dict(pretrained.state_dict())
    task, matrices = SpeechTask(model, train, dev, recipe), model.hidden_matrices()
    return model, fit("speech", model, task, recipe.loop, folder, seed, matrices)
