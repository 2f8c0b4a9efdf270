"""Stage I: one classifier for words and one for the voice, each turn on its own, put together as a first bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from tokenizers import Tokenizer
from torch import Tensor, nn

from emotrack.models.baseline_head import BaselineHead, build_speech_head
from emotrack.models.bundle import BundleError, load_bundle, save_bundle
from emotrack.models.care import Care
from emotrack.models.config import NetworkConfig
from emotrack.models.encoders import AnySpeechConfig, AnyTextConfig
from emotrack.models.heads import SpeechHead
from emotrack.models.labels import AFFECT, EMOTIONS
from emotrack.models.network import EmotionNetwork
from emotrack.train.corpora import Corpus, read_text_corpus
from emotrack.train.corpora.acted_corpora import Clip, read_clips, split_of
from emotrack.train.data.conversations import prefixes
from emotrack.train.data.crossed import that_can_be_crossed
from emotrack.train.data.given import read_with_given
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.calibration import fit_temperature
from emotrack.train.learning.lora import adapted
from emotrack.train.learning.losses import UNLABELLED
from emotrack.train.recipes.recipe import ActedSpeechRecipe, FrozenSpeechRecipe, MeasuredSpeechRecipe, Recipe
from emotrack.train.running.files import write_json
from emotrack.train.running.progress import track
from emotrack.train.running.provenance import addresses, check_data, made_by
from emotrack.train.running.ranks import rank, rank_0_first, training_device
from emotrack.train.stages.clip_features import ClipFeatures, Versions, clip_features
from emotrack.train.stages.first_weights import frozen_encoder, gather, pretrained_care, pretrained_words
from emotrack.train.stages.frozen_speech_stage import train_speech_head
from emotrack.train.stages.given_stage import train_given_voice, train_given_words
from emotrack.train.stages.measured_stage import HeardClips, fit_head
from emotrack.train.stages.readings import Dev, dev_conversations, train_clips, train_features
from emotrack.train.stages.saved_care import care_address
from emotrack.train.stages.second_opinion import read_opinions
from emotrack.train.stages.speech_stage import HeardClip, hear, standardise, train_speech
from emotrack.train.stages.speech_teacher import WhisperEncoder
from emotrack.train.stages.text_stage import TextClassifier, train_text
from emotrack.train.stages.text_teacher import opinions
from emotrack.train.stages.whisper_weights import load_whisper

INTENSITIES = {"normal": 0.6, "strong": 1.0, None: 0.8}  # of acting, as a share of what an emotion's name means


@dataclass(frozen=True, slots=True)
class Voice:
    """A trained speech encoder and head, and the measurements made on the way."""

    config: AnySpeechConfig
    encoder: nn.Module
    head: SpeechHead | BaselineHead
    metrics: dict[str, Any]


def run_stage_one(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Train both classifiers and write the bundle ``out/stage1``, which scores each turn alone, unless it is there.

    Raises:
        TrainError: data that is missing or malformed, a training that went wrong, or a folder with another run in it.
        HubError: an encoder that cannot be had.
    """
    with rank_0_first():
        claim(out, recipe, seed, care=care_address(data["care"]) if "care" in data else None)
    if (measured := _measured(out / "stage1")) is not None:
        check_data(measured, data, out / "stage1")
        return out / "stage1"
    with rank_0_first():
        corpus = gather(recipe, data)
    if recipe.text.opinion is not None and "words" not in data:
        read_opinions(recipe.text.opinion, data, corpus.labels)  # now, as it is needed last
    learned_from = addresses(data)
    words, config, tokenizer, scores = train_words(recipe, data, out, seed)
    voice = _voice(recipe, data, out, seed)
    network = EmotionNetwork(
        NetworkConfig(
            name=recipe.name,
            labels=corpus.labels,
            stands_for=recipe.labels,
            stage=1,
            context=recipe.conversations.window,
            text=config,
            speech=voice.config,
            speech_head=recipe.speech.head,
            conversation=recipe.network,
        ),
        tokenizer,
    )
    network.text_encoder.load_state_dict(words.encoder.state_dict())
    network.text_head.load_state_dict(words.head.state_dict())
    network.speech_encoder.load_state_dict(voice.encoder.state_dict())
    network.speech_head.load_state_dict(voice.head.state_dict())
    # As a bundle keeps it, so that later stages find what is encoded here to be their own.
    network.load_state_dict({name: value.half().float() for name, value in network.state_dict().items()})
    network.eval().to(training_device())
    calibrate(network, dev_conversations(network, recipe, data, out))
    metrics = {
        "seed": seed,
        **_pretraining(data),
        "data": learned_from,
        "made": made_by(recipe),
        "stage1": {"text": scores, **voice.metrics},
    }
    if rank() == 0:
        save_bundle(network, out / "stage1", metrics, f"# {recipe.name}, stage I\n\nOne stage of three, not for use.\n")
    return out / "stage1"


