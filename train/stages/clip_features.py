"""What a frozen speech encoder says of acted clips: as they are, recorded in other rooms, and of stretches of them.

All of that also of clips at the speed of the other gender's voices.

Encoded once and kept on disk: stage I learns from it, and so do stages II and III. Rooms and stretches are the same for
every seed, so that runs of several seeds share what is encoded.

Notation: M clips, V versions of each, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from emotrack.models.care import Care
from emotrack.models.whisper import WhisperFrontEnd
from emotrack.train.corpora.acted_corpora import Clip
from emotrack.train.data.augment import stretch
from emotrack.train.data.crossed import read_clip
from emotrack.train.data.rooms import recorded_elsewhere
from emotrack.train.learning.loop import pad
from emotrack.train.running.cache import cached, origin_of
from emotrack.train.running.progress import track
from emotrack.train.running.ranks import training_device

CLIPS_AT_ONCE, TOGETHER = 16, 8  # that are read, whose versions are encoded
FRAME_MULTIPLE = 32
DRAWN_WITH = 0  # seed of rooms and stretches, and of whatever else is drawn once for all seeds


class ClipFeatures(NamedTuple):
    """What an encoder says of each version of each clip."""

    features: Tensor  # (M, V, F) half precision
    frames: Tensor  # (M, V) of how many they are


@dataclass(frozen=True, slots=True)
class Versions:
    """How often a clip is heard anew, and how much of it."""

    whole: int = 0  # each in another room
    stretches: int = 0  # every second one in another room
    unheard: float = 0.0  # share of a clip that is cut off for a stretch
    crossed: bool = False  # of clips, whose speakers' gender is known, at the speed of the other gender's voices

    @property
    def count(self) -> int:
        """With the clip as it is."""
        return 1 + self.whole + self.stretches


def clip_features(encoder: Care, clips: list[Clip], versions: Versions, path: Path) -> ClipFeatures:
    """Of the clip as it is, then of whole copies, then of stretches of it.

    As ``path`` keeps it, or else computed, and kept there.

    Raises:
        TrainError: a clip cannot be read.
    """

    def compute() -> dict[str, Tensor]:
        torch.manual_seed(DRAWN_WITH)
        features, frames = [], []
        for first in track(range(0, len(clips), CLIPS_AT_ONCE), "hear clips"):
            heard = [_heard(encoder, clip, versions) for clip in clips[first : first + CLIPS_AT_ONCE]]
            found = _encoded(encoder, [version for each in heard for version in each])
            features.append(found.features)
            frames.append(found.frames)
        shape = len(clips), versions.count
        return {"features": torch.cat(features).view(*shape, -1), "frames": torch.cat(frames).view(shape)}

    encoder.to(training_device())
    return ClipFeatures(**cached(path, origin_of(encoder.state_dict(), (clips, versions, DRAWN_WITH)), compute))


def _heard(encoder: Care, clip: Clip, versions: Versions) -> list[Tensor]:
    """V versions, (T, MELS) each."""
    front_end = encoder.front_end
    assert isinstance(front_end, WhisperFrontEnd)  # noqa: S101
    samples = read_clip(clip, is_crossed=versions.crossed)  # (samples,)
    whole = [samples, *(recorded_elsewhere(samples) for _ in range(versions.whole))]
    parts = [recorded_elsewhere(samples) if place % 2 else samples for place in range(versions.stretches)]
    frames = [front_end.prepare(each.to(training_device())).cpu() for each in (*whole, *parts)]  # (T, MELS) each
    return [*frames[: len(whole)], *(stretch(each, versions.unheard) for each in frames[len(whole) :])]


def _encoded(encoder: Care, heard: list[Tensor]) -> ClipFeatures:
    """(T, MELS) each -> (N, F) and (N,), those of like lengths together."""
    order = sorted(range(len(heard)), key=lambda place: len(heard[place]))
    found: list[Tensor] = [torch.empty(0)] * len(heard)
    counted = torch.zeros(len(heard))  # (N,)
    for first in range(0, len(order), TOGETHER):
        places = order[first : first + TOGETHER]
        inputs, lengths = pad([heard[place] for place in places], multiple=FRAME_MULTIPLE)  # (B, T, MELS), (B,)
        heard_now = encoder(inputs.to(training_device()), lengths.to(training_device()))
        counted[places] = heard_now.frames.float().cpu()
        for place, each in zip(places, heard_now.layers.flatten(1).half().cpu(), strict=True):
            found[place] = each
    return ClipFeatures(torch.stack(found), counted)
