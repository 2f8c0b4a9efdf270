"""The last step of a voice: the upper blocks of its Whisper are tuned beneath the head, which stays as it is.

They learn from acted clips by the two linear views of the head, copies of which go on learning and are thrown away. The
voice is its own teacher, which keeps the head at home above them, and natural speech heard as before: half of every
target is what all of it, as it was, makes of the same recording, the numbers that tell a voice are held where they
were, and weights are drawn back at every step. What is kept is the mean of the weights of several runs, which draw
otherwise: it gains what one of them does, and loses less of natural speech.

Notation: B clips of one speaker, T frames, V numbers that tell a voice, V' = V + 1 with its evidence, C labels.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from emotrack.models.baseline import VoiceSums
from emotrack.models.baseline_head import BaselineHead, told_and_evidence
from emotrack.models.care import Care, CareStates, run_layers
from emotrack.models.labels import EMOTIONS
from emotrack.train.corpora.acted_corpora import Clip
from emotrack.train.data.crossed import read_clip, that_can_be_crossed
from emotrack.train.data.rooms import recorded_elsewhere
from emotrack.train.errors import DivergedError
from emotrack.train.learning.loop import arithmetic, pad
from emotrack.train.recipes.recipe import MeasuredSpeechRecipe, Recipe, TuningRecipe
from emotrack.train.running.cache import origin_of
from emotrack.train.running.files import read_facts, read_whole, write_whole
from emotrack.train.running.progress import epochs_bar
from emotrack.train.running.ranks import rank, rank_0_first, training_device
from emotrack.train.stages.clip_features import FRAME_MULTIPLE
from emotrack.train.stages.readings import dev_conversations, train_clips
from emotrack.train.stages.stage_one import calibrate, clip_weights
from emotrack.train.stages.stages import start, write

CLIP = 1.0  # largest norm of a gradient
SEED_APART = 1_000  # what is drawn in the runs of one seed and of the next


@dataclass(frozen=True, slots=True)
class SpeakersClips:
    """Whose clips are heard together."""

    clips: list[Clip]
    crossed: bool  # at the speed of the other gender's voices
    weight: float  # how often they are drawn


def speakers_of(clips: list[Clip], recipe: MeasuredSpeechRecipe) -> list[SpeakersClips]:
    """The speakers of clips and, where the recipe has them, those of their crossed copies, as they count in stage I."""
    found = _grouped(clips, clip_weights(clips, recipe.draws), is_crossed=False)
    if recipe.crossed:
        known = that_can_be_crossed(clips)
        found += _grouped(known, recipe.crossed * clip_weights(known, recipe.draws), is_crossed=True)
    return found


def _grouped(clips: list[Clip], weights: Tensor, *, is_crossed: bool) -> list[SpeakersClips]:
    own: dict[str, list[tuple[Clip, float]]] = {}
    for clip, weight in zip(clips, weights.tolist(), strict=True):
        own.setdefault(clip.speaker, []).append((clip, weight))
    return [
        SpeakersClips([clip for clip, _ in each], is_crossed, sum(weight for _, weight in each))
        for each in own.values()
    ]


def run_tuning(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Tune the upper blocks of ``out/stage3`` as the recipe says and write ``out/tuned``, as sure as it is right.

    Raises:
        BundleError: stage III has not been run.
        TrainError: data that is missing or malformed, a training that went wrong, or a folder with another run in it.
    """
    network, measured = start(recipe, data, out, seed, "stage3", stage=3)
    network.requires_grad_(False)
    speech, encoder, head = recipe.speech, network.speech_encoder, network.speech_head
    assert isinstance(speech, MeasuredSpeechRecipe)  # noqa: S101
    assert speech.tuning is not None  # noqa: S101
    assert isinstance(encoder, Care)  # noqa: S101
    assert isinstance(head, BaselineHead)  # noqa: S101
    tune(encoder, head, speakers_of(train_clips(speech, data), speech), speech.tuning, out, seed)
    calibrate(network, replace(dev_conversations(network, recipe, data, out), text=[]))  # what was tuned is surer
    return write(network, out / "tuned", measured)