def _measured(folder: Path) -> dict[str, Any] | None:
    """The metrics of a bundle that is whole."""
    try:
        return load_bundle(folder).metrics
    except BundleError:  # there is none, or a kill left a part of one
        return None


@torch.inference_mode()
def calibrate(network: EmotionNetwork, dev: Dev) -> None:
    """Make both classifiers as sure as they are right: Stage II adds to their scores, and an only turn keeps them."""
    for what, head, dialogues in (
        ("text", network.text_head, dev.text),
        ("speech", network.speech_head, dev.speech),
    ):
        seen = [prefix for each in dialogues for prefix in prefixes(each, network.default_context)]
        seen = [each for each in seen if getattr(each.turns[-1], what) is not None and each.targets[-1] != UNLABELLED]
        if seen:
            turns = network.collate([each.turns for each in seen])
            newest = getattr(turns, what)[torch.arange(len(seen)), turns.lengths - 1]  # (N, E)
            truth = torch.stack([each.targets[-1] for each in seen])  # (N,)
            temperature = fit_temperature(head(newest).cpu().softmax(dim=1), truth)
            head.classify.weight.div_(temperature)
            head.classify.bias.div_(temperature)


def claim(out: Path, recipe: Recipe, seed: int, **made_of: str | None) -> None:
    """Note in a folder which run it holds, so that only the same run goes on in it.

    Args:
        out: the folder.
        recipe: of the run.
        seed: of the run.
        made_of: content addresses of what else it is made of, and how, under their names. What is not named, or was not
            when the folder was claimed, is not compared.

    Raises:
        TrainError: it holds another.
    """
    run = TypeAdapter(Recipe).dump_python(recipe, mode="json") | {"seed": seed} | made_of
    note = out / "run.json"
    try:
        kept = json.loads(note.read_text()) if note.is_file() else {}
    except ValueError as error:
        raise TrainError(f"{note}: is damaged; without it, the folder is taken for one of this run") from error
    if any(kept[name] != value for name, value in run.items() if name in kept):
        *others, last = ["recipe", "seed", *(name for name, value in made_of.items() if value)]
        raise TrainError(f"{out}: holds a run with another {', '.join(others)} or {last}: choose another --out")
    if rank() == 0:  # the others may all be here at once
        out.mkdir(parents=True, exist_ok=True)
        write_json(kept | run, note)


