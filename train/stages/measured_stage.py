"""Stage I, voice, against its own baseline: a frozen encoder, and a head that is fitted to what it says of acted clips.

What tells a voice are principal components of an utterance's features, and a baseline that nobody was heard of yet has
the deviation that one training voice has about its mean. The relative view is fitted to every clip as it is once all of
its speaker's were heard; the absolute one to the clip as it is. Both are linear, with one ridge penalty, which makes of
small components what they are: small. All of that has one solution, so there is nothing to be lucky or unlucky with.

Copies of the clips in other rooms, all of which together count as much as the clip, make both views rely on what a room
and a microphone leave as it is.

A head with networks then learns these beside the lines (``view_networks``).

Notation: M clips, W versions of each, F features, V numbers that tell a voice, V' = V + 1 with its evidence, C labels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from emotrack.models.baseline import VoiceSums
from emotrack.models.baseline_head import BaselineHead, told_and_evidence
from emotrack.models.labels import EMOTIONS
from emotrack.train.evaluation.calibration import fit_temperature
from emotrack.train.evaluation.metrics import Scores, score
from emotrack.train.stages.view_networks import fit_networks

STEPS = 80
AFFECT_PENALTY = 10.0  # of the ridge regression
LEAST = 1e-4  # deviation of a feature


class HeardClips(NamedTuple):
    """Clips as the frozen encoder hears them."""

    features: Tensor  # (M, W, F), the clip as it is first
    frames: Tensor  # (M, W) of how many they are
    targets: Tensor  # (M,) indices into EMOTIONS
    speakers: list[str]
    weights: Tensor  # (M,) how much each counts
    affect: Tensor  # (M, 2) valence and arousal that each shows

    @property
    def shares(self) -> Tensor:
        """(M, W) of each version in all: half of a clip's for the clip as it is, where there are copies."""
        versions = torch.full((self.features.shape[1],), 1.0 / max(self.features.shape[1] - 1, 1))  # (W,)
        versions[0] = 1.0
        shares = self.weights.unsqueeze(1) * versions  # (M, W)
        return shares / shares.sum()

    def joined(self, others: HeardClips) -> HeardClips:
        """These clips and others, of each as many versions."""
        return HeardClips(
            torch.cat([self.features, others.features]),
            torch.cat([self.frames, others.frames]),
            torch.cat([self.targets, others.targets]),
            self.speakers + others.speakers,
            torch.cat([self.weights, others.weights]),
            torch.cat([self.affect, others.affect]),
        )


def fit_head(head: BaselineHead, train: HeardClips, dev: HeardClips, penalty: float) -> Scores:
    """Fit a head to clips; what is random is drawn from torch's own generator.

    Args:
        head: to be fitted.
        train: the clips.
        dev: clips of other speakers, by which it is made as sure as it is right.
        penalty: on the squared weights of both views.

    Returns:
        How well it tells single dev clips, of whose speakers nothing else was heard.
    """
    scale = _fit_voice(head, train)  # (V,)
    with torch.no_grad():
        voices = head.voices(train.features.float(), train.frames)  # (M, W, V')
        told, evidence = told_and_evidence(voices)  # (M, W, V), (M, W, 1)
        _fit_variance(head, told[:, 0], train)
        relative = [_relative(head, each, train.speakers) for each in voices.unbind(dim=1)]  # (M, V) each
        views = evidence * torch.stack([told, torch.stack(relative, dim=1)])  # (2, M, W, V)
    _fit_views(head, views, train, penalty)
    _fit_affect(head, views[0], train)
    with torch.no_grad():
        heard = dev.features[:, 0].float(), dev.frames[:, 0]  # (m, F), (m,)
        alone = head.sounds(head.voices(*heard))  # (m, C)
        temperature = fit_temperature(alone, dev.targets)  # what was heard so far is told by what was believed
        head.classify.weight.div_(temperature)
        head.classify.bias.div_(temperature)
        # Stages II and III read all of it, so no component should drown the others there.
        head.reduce.weight.div_(scale.unsqueeze(1))
        head.reduce.bias.div_(scale)
        head.variance.div_(scale.square())
        head.classify.weight[:, : head.views].mul_(scale.repeat(2))
        head.affect.weight.mul_(scale)
    if head.networks:
        fit_networks(head.networks, (views / scale).flatten(1, 2), train.shares, train.targets, train.speakers)
        _add_networks(head)
    if head.config.likeness:
        _fit_prototypes(head, views[1] / scale, evidence, train)
    with torch.no_grad():
        voices = head.voices(*heard)  # (m, V')
        notes = head.note(voices)
        probabilities = head(head.relate(voices, notes, notes)).softmax(dim=1)  # (m, C)
    return score(probabilities.numpy(), dev.targets.numpy(), EMOTIONS)


