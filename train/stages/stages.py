"""Stages II and III of a run, each from the bundle of the one before, and the finished bundle at the end.

    stage1   one classifier a modality           (stage_one)
    stage2   each modality among its neighbours
    stage3   both together
    tuned    stage3, the upper blocks of its voice's encoder tuned, if the recipe says so   (tuned_blocks)
    bundle   the one before, calibrated, with the threshold of "uncertain", its metrics and its card

Each folder is a whole bundle, which can be evaluated by itself.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from emotrack.models.bundle import load_bundle, save_bundle
from emotrack.models.config import Calibration
from emotrack.models.network import EmotionNetwork
from emotrack.train.data.conversations import EncodedDialogue
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.calibration import fit_temperature, uncertain_threshold
from emotrack.train.evaluation.evaluate import EncodedTurn, Mode, judge, with_only
from emotrack.train.evaluation.metrics import score
from emotrack.train.learning.losses import UNLABELLED
from emotrack.train.recipes.recipe import Recipe
from emotrack.train.running.provenance import check_data, made_by
from emotrack.train.running.ranks import rank, rank_0_first, training_device
from emotrack.train.stages.card import model_card
from emotrack.train.stages.context_stage import train_context
from emotrack.train.stages.readings import Dev, Training, dev_conversations, training_conversations
from emotrack.train.stages.second_opinion import asked_again, with_second_opinion
from emotrack.train.stages.stage_one import claim

MODES: tuple[Mode, ...] = ("online", "offline")


def run_stage_two(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Train the context network of each modality on ``out/stage1`` and write ``out/stage2``.

    Raises:
        BundleError: stage I has not been run.
        TrainError: data that is missing or malformed, a training that went wrong, or a folder with another run in it.
    """
    network, measured = start(recipe, data, out, seed, "stage1", stage=2, plan="staged")
    train, dev = conversations(recipe, data, out), dev_conversations(network, recipe, data, out)
    text, speech = ((each.loop, each.loss) for each in (recipe.stage2.text, recipe.stage2.speech))
    measured["stage2"] = {
        "text": _known_words(network, data)
        or train_context(network, "text", train.text, dev.text, text, (out, seed)).to_dict(),
        "speech": train_context(network, "speech", train.speech, dev.speech, speech, (out, seed)).to_dict(),
    }
    return write(network, out / "stage2", measured)


def _known_words(network: EmotionNetwork, data: dict[str, Path]) -> dict[str, Any]:
    """Take over the words' context network of ``words``, a bundle that has one; its scores, or nothing."""
    if "words" not in data or (known := load_bundle(data["words"])).config.stage < 2:
        return {}
    if known.config.conversation != network.config.conversation:
        raise TrainError(f"{data['words']}: its context networks have other dimensions than the recipe's")
    network.text_context.load_state_dict(known.text_context.state_dict())
    scores: dict[str, Any] = known.metrics["stage2"]["text"]
    return scores


