"""Stage I: one classifier for words and one for the voice, each on its own, put together as a first bundle."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from pydantic import TypeAdapter
from rich.progress import track

from emotrack.models.bundle import save_bundle
from emotrack.models.labels import EMOTIONS
from emotrack.models.network import Calibration, EmotionNetwork, NetworkConfig
from emotrack.train.acted import read_clips, split_of
from emotrack.train.checkpoint import load_text_encoder
from emotrack.train.corpora import TextCorpus, read_text_corpus
from emotrack.train.errors import TrainError
from emotrack.train.recipe import Recipe
from emotrack.train.speech_stage import HeardClip, hear, standardise, train_speech
from emotrack.train.teacher import WhisperEncoder
from emotrack.train.text_stage import train_text


def run_stage_one(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Train both classifiers and write the bundle ``out/stage1``, whose fusion is still plain Bayes.

    Raises:
        TrainError: data that is missing or malformed, a training that went wrong, or a folder with another run in it.
    """
    claim(out, recipe, seed)
    corpora = {
        phase.corpus: (
            read_text_corpus(phase.corpus, data[phase.corpus], "train"),
            read_text_corpus(phase.corpus, data[phase.corpus], "dev"),
        )
        for phase in recipe.text.phases
    }
    train, dev = hear_corpora(recipe, data)
    texts = (
        utterance.text
        for corpus in recipe.text.vocabulary
        for utterance in read_text_corpus(corpus, data[corpus], "train").utterances
    )
    encoder, tokenizer = load_text_encoder(data["encoder"], texts, recipe.text.max_tokens)
    phases = [
        train_text(f"text-{phase.corpus}", encoder, tokenizer, corpora[phase.corpus], phase.loop, out, seed)
        for phase in recipe.text.phases
    ]
    words, words_scores = phases[-1]
    voice, voice_scores = train_speech(recipe.speech, train, dev, out, seed)
    config = NetworkConfig(
        name=recipe.name,
        context=recipe.fusion.context,
        text=encoder.config,
        speech=recipe.speech.encoder,
        text_calibration=Calibration(prior=text_prior(corpora["meld"][0])),
        speech_calibration=Calibration(prior=speech_prior(train)),
    )
    network = EmotionNetwork(config, tokenizer)
    network.text_encoder.load_state_dict(encoder.state_dict())
    network.text_head.load_state_dict(words.head.state_dict())
    network.speech_encoder.load_state_dict(voice.encoder.state_dict())
    network.speech_head.load_state_dict(voice.head.state_dict())
    metrics = {"seed": seed, "stage1": {"text": words_scores.to_dict(), "speech": voice_scores.to_dict()}}
    save_bundle(network, out / "stage1", metrics, f"# {recipe.name}, stage I\n\nNot calibrated, not for use.\n")
    return out / "stage1"


def claim(out: Path, recipe: Recipe, seed: int) -> None:
    """Note in a folder which run it holds, so that only the same run goes on in it.

    Raises:
        TrainError: it holds another.
    """
    run = TypeAdapter(Recipe).dump_python(recipe, mode="json", exclude={"fusion"}) | {"seed": seed}
    note = out / "run.json"
    if note.is_file() and json.loads(note.read_text()) != run:
        raise TrainError(f"{out}: holds a run with another recipe or seed: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(run, indent=2) + "\n")


def hear_corpora(recipe: Recipe, data: dict[str, Path]) -> tuple[list[HeardClip], list[HeardClip]]:
    """The clips of all acted corpora of a recipe, (train, dev), in memory; a corpus may have no dev speaker."""
    teacher = WhisperEncoder(data["teacher"])
    train: list[HeardClip] = []
    dev: list[HeardClip] = []
    for corpus, draws in recipe.speech.draws.items():
        for clip in track(read_clips(data[corpus]), f"hear {corpus:<7}"):
            if (split := split_of(clip.speaker)) == "train":
                train.append(hear(clip, draws, teacher))
            elif split == "dev":
                dev.append(hear(clip, draws, teacher))
    for split, clips in (("train", train), ("dev", dev)):
        if not clips:
            raise TrainError(f"no acted clips of a {split} speaker in {', '.join(recipe.speech.draws)}")
    return standardise(train), dev


def text_prior(corpus: TextCorpus) -> tuple[float, ...]:
    """How often each emotion is true in a corpus that has the network's labels; one is added to every count."""
    counts = Counter(label for utterance in corpus.utterances for label in utterance.labels)
    return _shares([counts[emotion] + 1.0 for emotion in EMOTIONS])


def speech_prior(clips: list[HeardClip]) -> tuple[float, ...]:
    """How often each emotion is drawn in training; one is added to every count."""
    drawn = [1.0] * len(EMOTIONS)
    for clip in clips:
        drawn[clip.label] += clip.weight
    return _shares(drawn)


def _shares(counts: list[float]) -> tuple[float, ...]:
    return tuple(count / sum(counts) for count in counts)