def train_words(
    recipe: Recipe, data: dict[str, Path], out: Path, seed: int
) -> tuple[TextClassifier, AnyTextConfig, Tokenizer, dict[str, Any]]:
    """The trained classifier of words, what its encoder is, its vocabulary, and its scores. Raises as stage I.

    Where ``data`` has ``words``, a bundle, its words are taken as they are (and so does stage II).
    """
    if "words" in data:
        return _trained_words(data["words"])
    if recipe.text.features:
        return train_given_words(recipe, data, out, seed)
    encoder, config, tokenizer = pretrained_words(recipe, data)
    with adapted(encoder, recipe.text.lora, seed):
        for phase in recipe.text.phases:
            labels = recipe.labels if phase.corpus == recipe.corpus else None
            train, dev = (read_text_corpus(phase.corpus, data[phase.corpus], part, labels) for part in ("train", "dev"))
            says = None
            if recipe.text.teacher and phase is recipe.text.phases[-1]:
                says = opinions(recipe.text, recipe.text.teacher, (train, dev), data, out, seed)
            words, scores = train_text(
                f"text-{phase.corpus}", encoder, tokenizer, (train, dev), phase, recipe.text.dropout, out, seed, says
            )
    return words, config, tokenizer, scores.to_dict()


def _trained_words(folder: Path) -> tuple[TextClassifier, AnyTextConfig, Tokenizer, dict[str, Any]]:
    trained = load_bundle(folder)
    words = TextClassifier(trained.text_encoder, trained.text_head.embedding, len(trained.labels), dropout=0.0)
    words.head.load_state_dict(trained.text_head.state_dict())
    scores = trained.metrics.get("stage1", {}).get("text", {})
    return words, trained.config.text, trained.tokenizer, scores


def _pretraining(data: dict[str, Path]) -> dict[str, Any]:
    """What the folders of a text encoder and of a CARE that were pre-trained here say of that."""
    found: dict[str, Any] = {}
    for folder, name in (("encoder", "pretraining"), ("care", "care")):
        note = data[folder] / "metrics.json" if folder in data else None
        metrics = json.loads(note.read_text()) if note and note.is_file() else {}
        found |= {name: metrics[name]} if name in metrics else {}
    return found


