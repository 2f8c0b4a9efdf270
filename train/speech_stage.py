"""Stage I, voice: the speech encoder and its classifier, on acted clips.

While it learns to tell emotions it also learns to predict the teacher's hidden states (see ``teacher``), frame by frame
and summed up over the utterance, from the same augmented frames: the actors are few, and what the teacher heard in many
voices keeps the encoder from learning who they are.

Notation: B batch, T frames at 100 a second, T' at 25, C labels, W the teacher's width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from emotrack.models.features import LogMel, normalise
from emotrack.models.labels import EMOTIONS
from emotrack.models.speech_encoder import SpeechConfig, SpeechEncoder
from emotrack.train.acted import Clip
from emotrack.train.audio import read_audio
from emotrack.train.augment import frame_positions, new_recording, resample, spec_augment
from emotrack.train.loop import fit, pad, shuffled_batches
from emotrack.train.metrics import Scores, score
from emotrack.train.recipe import SpeechRecipe
from emotrack.train.teacher import WhisperEncoder

FRAMES_PER_STATE = 4  # the encoder's frames are 25 a second
FRAME_MULTIPLE = 32
PEAK = 0.5


@dataclass(frozen=True, slots=True)
class HeardClip:
    """A clip in memory, half precision: log-mel power and what the teacher makes of it."""

    log_mel: Tensor  # (T, MELS)
    states: Tensor  # (T', W)
    label: int  # index into EMOTIONS
    weight: float  # how often it is drawn in an epoch


def hear(clip: Clip, weight: float, teacher: WhisperEncoder) -> HeardClip:
    """Read a clip and compute what training needs of it."""
    waveform = torch.from_numpy(read_audio(clip.path))  # (samples,)
    waveform = PEAK * waveform / waveform.abs().max().clamp(min=1e-6)  # (samples,), as loud as the teacher is used to
    return HeardClip(LogMel()(waveform).half(), teacher(waveform).half(), EMOTIONS.index(clip.emotion), weight)


def standardise(clips: list[HeardClip]) -> list[HeardClip]:
    """The same clips, each dimension of the teacher's states with mean 0 and variance 1 over a sample of them."""
    sample = torch.cat([clip.states.float() for clip in clips[::20]])  # (T', W)
    mean, deviation = sample.mean(dim=0), sample.std(dim=0)  # (W,), (W,)
    return [replace(clip, states=((clip.states.float() - mean) / deviation).half()) for clip in clips]


def summaries_of(clips: list[HeardClip]) -> Tensor:
    """Mean and deviation over time of the teacher's states of each clip, standardised -> (clips, 2 W)."""
    states = (clip.states.float() for clip in clips)  # each (T', W)
    summaries = torch.stack([torch.cat([each.mean(dim=0), each.std(dim=0)]) for each in states])  # (clips, 2 W)
    return (summaries - summaries.mean(dim=0)) / summaries.std(dim=0)


class SpeechClassifier(nn.Module):
    """The speech encoder with its head, and a second head that predicts the teacher."""

    def __init__(self, config: SpeechConfig, teacher_width: int, dropout: float) -> None:
        super().__init__()
        self.encoder = SpeechEncoder(config)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(config.embedding, len(EMOTIONS))
        self.frame_imitation = nn.Linear(config.width, teacher_width)
        self.summary_imitation = nn.Linear(config.embedding, 2 * teacher_width)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, MELS), (B,) -> (B, C) scores, (frames, W) imitated states, (B, 2 W) imitated summaries of them."""
        states, padding = self.encoder.frames(features, lengths)  # (B, T', D), (B, T')
        embedding = self.dropout(self.encoder.embedding(states, padding))  # (B, E)
        return self.head(embedding), self.frame_imitation(states)[~padding], self.summary_imitation(embedding)


class SpeechTask:
    """Batches of augmented clips, cross-entropy plus imitation, and unweighted recall on dev."""

    metric = "uar"

    def __init__(
        self,
        model: SpeechClassifier,
        train: list[HeardClip],
        dev: list[HeardClip],
        recipe: SpeechRecipe,
    ) -> None:
        self.model = model
        self.train = train
        self.dev = dev
        self.recipe = recipe
        self.summaries = summaries_of(train)  # (clips, 2 W)

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
        features, targets = [], []
        for clip in clips:
            log_mel = clip.log_mel.float()  # (T, MELS)
            positions = frame_positions(log_mel)  # (T2,)
            features.append(spec_augment(normalise(new_recording(resample(log_mel, positions)))))  # (T2, MELS)
            targets.append(resample(clip.states.float(), positions[::FRAMES_PER_STATE] / FRAMES_PER_STATE))
        labels = torch.tensor([clip.label for clip in clips])  # (B,)
        scores, states, summaries = self.model(*pad(features, multiple=FRAME_MULTIPLE))
        return (
            nn.functional.cross_entropy(scores.float(), labels, label_smoothing=self.recipe.smoothing)
            + self.recipe.frame_imitation * nn.functional.mse_loss(states.float(), torch.cat(targets))
            + self.recipe.summary_imitation * nn.functional.mse_loss(summaries.float(), self.summaries[batch])
        )

    def evaluate(self) -> Scores:
        probabilities = predict(self.model, [clip.log_mel for clip in self.dev]).softmax(dim=1)  # (clips, C)
        truth = torch.tensor([clip.label for clip in self.dev])  # (clips,)
        return score(probabilities.numpy(), truth.numpy(), EMOTIONS)


def predict(model: SpeechClassifier, log_mels: list[Tensor], batch: int = 32) -> Tensor:
    """Scores for many clips -> (clips, C)."""
    scores = []
    for start in range(0, len(log_mels), batch):
        features = [normalise(log_mel.float()) for log_mel in log_mels[start : start + batch]]
        scores.append(model(*pad(features, multiple=FRAME_MULTIPLE))[0].float())  # (B, C)
    return torch.cat(scores)


def train_speech(
    recipe: SpeechRecipe, train: list[HeardClip], dev: list[HeardClip], folder: Path, seed: int
) -> tuple[SpeechClassifier, Scores]:
    """Train a speech classifier on clips in memory."""
    torch.manual_seed(seed)
    model = SpeechClassifier(recipe.encoder, train[0].states.shape[1], recipe.dropout)
    return model, fit("speech", model, SpeechTask(model, train, dev, recipe), recipe.loop, folder, seed)