def run_stage_three(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Train the co-attention on ``out/stage2`` and write ``out/stage3``. Raises as ``run_stage_two``."""
    network, measured = start(recipe, data, out, seed, "stage2", stage=3, plan="staged")
    train, dev = conversations(recipe, data, out), dev_conversations(network, recipe, data, out)
    options = (recipe.stage3.loop, recipe.stage3.loss)
    measured["stage3"] = train_context(network, "fused", train.both, dev.both, options, (out, seed)).to_dict()
    return write(network, out / "stage3", measured)


def run_finish(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Calibrate ``out/stage3``, or ``out/tuned`` where the recipe tunes, on dev, and write the finished ``out/bundle``.

    Raises as ``run_stage_two``.
    """
    network, measured = start(recipe, data, out, seed, "tuned" if recipe.tuning else "stage3", stage=3)
    sets = dev_sets(dev_conversations(network, recipe, data, out), network.labels)
    found = {what: fit_temperature(*judge(network, turns)) for what, turns in sets.items()}
    network.config = replace(network.config, calibration=Calibration(**found))
    network = with_second_opinion(network, recipe, data)
    sets = {what: asked_again(network, turns) for what, turns in sets.items()}
    everything = [dialogue for turns in sets.values() for dialogue in turns]
    threshold = uncertain_threshold(*judge(network, everything), recipe.right_when_certain)
    network.config = replace(network.config, uncertain_below=round(threshold, 3))
    measured["dev"] = {
        f"{what}, {mode}": _scored(network, turns, mode) for what, turns in sets.items() for mode in MODES
    }
    if rank() == 0:
        save_bundle(network, out / "bundle", measured, model_card(network, recipe, measured))
    return out / "bundle"


def _scored(network: EmotionNetwork, turns: list[list[EncodedTurn]], mode: Mode) -> dict[str, Any]:
    probabilities, truth = judge(network, turns, mode)  # (N, C), (N,)
    return score(probabilities.numpy(), truth.numpy(), network.labels).to_dict()


def dev_sets(dev: Dev, labels: tuple[str, ...]) -> dict[str, list[list[EncodedTurn]]]:
    """The dev conversations by the modality that is heard: words, voice, and both where there are any with both."""
    both = [each for each in dev.both if any(turn.speech is not None and turn.text is not None for turn in each.turns)]
    sets = {
        "text": with_only(_as_encoded(dev.text, labels), "text"),
        "speech": with_only(_as_encoded(dev.speech, labels), "speech"),
        "both": with_only(_as_encoded(both, labels), "both"),
    }
    return {what: [turns for turns in dialogues if turns] for what, dialogues in sets.items() if any(dialogues)}


def _as_encoded(dialogues: list[EncodedDialogue], labels: tuple[str, ...]) -> list[list[EncodedTurn]]:
    return [
        [
            EncodedTurn(turn, None if target == UNLABELLED else labels[target])
            for turn, target in zip(each.turns, each.targets.tolist(), strict=True)
        ]
        for each in dialogues
    ]


def start(
    recipe: Recipe, data: dict[str, Path], out: Path, seed: int, before: str, stage: int, **made_of: str
) -> tuple[EmotionNetwork, dict[str, Any]]:
    """The network of the stage before, with untrained modules for this one, and its metrics."""
    if not (out / before).is_dir():
        raise TrainError(f"{out / before} is missing: train {before} first")
    trained = load_bundle(out / before)
    with rank_0_first():
        claim(out, recipe, seed, **made_of)
    check_data(trained.metrics, data, out / before)
    if trained.config.stands_for != recipe.labels:
        raise TrainError(f"{out / before}: was trained on other [labels] than the recipe's: choose another --out")
    torch.manual_seed(seed)
    config = replace(
        trained.config,
        name=recipe.name,
        stage=stage,
        context=recipe.conversations.window,
        conversation=recipe.network,
        second_opinion=False,  # it stands beside finished words
    )
    network = EmotionNetwork(config, trained.tokenizer)
    known = {name: value for name, value in trained.state_dict().items() if not name.startswith("second_opinion.")}
    network.load_state_dict(network.state_dict() | known)
    return network.eval().to(training_device()), trained.metrics | {"made": made_by(recipe)}


def conversations(recipe: Recipe, data: dict[str, Path], out: Path) -> Training:
    """The training conversations, as ``out/stage1`` encodes them, or where a run began later, ``out/stage2``: alike."""
    first = load_bundle(
        next(each for each in (out / "stage1", out / "stage2") if each.is_dir()), str(training_device())
    )
    return training_conversations(first, recipe, data, out)


def write(network: EmotionNetwork, folder: Path, measured: dict[str, Any]) -> Path:
    """Save a stage's bundle."""
    if rank() == 0:
        save_bundle(network, folder, measured, f"# {network.name}, {folder.name}\n\nNot calibrated, not for use.\n")
    return folder