def tune(
    encoder: Care, head: BaselineHead, speakers: list[SpeakersClips], options: TuningRecipe, out: Path, seed: int
) -> None:
    """Put in the place of an encoder's upper blocks the mean of what several runs make of them.

    Args:
        encoder: of the voice, on the training device; it requires no gradient.
        head: above it, likewise.
        speakers: to learn from.
        options: how.
        out: gets ``tuned-RUN.safetensors``, the blocks of each run; one that is there is not made again.
        seed: of whatever is drawn; each run draws otherwise.

    Raises:
        TrainError: a clip cannot be read, or the loss is no longer finite.
    """
    voice = nn.ModuleList([encoder, head]).state_dict()
    found = []
    for run in range(options.runs):
        path, origin = out / f"tuned-{run}.safetensors", origin_of(voice, (speakers, options, seed))
        with rank_0_first():
            if not path.is_file() or read_facts(path).get("origin") != origin:
                torch.manual_seed(SEED_APART * seed + run)
                tuned = _tuned(encoder, head, speakers, options, f"tune {run + 1} of {options.runs}")
                write_whole({name: value.cpu() for name, value in tuned.items()}, path, {"origin": origin})
            found.append(read_whole(path)[0])
    mean = {name: torch.stack([each[name] for each in found]).mean(dim=0) for name in found[0]}
    encoder.common[options.frozen :].load_state_dict(mean)


