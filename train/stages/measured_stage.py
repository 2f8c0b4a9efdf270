"""Stage I, voice, against its own baseline: a frozen encoder, and a head that is fitted to what it says of acted clips.

What tells a voice are principal components of an utterance's features, and a baseline that nobody was heard of yet has
the deviation that one training voice has about its mean. The relative view is fitted to every clip as it is once all of
its speaker's were heard; the absolute one to the clip as it is. Both are linear, with one ridge penalty, which makes of
small components what they are: small. All of that has one solution, so there is nothing to be lucky or unlucky with.

Notation: M clips, F features, V numbers that tell a voice, C labels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from emotrack.models.baseline import VoiceSums
from emotrack.models.baseline_head import BaselineHead
from emotrack.models.labels import EMOTIONS
from emotrack.train.evaluation.calibration import fit_temperature
from emotrack.train.evaluation.metrics import Scores, score

STEPS = 80
LEAST = 1e-4  # deviation of a feature


class HeardClips(NamedTuple):
    """Clips as the frozen encoder hears them."""

    features: Tensor  # (M, F)
    targets: Tensor  # (M,) indices into EMOTIONS
    speakers: list[str]
    weights: Tensor  # (M,) how much each counts


def fit_head(head: BaselineHead, train: HeardClips, dev: HeardClips, penalty: float) -> Scores:
    """Fit ``head`` to clips; returns how well it tells single dev clips, of whose speakers nothing else was heard."""
    scale = _fit_voice(head, train)  # (V,)
    with torch.no_grad():
        voices = head.reduce(train.features.float())  # (M, V)
        _fit_variance(head, voices, train)
        heard = _heard_of_speakers(head, voices, train.speakers)
        views = torch.stack([voices, head.relative(voices, heard, heard)])  # (2, M, V)
    _fit_views(head, views, train, penalty)
    with torch.no_grad():
        alone = head.note(head.reduce(dev.features.float())).believed  # (m, C)
        temperature = fit_temperature(alone, dev.targets)  # what was heard so far is told by what was believed
        head.classify.weight.div_(temperature)
        head.classify.bias.div_(temperature)
        # Stages II and III read all of it, so no component should drown the others there.
        head.reduce.weight.div_(scale.unsqueeze(1))
        head.reduce.bias.div_(scale)
        head.variance.div_(scale.square())
        head.classify.weight.mul_(scale.repeat(2))
        voices = head.reduce(dev.features.float())  # (m, V)
        notes = head.note(voices)
        probabilities = head(head.relate(voices, notes, notes)).softmax(dim=1)  # (m, C)
    return score(probabilities.numpy(), dev.targets.numpy(), EMOTIONS)


@torch.no_grad()
def _fit_voice(head: BaselineHead, clips: HeardClips) -> Tensor:
    """Make of the standardised features their principal components; returns the square roots of their deviations."""
    share = (clips.weights / clips.weights.sum()).unsqueeze(1)  # (M, 1)
    features = clips.features.float()  # (M, F)
    mean = (share * features).sum(dim=0)  # (F,)
    deviation = (share * (features - mean).square()).sum(dim=0).sqrt() + LEAST  # (F,)
    standard = (features - mean) / deviation  # (M, F)
    variances, directions = torch.linalg.eigh(standard.T @ (share * standard))  # (F,), (F, F), the largest last
    kept = min(head.voice, len(variances))
    head.reduce.weight.zero_()
    head.reduce.weight[:kept] = directions.flip(1)[:, :kept].T / deviation  # (V, F)
    head.reduce.bias.copy_(-(head.reduce.weight @ mean))
    scale = torch.ones(head.voice)  # (V,)
    scale[:kept] = variances.flip(0)[:kept].clamp(min=LEAST).pow(0.25)
    return scale


def _fit_variance(head: BaselineHead, voices: Tensor, clips: HeardClips) -> None:
    names = sorted(set(clips.speakers))
    within = [voices[_clips_of(name, clips.speakers)].var(dim=0, correction=0) for name in names]  # (V,) each
    head.variance.copy_(torch.stack(within).mean(dim=0).clamp(min=LEAST))


def _heard_of_speakers(head: BaselineHead, voices: Tensor, speakers: list[str]) -> VoiceSums:
    """What was heard of the speaker of each clip, in all of them; the room is that speaker alone."""
    notes = head.note(voices).rows()
    sums: dict[str, VoiceSums] = {}
    for name, heard in zip(speakers, notes, strict=True):
        sums[name] = sums[name] + heard if name in sums else heard
    return VoiceSums.stacked([sums[name] for name in speakers])


def _fit_views(head: BaselineHead, views: Tensor, clips: HeardClips, penalty: float) -> None:
    """Both halves of the classifier, each as if it were alone, with one bias: (2, M, V)."""
    weights = torch.zeros(2, len(EMOTIONS), head.voice, requires_grad=True)  # (2, C, V)
    bias = torch.zeros(len(EMOTIONS), requires_grad=True)  # (C,)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=STEPS)
    share, targets = clips.weights / clips.weights.sum(), clips.targets.expand(2, -1)  # (M,), (2, M)

    def loss() -> Tensor:
        optimizer.zero_grad()
        scores = views @ weights.mT + bias  # (2, M, C)
        each = nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none")  # (2 M,)
        total = (share * each.view(2, -1)).sum() + penalty * weights.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        head.classify.weight.copy_(torch.cat([*weights], dim=1))
        head.classify.bias.copy_(bias)


def _clips_of(name: str, speakers: list[str]) -> list[int]:
    return [place for place, speaker in enumerate(speakers) if speaker == name]
