"""Making one acted clip sound like many recordings, on its log-mel frames.

Everything a microphone, a room, a telephone line or another throat would do is, to first order, simple in this domain:
gains add, noise adds in power, reverberation smears power forward in time. So it costs milliseconds and no audio.

Notation: T frames of 10 ms, M mels; natural log power.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from emotrack.models.features import MELS

ACTIVE_BELOW_PEAK = 8.0  # nats (35 dB): quieter frames at either end are silence
MAX_MARGIN = 30  # frames of silence left around the words when they are cut out
WARP = 0.12  # tempo and voice vary by this share
TELEPHONE_MELS = slice(10, 58)  # about 300 to 3400 Hz
REVERBERATION = 50  # frames
SPEC_MASKS = 2
MAX_MEL_MASK = 8  # mels
SHORTEST_STRETCH = 20  # frames, or all of a shorter clip: 0.2 s
MAX_TIME_MASK = 0.1  # of the frames


def active_span(log_mel: Tensor) -> tuple[int, int]:
    """First and one past the last frame that is not silence, of (T, M)."""
    loudness = log_mel.logsumexp(dim=1)  # (T,)
    active = (loudness > loudness.max() - ACTIVE_BELOW_PEAK).nonzero()  # (A, 1)
    return int(active[0]), int(active[-1]) + 1


def frame_positions(log_mel: Tensor) -> Tensor:
    """A new tempo and, mostly, less silence: (T', ) the positions in (T, M) that the new frames come from."""
    first, end = 0, len(log_mel)
    if _chance(0.75):
        before, after = torch.randint(MAX_MARGIN + 1, (2,)).tolist()
        start, stop = active_span(log_mel)
        first, end = max(0, start - before), min(end, stop + after)
    frames = max(2, round((end - first) / _around_one()))
    return torch.linspace(first, end - 1, frames)  # (T',)


def resample(frames: Tensor, positions: Tensor) -> Tensor:
    """Linear interpolation of (T, D) at (T',) positions -> (T', D)."""
    positions = positions.clamp(0, len(frames) - 1)  # (T',)
    below = positions.floor().long()  # (T',)
    above = (below + 1).clamp(max=len(frames) - 1)  # (T',)
    share = (positions - below).unsqueeze(1)  # (T', 1)
    return frames[below] * (1.0 - share) + frames[above] * share  # (T', D)


def stretch(frames: Tensor, unheard: float) -> Tensor:
    """A stretch of a clip, (T, M) -> (T', M): as much as is not to be cut off, from anywhere in it."""
    length = min(len(frames), max(SHORTEST_STRETCH, round(len(frames) * (1.0 - unheard))))
    start = int(torch.randint(len(frames) - length + 1, ()))
    return frames[start : start + length]


def new_recording(log_mel: Tensor) -> Tensor:
    """Another throat, room, line and microphone: (T, M) -> (T, M)."""
    if _chance(0.5):
        log_mel = resample(log_mel.T, torch.arange(MELS) * _around_one()).T  # (T, M)
    if _chance(0.2):
        log_mel = _reverberated(log_mel)
    if _chance(0.5):
        log_mel = log_mel + _colour()  # (T, M)
    if _chance(0.3):
        log_mel = torch.logaddexp(log_mel, _noise(log_mel))  # (T, M)
    if _chance(0.05):
        line = torch.full((MELS,), -20.0)  # (M,)
        line[TELEPHONE_MELS] = 0.0
        log_mel = log_mel + line  # (T, M)
    return log_mel


def spec_augment(features: Tensor) -> Tensor:
    """Hide bands and stretches of normalised features, (T, M) -> (T, M) (Park et al. 2019)."""
    features = features.clone()
    for _ in range(SPEC_MASKS):
        width = int(torch.randint(MAX_MEL_MASK + 1, ()))
        low = int(torch.randint(MELS - width + 1, ()))
        features[:, low : low + width] = 0.0
        length = int(torch.randint(int(MAX_TIME_MASK * len(features)) + 1, ()))
        start = int(torch.randint(len(features) - length + 1, ()))
        features[start : start + length] = 0.0
    return features


def _reverberated(log_mel: Tensor) -> Tensor:
    decay = torch.empty(()).uniform_(0.75, 0.93)  # of power a frame: 0.5 to 1.9 s to fall by 60 dB
    direct = torch.empty(()).uniform_(0.02, 0.2)  # how loud the first echo is
    tail = direct * decay ** torch.arange(REVERBERATION)  # (R,)
    tail[0] = 1.0
    power = log_mel.exp().T.unsqueeze(1)  # (M, 1, T)
    smeared = nn.functional.conv1d(nn.functional.pad(power, (REVERBERATION - 1, 0)), tail.flip(0).view(1, 1, -1))
    return smeared.squeeze(1).T.clamp(min=1e-10).log()  # (T, M)


def _colour() -> Tensor:
    """A smooth frequency response, (M,), of a few decibels."""
    place = torch.linspace(0.0, torch.pi, MELS)  # (M,)
    waves = torch.stack([torch.cos(place * order) for order in (1, 2, 3)])  # (3, M)
    return torch.randn(3) * torch.tensor([0.8, 0.5, 0.3]) @ waves  # (M,)


def _noise(log_mel: Tensor) -> Tensor:
    """Coloured noise, (T, M), 5 to 40 dB below the mean power of the speech."""
    snr = torch.empty(()).uniform_(1.15, 9.2)  # nats
    level = log_mel.logsumexp(dim=(0, 1)) - math.log(log_mel.numel()) - snr  # ()
    roughness = -torch.rand(log_mel.shape).clamp(min=1e-6).log()  # (T, M) exponential, as the power of noise is
    return level + _colour() * 2.0 + roughness.clamp(min=1e-6).log()  # (T, M)


def _around_one() -> float:
    return float(torch.empty(()).uniform_(1.0 - WARP, 1.0 + WARP))


def _chance(share: float) -> bool:
    return float(torch.rand(())) < share