@torch.no_grad()
def _fit_voice(head: BaselineHead, clips: HeardClips) -> Tensor:
    """Make of the standardised features their principal components; returns the square roots of their deviations."""
    share = clips.shares.view(-1, 1)  # (M W, 1)
    features = clips.features.float().flatten(0, 1)  # (M W, F)
    mean = (share * features).sum(dim=0)  # (F,)
    deviation = (share * (features - mean).square()).sum(dim=0).sqrt() + LEAST  # (F,)
    standard = (features - mean) / deviation  # (M W, F)
    variances, directions = torch.linalg.eigh(standard.T @ (share * standard))  # (F,), (F, F), the largest last
    kept = min(head.config.voice, len(variances))
    head.reduce.weight.zero_()
    head.reduce.weight[:kept] = directions.flip(1)[:, :kept].T / deviation  # (V, F)
    head.reduce.bias.copy_(-(head.reduce.weight @ mean))
    scale = torch.ones(head.config.voice)  # (V,)
    scale[:kept] = variances.flip(0)[:kept].clamp(min=LEAST).pow(0.25)
    return scale


def _fit_variance(head: BaselineHead, voices: Tensor, clips: HeardClips) -> None:
    names = sorted(set(clips.speakers))
    within = [voices[_clips_of(name, clips.speakers)].var(dim=0, correction=0) for name in names]  # (V,) each
    head.variance.copy_(torch.stack(within).mean(dim=0).clamp(min=LEAST))


def _relative(head: BaselineHead, voices: Tensor, speakers: list[str]) -> Tensor:
    """(M, V') -> (M, V) against what was heard of the speaker of each clip in all of them, alone in the room."""
    notes = head.note(voices).rows()
    sums: dict[str, VoiceSums] = {}
    for name, heard in zip(speakers, notes, strict=True):
        sums[name] = sums[name] + heard if name in sums else heard
    heard = VoiceSums.stacked([sums[name] for name in speakers])
    told, _ = told_and_evidence(voices)  # (M, V)
    return head.relative(told, heard, heard)


def _fit_views(head: BaselineHead, views: Tensor, clips: HeardClips, penalty: float) -> None:
    """Both halves of the classifier, each as if it were alone, with one bias: (2, M, W, V)."""
    weights = torch.zeros(2, len(EMOTIONS), head.config.voice, requires_grad=True)  # (2, C, V)
    bias = torch.zeros(len(EMOTIONS), requires_grad=True)  # (C,)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=STEPS)
    copies = views.shape[2]
    share, targets = clips.shares.flatten(), clips.targets.repeat_interleave(copies).repeat(2)  # (M W,), (2 M W,)
    views = views.flatten(1, 2)  # (2, M W, V)

    def loss() -> Tensor:
        optimizer.zero_grad()
        scores = views @ weights.mT + bias  # (2, M W, C)
        each = nn.functional.cross_entropy(scores.flatten(0, 1), targets, reduction="none")  # (2 M W,)
        total = (share * each.view(2, -1)).sum() + penalty * weights.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        head.classify.weight.zero_()
        head.classify.weight[:, : head.views] = torch.cat([*weights], dim=1)
        head.classify.bias.copy_(bias)


@torch.no_grad()
def _add_networks(head: BaselineHead) -> None:
    """Give the networks, whose log probabilities are the end of the embedding, as much of a say as the lines."""
    head.classify.weight.div_(2.0)
    head.classify.bias.div_(2.0)
    head.classify.weight[:, head.views : head.thoughts] = 0.5 * torch.eye(head.labels)


@torch.no_grad()
def _fit_prototypes(head: BaselineHead, relative: Tensor, evidence: Tensor, clips: HeardClips) -> None:
    """What each label is like in the relative view, (M, W, V) as far as there is evidence, (M, W, 1)."""
    share = clips.shares.unsqueeze(-1)  # (M, W, 1)
    shows = nn.functional.one_hot(clips.targets, head.labels).to(relative.dtype)  # (M, C)
    total = shows.T @ (share * relative).sum(dim=1)  # (C, V)
    head.prototypes.copy_(total / (shows.T @ (share * evidence).sum(dim=1)).clamp(min=LEAST))
    head.classify.weight[:, head.thoughts :] = torch.eye(head.labels)


@torch.no_grad()
def _fit_affect(head: BaselineHead, told: Tensor, clips: HeardClips) -> None:
    """A ridge regression of what voices tell, (M, W, V), to the valence and arousal that they show."""
    share = clips.shares.view(-1, 1)  # (M W, 1)
    inputs = told.flatten(0, 1)  # (M W, V)
    targets = clips.affect.repeat_interleave(told.shape[1], dim=0)  # (M W, 2)
    middle, mean = (share * targets).sum(dim=0), (share * inputs).sum(dim=0)  # (2,), (V,)
    inputs, targets = inputs - mean, targets - middle
    squares = inputs.T @ (share * inputs) + AFFECT_PENALTY * torch.eye(head.config.voice)  # (V, V)
    weight = torch.linalg.solve(squares, inputs.T @ (share * targets)).T  # (2, V)
    head.affect.weight.copy_(weight)
    head.affect.bias.copy_(middle - weight @ mean)


def _clips_of(name: str, speakers: list[str]) -> list[int]:
    return [place for place, speaker in enumerate(speakers) if speaker == name]
