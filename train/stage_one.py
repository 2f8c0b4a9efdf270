"""Stage I: one classifier for words and one for the voice, each turn on its own, put together as a first bundle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from rich.progress import track
from tokenizers import Tokenizer
from torch import nn

from emotrack.models.bundle import save_bundle
from emotrack.models.encoders import AnySpeechConfig, AnyTextConfig
from emotrack.models.heads import SpeechHead
from emotrack.models.hub import load_tokenizer
from emotrack.models.hub_encoders import HubSpeechEncoder, HubTextEncoder
from emotrack.models.labels import EMOTIONS
from emotrack.models.network import EmotionNetwork, NetworkConfig
from emotrack.models.published_care import PublishedCare
from emotrack.models.text_encoder import TextEncoder
from emotrack.train.acted import read_clips, split_of
from emotrack.train.checkpoint import load_text_encoder
from emotrack.train.corpora import READERS, Corpus, read_text_corpus
from emotrack.train.errors import TrainError
from emotrack.train.frozen_speech_stage import train_speech_head, voiced
from emotrack.train.listener import confusion
from emotrack.train.ranks import rank, rank_0_first
from emotrack.train.recipe import ActedSpeechRecipe, FrozenSpeechRecipe, Recipe
from emotrack.train.speech_stage import HeardClip, hear, opinions_of, standardise, train_speech
from emotrack.train.teacher import WhisperEncoder
from emotrack.train.text_stage import TextClassifier, train_text


@dataclass(frozen=True, slots=True)
class Voice:
    """A trained speech encoder and head, and what was measured on the way."""

    config: AnySpeechConfig
    encoder: nn.Module
    head: SpeechHead
    metrics: dict[str, Any]


def run_stage_one(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Train both classifiers and write the bundle ``out/stage1``, which scores each turn alone.

    Raises:
        TrainError: data that is missing or malformed, a training that went wrong, or a folder with another run in it.
        HubError: an encoder that cannot be had.
    """
    with rank_0_first():
        claim(out, recipe, seed)
    corpus = READERS[recipe.corpus](data[recipe.corpus], "dev")
    _check(recipe, corpus)
    words, config, tokenizer, measured = _words(recipe, data, out, seed)
    voice = (
        _acted_voice(recipe.speech, data, out, seed)
        if isinstance(recipe.speech, ActedSpeechRecipe)
        else _frozen_voice(recipe.speech, recipe.corpus, data, out, seed)
    )
    network = EmotionNetwork(
        NetworkConfig(
            name=recipe.name,
            labels=corpus.labels,
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
    metrics = {"seed": seed, "stage1": {"text": measured, **voice.metrics}}
    if rank() == 0:
        save_bundle(network, out / "stage1", metrics, f"# {recipe.name}, stage I\n\nNot calibrated, not for use.\n")
    return out / "stage1"


def claim(out: Path, recipe: Recipe, seed: int) -> None:
    """Note in a folder which run it holds, so that only the same run goes on in it.

    Raises:
        TrainError: it holds another.
    """
    run = TypeAdapter(Recipe).dump_python(recipe, mode="json") | {"seed": seed}
    note = out / "run.json"
    if note.is_file() and json.loads(note.read_text()) != run:
        raise TrainError(f"{out}: holds a run with another recipe or seed: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(run, indent=2) + "\n")


def _check(recipe: Recipe, corpus: Corpus) -> None:
    """Whether the recipe suits its corpus, before hours are spent on it. Raises ``TrainError``."""
    if isinstance(recipe.speech, FrozenSpeechRecipe):
        voiced(corpus)
    elif corpus.labels != EMOTIONS:
        raise TrainError(f"acted voices show {', '.join(EMOTIONS)}: {corpus.name} has other labels")


def _words(
    recipe: Recipe, data: dict[str, Path], out: Path, seed: int
) -> tuple[TextClassifier, AnyTextConfig, Tokenizer, dict[str, Any]]:
    encoder, config, tokenizer = pretrained_words(recipe, data)
    for phase in recipe.text.phases:
        train, dev = (read_text_corpus(phase.corpus, data[phase.corpus], split) for split in ("train", "dev"))
        words, scores = train_text(
            f"text-{phase.corpus}", encoder, tokenizer, (train, dev), phase, recipe.text.dropout, out, seed
        )
    return words, config, tokenizer, scores.to_dict()


def pretrained_words(
    recipe: Recipe, data: dict[str, Path]
) -> tuple[TextEncoder | HubTextEncoder, AnyTextConfig, Tokenizer]:
    """The text encoder as training begins, what it is, and its vocabulary."""
    text = recipe.text
    if text.encoder:
        found = HubTextEncoder.from_hub(text.encoder, max_tokens=text.max_tokens, turns_before=text.turns_before)
        return found, found.config, load_tokenizer(text.encoder, max_tokens=text.max_tokens)
    texts = (
        utterance.text
        for corpus in text.vocabulary
        for utterance in read_text_corpus(corpus, data[corpus], "train").utterances
    )
    encoder, tokenizer = load_text_encoder(data["encoder"], texts, text.max_tokens, text.turns_before)
    return encoder, encoder.config, tokenizer


def _acted_voice(recipe: ActedSpeechRecipe, data: dict[str, Path], out: Path, seed: int) -> Voice:
    train, dev = hear_corpora(recipe, data)
    voice, scores = train_speech(recipe, train, dev, out, seed)
    labels = torch.tensor([clip.label for clip in train])  # (clips,)
    weights = torch.tensor([clip.weight for clip in train])  # (clips,)
    heard = confusion(opinions_of(train), labels, weights)  # (C, C)
    return Voice(recipe.encoder, voice.encoder, voice.head, {"speech": scores.to_dict(), "heard": heard.tolist()})


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


def _frozen_voice(recipe: FrozenSpeechRecipe, corpus: str, data: dict[str, Path], out: Path, seed: int) -> Voice:
    torch.manual_seed(seed)  # of CARE's adapters, which are the same when the run goes on after a kill
    encoder = PublishedCare.from_hub(*recipe.care) if recipe.care else HubSpeechEncoder.from_hub(str(recipe.encoder))
    train, dev = (READERS[corpus](data[corpus], split) for split in ("train", "dev"))
    head, scores = train_speech_head(encoder, (train, dev), recipe, out, seed)
    return Voice(encoder.config, encoder, head, {"speech": scores.to_dict()})
