"""What stage I begins with: corpora, the first weights of its encoders, and their teachers."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer

from emotrack.models.bundle import MAX_BYTES
from emotrack.models.care import Care, CareConfig
from emotrack.models.encoders import AnyTextConfig
from emotrack.models.hub import load_tokenizer
from emotrack.models.hub_encoders import HubSpeechEncoder, HubTextConfig, HubTextEncoder
from emotrack.models.labels import EMOTIONS
from emotrack.models.published_care import PublishedCare
from emotrack.models.text_encoder import TextEncoder
from emotrack.train.corpora import Corpus, read_text_corpus
from emotrack.train.corpora.acted_corpora import read_clips
from emotrack.train.corpora.own_labels import check_every_label_occurs
from emotrack.train.data.given import read_with_given
from emotrack.train.errors import TrainError
from emotrack.train.learning.lora import adapted_layers
from emotrack.train.recipes.recipe import ActedSpeechRecipe, FrozenSpeechRecipe, Recipe
from emotrack.train.running.checkpoint import load_text_encoder
from emotrack.train.stages.frozen_speech_stage import voiced
from emotrack.train.stages.given_stage import given
from emotrack.train.stages.readings import conversing
from emotrack.train.stages.saved_care import load_care
from emotrack.train.stages.speech_teacher import WhisperEncoder
from emotrack.train.stages.text_teacher import teacher_name
from emotrack.train.stages.whisper_weights import load_whisper


def gather(recipe: Recipe, data: dict[str, Path]) -> Corpus:
    """Have all that the recipe is made of at hand before hours are spent: corpora, encoders and teachers -> its dev.

    Raises:
        TrainError: data that is missing or malformed, or does not suit the recipe.
        HubError: an encoder that cannot be had.
    """
    dev = read_with_given(recipe.corpus, data, "dev", recipe.labels)
    if recipe.acted is not None and dev.labels != EMOTIONS:
        raise TrainError(f"acted voices show {', '.join(EMOTIONS)}: {dev.name} has other labels")
    train = read_with_given(recipe.corpus, data, "train", recipe.labels)
    check_every_label_occurs(train, recipe.labels, "train")
    _gather_words(recipe, data)
    speech = recipe.speech
    if isinstance(speech, FrozenSpeechRecipe):
        for corpus in (train, dev):
            if recipe.text.features:
                given(corpus, "text")
            if speech.features:
                given(corpus, "speech")
            else:
                voiced(corpus)
        if not speech.features:
            frozen_encoder(speech, data)
        return dev
    conversing(speech, data)
    for name in speech.draws:
        read_clips(data[name])
    if isinstance(speech, ActedSpeechRecipe):
        WhisperEncoder(data["teacher"])
        pretrained_care(speech.encoder, data)
    else:
        load_whisper(data["speech-encoder"], speech.encoder)
    return dev


def _gather_words(recipe: Recipe, data: dict[str, Path]) -> None:
    if "words" in data:
        return
    if name := hub_name(recipe, data):
        load_tokenizer(name)
        _check_hub_encoder(name, recipe)
    if recipe.text.teacher is not None:
        teacher = teacher_name(recipe.text.teacher, data)
        load_tokenizer(teacher)
        if HubTextConfig.from_hub(teacher).reads_forward:
            raise TrainError(f"{teacher}: is a decoder, and text.teacher reads in both directions")
    for name in recipe.text.vocabulary:
        read_text_corpus(name, data[name], "train")
    for phase in recipe.text.phases:
        for split in ("train", "dev"):
            read_text_corpus(phase.corpus, data[phase.corpus], split)


def _check_hub_encoder(name: str, recipe: Recipe) -> None:
    """Refuse, before its weights are read, an encoder that the recipe or a bundle cannot have."""
    text = recipe.text
    with torch.device("meta"):  # no memory is taken there
        encoder = HubTextEncoder(HubTextConfig.from_hub(name, text.max_tokens, text.turns_before))
    if text.lora is not None:
        adapted_layers(encoder, text.lora)
    if text.teacher is not None and encoder.reads_forward:
        raise TrainError(f"{name}: is a decoder, and text.teacher teaches encoders that read in both directions")
    weights, most = sum(each.numel() for each in encoder.parameters()), MAX_BYTES["model.safetensors"] // 2
    if weights > most:
        raise TrainError(f"{name}: has {weights / 1e9:.1f} billion weights, and a bundle {most / 1e9:.1f} at most")


def pretrained_words(
    recipe: Recipe, data: dict[str, Path], *, whole: bool = False
) -> tuple[TextEncoder | HubTextEncoder, AnyTextConfig, Tokenizer]:
    """The text encoder as training begins, what it is, and its vocabulary.

    Args:
        recipe: names a hub encoder, or none.
        data: ``encoder`` is a folder with one, instead of the recipe's if that names one.
        whole: keep a small BERT's tokens even where the recipe prunes them.
    """
    text = recipe.text
    if name := hub_name(recipe, data):
        found = HubTextEncoder.from_hub(name, max_tokens=text.max_tokens, turns_before=text.turns_before)
        return found, found.config, load_tokenizer(name, max_tokens=text.max_tokens)
    texts = (
        utterance.text
        for corpus in text.vocabulary
        for utterance in read_text_corpus(corpus, data[corpus], "train").utterances
    )
    encoder, tokenizer = load_text_encoder(
        data["encoder"], None if whole else texts, text.max_tokens, text.turns_before
    )
    return encoder, encoder.config, tokenizer


def hub_name(recipe: Recipe, data: dict[str, Path]) -> str | None:
    """Hub id or folder of the hub encoder that a recipe begins with, if it does with one."""
    return str(data["encoder"].absolute()) if recipe.text.encoder and "encoder" in data else recipe.text.encoder


def frozen_encoder(recipe: FrozenSpeechRecipe, data: dict[str, Path]) -> PublishedCare | HubSpeechEncoder:
    if recipe.care is None:
        if "care" in data:
            raise TrainError(f"{data['care']}: the recipe's voice is no CARE, but {recipe.encoder}")
        return HubSpeechEncoder.from_hub(str(recipe.encoder))
    if "care" not in data:
        return PublishedCare.from_hub(*recipe.care)
    encoder, _ = load_care(data["care"])
    if not isinstance(encoder, PublishedCare):
        raise TrainError(f"{data['care']}: is a small CARE, and the recipe's is made of {' and '.join(recipe.care)}")
    return encoder


def pretrained_care(config: CareConfig, data: dict[str, Path]) -> Care | None:
    """The small CARE that training begins with, if it does not begin with nothing."""
    if "care" not in data:
        return None
    encoder, found = load_care(data["care"])
    if found != config:
        raise TrainError(f"{data['care']}: is another CARE than the recipe's: {found}")
    return encoder