def _tuned(
    encoder: Care, head: BaselineHead, speakers: list[SpeakersClips], options: TuningRecipe, name: str
) -> dict[str, Tensor]:
    """The upper blocks of an encoder, tuned once; what is random is drawn from torch's own generator."""
    teacher, learner = (_Voice(each, head, options.frozen) for each in (encoder, copy.deepcopy(encoder)))
    blocks = [each.requires_grad_(True) for each in learner.upper.parameters()]
    was = [*teacher.upper.parameters()]
    lines = _LinearViews(head)
    trained = [*blocks, *lines.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=options.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    weights = torch.tensor([each.weight for each in speakers])  # (S,)
    with epochs_bar(hidden=rank() > 0) as progress:
        bar = progress.add_task(name, total=options.steps, note="")
        for _ in range(options.steps):
            drawn = torch.multinomial(weights, min(options.speakers, len(speakers))).tolist()
            optimizer.zero_grad(set_to_none=True)
            total = 0.0
            for place, index in enumerate(drawn):
                inputs, lengths, targets = _recorded(encoder, speakers[index], options.clips, in_rooms=place % 2 == 1)
                loss = _loss(learner, teacher, lines, (inputs, lengths, targets), options) / len(drawn)
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.item()
            if not math.isfinite(total):
                raise DivergedError(f"{name}: the loss is no longer finite")
            nn.utils.clip_grad_norm_(trained, CLIP)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                for each, before in zip(blocks, was, strict=True):
                    each.lerp_(before, options.back)
            progress.update(bar, advance=1, note=f"loss {total:.3f}")
    return learner.upper.state_dict()


class _Voice:
    """An encoder in two parts, of which the upper one is tuned, beneath a head."""

    def __init__(self, encoder: Care, head: BaselineHead, frozen: int) -> None:
        self.encoder, self.head = encoder, head
        self.lower, self.upper = encoder.common[:frozen], encoder.common[frozen:]

    @torch.no_grad()
    def begin(self, inputs: Tensor, lengths: Tensor) -> tuple[list[Tensor], Tensor]:
        """(B, T0, MELS), (B,) -> (B, T, D) of the stem and of each frozen block, (B, T) True where padded."""
        frames, padding = self.encoder.front_end(inputs, lengths)
        return run_layers(self.lower, frames, padding), padding

    def finish(self, begun: list[Tensor], padding: Tensor) -> Tensor:
        """What ``begin`` gives -> (B, V') what tells each voice."""
        every = torch.stack([*begun, *run_layers(self.upper, begun[-1], padding)[1:]], dim=1)  # (B, L, T, D)
        with torch.autocast(every.device.type, enabled=False):
            found: Tensor = self.head.embed(self.encoder.pool(CareStates(every, every.detach(), padding)))
        return found


class _LinearViews(nn.Module):
    """The linear classifiers of a head's two views, each with all of the say."""

    def __init__(self, head: BaselineHead) -> None:
        super().__init__()
        say = 2.0 if head.networks else 1.0  # beside networks, lines have half of it
        weight = say * head.classify.weight.detach()[:, : head.views]  # (C, 2 V)
        self.weight = nn.Parameter(torch.stack(weight.chunk(2, dim=1)))  # (2, C, V)
        self.bias = nn.Parameter(say * head.classify.bias.detach())  # (C,)

    def forward(self, views: Tensor) -> Tensor:
        """(2, B, V) -> (2, B, C) scores."""
        scores: Tensor = views @ self.weight.mT + self.bias
        return scores


def _loss(
    learner: _Voice,
    teacher: _Voice,
    lines: _LinearViews,
    heard: tuple[Tensor, Tensor, Tensor],
    options: TuningRecipe,
) -> Tensor:
    """Of some clips of one speaker, ``heard`` as ``_recorded`` gives them."""
    inputs, lengths, targets = heard
    with arithmetic(inputs.device, half=True):
        begun, padding = learner.begin(inputs, lengths)
        with torch.no_grad():
            before = teacher.finish(begun, padding)  # (B, V')
        now = learner.finish(begun, padding)  # (B, V')
    head = teacher.head
    with torch.no_grad():
        sums = _together(head.note(before))
        opinions = head(head.relate(before, sums, sums)).softmax(dim=1)  # (B, C)
    labels = nn.functional.one_hot(targets, opinions.shape[1])  # (B, C)
    wanted = torch.lerp(labels.to(opinions.dtype), opinions, options.opinions)  # (B, C)
    told, evidence = told_and_evidence(now)  # (B, V), (B, 1)
    sums = _together(head.note(now))
    scores: Tensor = lines(evidence * torch.stack([told, head.relative(told, sums, sums)]))  # (2, B, C)
    by_views = -(wanted * scores.log_softmax(dim=-1)).sum(dim=-1).mean(dim=1).sum()
    was = before[:, :-1]  # (B, V)
    shift = (told - was).square().sum() / (was - was.mean(dim=0)).square().sum()
    return by_views + shift


def _together(notes: VoiceSums) -> VoiceSums:
    """What was heard in all of some turns, for each of them."""
    return VoiceSums(**{name: each.sum(dim=0).expand_as(each) for name, each in notes.tensors().items()})


def _recorded(encoder: Care, speaker: SpeakersClips, count: int, *, in_rooms: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Some of a speaker's clips, labels alike, each in another room or as it is.

    Returns:
        (B, T0, MELS) padded, (B,) lengths, and (B,) indices into EMOTIONS.
    """
    targets = torch.tensor([EMOTIONS.index(clip.emotion) for clip in speaker.clips])  # (M,)
    chances = 1.0 / targets.bincount()[targets]  # (M,)
    drawn = torch.multinomial(chances, min(count, len(chances)))  # (B,)
    frames = []
    for place in drawn.tolist():
        samples = read_clip(speaker.clips[place], is_crossed=speaker.crossed)  # (samples,)
        samples = recorded_elsewhere(samples) if in_rooms else samples
        frames.append(encoder.prepare(samples.to(training_device())))  # (T0, MELS)
    inputs, lengths = pad(frames, multiple=FRAME_MULTIPLE)  # (B, T0, MELS), (B,)
    return inputs, lengths.to(inputs.device), targets[drawn].to(inputs.device)
