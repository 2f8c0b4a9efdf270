"""Fusion: calibrate the two classifiers, learn what earlier turns say of the next, choose when to be uncertain.

Temperatures and the threshold come from dev, as they must come from data that was not trained on. How emotions follow
one another is learned from the true labels of MELD's training dialogues, so it does not inherit the over-confidence
that a classifier has on its own training data.

Notation: N turns, K earlier turns, C labels.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor, nn

from emotrack.models.bundle import load_bundle, save_bundle
from emotrack.models.context import RollingContext
from emotrack.models.fusion import LateFusion
from emotrack.models.labels import EMOTIONS
from emotrack.train.acted import read_clips, split_of
from emotrack.train.audio import read_audio
from emotrack.train.calibration import fit_temperature, uncertain_threshold
from emotrack.train.card import model_card
from emotrack.train.corpora import TextCorpus, read_text_corpus
from emotrack.train.dialogues import LabelledTurn, converse, read_dialogues
from emotrack.train.evaluate import estimates, evaluate
from emotrack.train.recipe import FusionRecipe, Recipe

STEPS = 200
LEARNING_RATE = 0.03


def past_of(corpus: TextCorpus, turns: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every turn of a corpus with the true labels of the turns before it.

    Returns:
        (N, K, C) history, newest first; (N, K) whether the speaker was the same; (N, K) whether there was a turn;
        (N,) the turn's own label.
    """
    count = len(corpus.utterances)
    history = torch.zeros(count, turns, len(EMOTIONS))  # (N, K, C)
    same = torch.zeros(count, turns)  # (N, K)
    known = torch.zeros(count, turns, dtype=torch.bool)  # (N, K)
    truth = torch.zeros(count, dtype=torch.long)  # (N,)
    one_hot = torch.eye(len(EMOTIONS))  # (C, C)
    row = 0
    for _, dialogue in groupby(corpus.utterances, key=lambda utterance: utterance.dialogue):
        context = RollingContext(turns)
        for utterance in dialogue:
            truth[row] = EMOTIONS.index(utterance.labels[0])
            if (past := context.history(utterance.speaker)) is not None:
                filled = len(context)
                history[row, :filled], same[row, :filled] = past
                known[row, :filled] = True
            context.append(one_hot[truth[row]], utterance.speaker)
            row += 1
    return history, same, known, truth


def fit_past(fusion: LateFusion, log_prior: Tensor, corpus: TextCorpus, recipe: FusionRecipe) -> None:
    """Fit ``fusion`` so that the (C,) log prior, shifted by the past, predicts the next label."""
    history, same, known, truth = past_of(corpus, recipe.context)
    optimizer = torch.optim.Adam(fusion.parameters(), lr=LEARNING_RATE)
    for _ in range(STEPS):
        loss = nn.functional.cross_entropy(log_prior + fusion.past(history, same, known), truth)
        size = fusion.same_speaker.weight.square().sum() + fusion.other_speaker.weight.square().sum()
        optimizer.zero_grad()
        (loss + recipe.penalty * size).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def run_fusion(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Turn the bundle ``out/stage1`` into the finished ``out/bundle``.

    Raises:
        BundleError: stage I has not been run.
        TrainError: data that is missing or malformed.
    """
    generator = torch.Generator().manual_seed(seed)
    network = load_bundle(out / "stage1")
    measured = json.loads((out / "stage1" / "metrics.json").read_text())
    words = list(read_dialogues("meld", data["meld"], "dev", "text"))
    clips = [clip for corpus in recipe.speech.draws for clip in read_clips(data[corpus])]
    voices = [clip for clip in clips if split_of(clip.speaker) == "dev"]
    conversations = converse([clip for clip in voices if clip.speaker.startswith("ravdess-")], generator)

    # Stage I has temperature 1 and trusts its priors, so what it makes of a turn alone is what its classifier says.
    alone = [[turn] for dialogue in words for turn in dialogue]
    heard = [[LabelledTurn(read_audio(clip.path), None, None, clip.emotion)] for clip in voices]
    text = replace(network.config.text_calibration, temperature=fit_temperature(*estimates(network, alone)))
    speech = replace(network.config.speech_calibration, temperature=fit_temperature(*estimates(network, heard)))
    network.config = replace(
        network.config, text_calibration=text, speech_calibration=speech, prior_trust=recipe.fusion.prior_trust
    )

    network.fusion.requires_grad_(True)
    log_prior = torch.tensor(text.prior).log()  # (C,)
    fit_past(network.fusion, log_prior, read_text_corpus("meld", data["meld"], "train"), recipe.fusion)
    threshold = uncertain_threshold(*estimates(network, words), recipe.fusion.right_when_certain)
    network.config = replace(network.config, uncertain_below=round(threshold, 3))

    measured["dev"] = {
        "MELD, words, each turn alone": evaluate(network, alone).to_dict(),
        "MELD, words, online": evaluate(network, words).to_dict(),
        "acted clips, voice": evaluate(network, heard).to_dict(),
        "acted conversations, voice and captions, online": evaluate(network, conversations).to_dict(),
    }
    save_bundle(network, out / "bundle", measured, model_card(network, recipe, measured))
    return out / "bundle"