def _voice(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Voice:
    if isinstance(recipe.speech, ActedSpeechRecipe):
        return _acted_voice(recipe.speech, data, out, seed)
    if isinstance(recipe.speech, MeasuredSpeechRecipe):
        unheard = recipe.pairing.unheard if recipe.pairing is not None else 0.0
        return _measured_voice(recipe.speech, unheard, data, out, seed)
    corpora = [read_with_given(recipe.corpus, data, split, recipe.labels) for split in ("train", "dev")]
    return _frozen_voice(recipe.speech, (corpora[0], corpora[1]), data, out, seed)


def _measured_voice(recipe: MeasuredSpeechRecipe, unheard: float, data: dict[str, Path], out: Path, seed: int) -> Voice:
    encoder = load_whisper(data["speech-encoder"], recipe.encoder)
    clips = train_clips(recipe, data)
    dev = [clip for corpus in recipe.draws for clip in read_clips(data[corpus]) if split_of(clip.speaker) == "dev"]
    if not clips or not dev:
        raise TrainError(f"no acted clips of a train and a dev speaker in {', '.join(recipe.draws)}")
    out.mkdir(parents=True, exist_ok=True)
    versions = train_features(encoder, clips, recipe, unheard, out)
    whole = ClipFeatures(*(each[:, : 1 + recipe.rooms] for each in versions))
    heard = clip_features(encoder, dev, Versions(), out / "clip-features-dev.safetensors")
    known, others = (_heard_clips(*each, recipe.draws) for each in ((whole, clips), (heard, dev)))
    if recipe.crossed:
        known = known.joined(_crossed(encoder, clips, recipe, out))
    torch.manual_seed(seed)  # of the networks beside the linear views
    head = build_speech_head(encoder, len(EMOTIONS), recipe.head)
    assert isinstance(head, BaselineHead)  # noqa: S101
    scores = fit_head(head, known, others, recipe.penalty)
    return Voice(recipe.encoder, encoder.cpu(), head, {"speech": scores.to_dict()})


def _crossed(encoder: Care, clips: list[Clip], recipe: MeasuredSpeechRecipe, out: Path) -> HeardClips:
    """The clips at the speed of the other gender's voices, as those of further speakers."""
    clips = that_can_be_crossed(clips)
    versions = Versions(recipe.rooms, crossed=True)
    heard = clip_features(encoder, clips, versions, out / "clip-features-crossed.safetensors")
    found = _heard_clips(heard, clips, recipe.draws)
    return found._replace(
        speakers=[f"{speaker} crossed" for speaker in found.speakers], weights=recipe.crossed * found.weights
    )


def _heard_clips(heard: ClipFeatures, clips: list[Clip], draws: dict[str, float]) -> HeardClips:
    intensities = torch.tensor([INTENSITIES[clip.intensity] for clip in clips])  # (M,)
    return HeardClips(
        heard.features,
        heard.frames,
        torch.tensor([EMOTIONS.index(clip.emotion) for clip in clips]),
        [clip.speaker for clip in clips],
        clip_weights(clips, draws),
        torch.tensor([AFFECT[clip.emotion] for clip in clips]) * intensities.unsqueeze(1),
    )


def clip_weights(clips: list[Clip], draws: dict[str, float]) -> Tensor:
    """(M,) how much each clip counts, by its corpus and so that women and men count alike."""
    corpora = [clip.speaker.partition("-")[0] for clip in clips]  # speakers' names begin with it
    weights = torch.tensor([draws[corpus] for corpus in corpora])  # (M,)
    return _genders_alike(weights, [clip.traits.get("gender") for clip in clips])


def _genders_alike(weights: Tensor, genders: list[str | None]) -> Tensor:
    """(M,) -> (M,) so that the clips of each gender count as much together; where nobody says, as they did."""
    weights = weights.clone()
    known = sorted({gender for gender in genders if gender is not None})
    of = {name: torch.tensor([gender == name for gender in genders]) for name in known}  # (M,) each
    totals = {name: float(weights[those].sum()) for name, those in of.items()}
    for name, those in of.items():
        weights[those] *= sum(totals.values()) / len(totals) / totals[name]
    return weights


def _acted_voice(recipe: ActedSpeechRecipe, data: dict[str, Path], out: Path, seed: int) -> Voice:
    train, dev = hear_corpora(recipe, data)
    voice, scores = train_speech(recipe, train, dev, out, seed, pretrained_care(recipe.encoder, data))
    return Voice(recipe.encoder, voice.encoder, voice.head, {"speech": scores.to_dict()})


def hear_corpora(recipe: ActedSpeechRecipe, data: dict[str, Path]) -> tuple[list[HeardClip], list[HeardClip]]:
    """The clips of all acted corpora of a recipe, (train, dev), in memory; a corpus may have no dev speaker."""
    teacher = WhisperEncoder(data["teacher"])
    found: dict[str, list[HeardClip]] = {"train": [], "dev": []}
    for corpus, draws in recipe.draws.items():
        for clip in track(read_clips(data[corpus]), f"hear {corpus:<7}"):
            if (split := split_of(clip.speaker)) in found:
                found[split].append(hear(clip, draws, teacher))
    for split, clips in found.items():
        if not clips:
            raise TrainError(f"no acted clips of a {split} speaker in {', '.join(recipe.draws)}")
    return standardise(found["train"]), found["dev"]


def _frozen_voice(
    recipe: FrozenSpeechRecipe, corpora: tuple[Corpus, Corpus], data: dict[str, Path], out: Path, seed: int
) -> Voice:
    if recipe.features:
        config, module, speech_head, found = train_given_voice(recipe, corpora, data, out, seed)
        return Voice(config, module, speech_head, {"speech": found.to_dict()})
    torch.manual_seed(seed)  # of CARE's adapters, which are the same when the run goes on after a kill
    encoder = frozen_encoder(recipe, data)
    head, scores = train_speech_head(encoder, corpora, recipe, out, seed)
    return Voice(encoder.config, encoder, head, {"speech": scores.to_dict()})
