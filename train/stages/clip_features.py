"""What a frozen speech encoder says of acted clips: as they are, and of stretches of them that sound recorded anew.

Encoded once and kept on disk: stage I learns from it, and so do stages II and III.

Notation: M clips, V versions of each, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from emotrack.models.care import Care
from emotrack.models.whisper import WhisperFrontEnd
from emotrack.train.corpora.acted_corpora import Clip
from emotrack.train.data.audio import read_audio
from emotrack.train.data.augment import frame_positions, new_recording, resample, stretch
from emotrack.train.learning.loop import pad
from emotrack.train.running.cache import cached, origin_of
from emotrack.train.running.progress import track
from emotrack.train.running.ranks import training_device

CLIPS_AT_ONCE, TOGETHER = 16, 8  # that are read, whose versions are encoded
FRAME_MULTIPLE = 32


@dataclass(frozen=True, slots=True)
class Versions:
    """How often a clip is heard anew, and how much of it."""

    copies: int
    unheard: float  # share of a clip that is cut off each


def clip_features(encoder: Care, clips: list[Clip], versions: Versions, seed: int, path: Path) -> Tensor:
    """(M, V, F) half precision, the clip as it is first; as ``path`` keeps it, or else computed, and kept there.

    Raises:
        TrainError: a clip cannot be read.
    """

    def compute() -> dict[str, Tensor]:
        torch.manual_seed(seed)  # augmentation
        found = []
        for first in track(range(0, len(clips), CLIPS_AT_ONCE), "hear clips"):
            heard = [_heard(encoder, clip, versions) for clip in clips[first : first + CLIPS_AT_ONCE]]
            found.append(_encoded(encoder, [frames for each in heard for frames in each]))  # (B V, F)
        return {"features": torch.cat(found).view(len(clips), 1 + versions.copies, -1)}

    encoder.to(training_device())
    return cached(path, origin_of(encoder.state_dict(), (clips, versions, seed)), compute)["features"]


def _heard(encoder: Care, clip: Clip, versions: Versions) -> list[Tensor]:
    """V versions, (T, MELS) each."""
    front_end = encoder.front_end
    assert isinstance(front_end, WhisperFrontEnd)  # noqa: S101
    log_mel = front_end.log_mel(torch.from_numpy(read_audio(clip.path)).to(training_device())).cpu()  # (T, MELS)
    anew = [new_recording(resample(log_mel, frame_positions(log_mel))) for _ in range(versions.copies)]
    return [front_end.read(log_mel), *(stretch(front_end.read(each), versions.unheard) for each in anew)]


def _encoded(encoder: Care, heard: list[Tensor]) -> Tensor:
    """(T, MELS) each -> (N, F), those of like lengths together."""
    order = sorted(range(len(heard)), key=lambda place: len(heard[place]))
    found: list[Tensor] = [torch.empty(0)] * len(heard)
    for first in range(0, len(order), TOGETHER):
        places = order[first : first + TOGETHER]
        inputs, lengths = pad([heard[place] for place in places], multiple=FRAME_MULTIPLE)  # (B, T, MELS), (B,)
        features = encoder(inputs.to(training_device()), lengths.to(training_device())).layers  # (B, L, F / L)
        for place, each in zip(places, features.flatten(1).half().cpu(), strict=True):
            found[place] = each
    return torch.stack(found)
