"""The teacher of a text encoder: a larger one, which learns the same corpus first and is not shipped.

Which emotion a line shows is uncertain. A label does not say how much, an encoder's opinion does (Hinton et al. 2015,
arXiv 1503.02531). The teacher reads who says what, and every line twice: after those before it, and by itself.

Notation: N training turns, C labels, B batch, D width.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from emotrack.models.hub import load_tokenizer
from emotrack.models.hub_encoders import HubTextEncoder
from emotrack.models.text_encoder import own_mean
from emotrack.train.corpora import TextCorpus
from emotrack.train.errors import TrainError
from emotrack.train.learning.losses import Loss
from emotrack.train.recipes.recipe import StageRecipe, TextRecipe, TextTeacher
from emotrack.train.running.cache import origin_of
from emotrack.train.running.files import read_whole, write_whole
from emotrack.train.running.progress import track
from emotrack.train.running.provenance import addresses
from emotrack.train.running.ranks import device_of, rank, training_device, wait
from emotrack.train.stages.text_stage import (
    Opinions,
    Reading,
    TextClassifier,
    embed,
    in_context_and_alone,
    tokenise,
    train_text,
)

ASKED_AT_ONCE = 1024


class SentenceEncoder(HubTextEncoder):
    """A hub encoder whose embedding is the mean over a turn's own tokens, which sentence encoders are trained for."""

    def forward(self, ids: Tensor, padding: Tensor, own: Tensor) -> Tensor:
        """(B, N) token ids, (B, N) padding, (B,) own tokens -> (B, D)."""
        return own_mean(self.states(ids, padding), own)


def opinions(
    recipe: TextRecipe,
    teacher: TextTeacher,
    corpora: tuple[TextCorpus, TextCorpus],
    data: dict[str, Path],
    out: Path,
    seed: int,
) -> Opinions:
    """Train the teacher on a recipe's last phase and ask it, or take the opinions that an earlier run kept.

    Args:
        recipe: of words.
        teacher: the recipe's.
        corpora: train and dev of the phase, N turns to learn from.
        data: ``text-teacher`` is a folder with an encoder, instead of the one that the recipe names.
        out: the run's folder; ``text-teacher.safetensors`` is kept there.
        seed: of the run.

    Returns:
        Probabilities as the phase's loss compares them, that is with its adjustment.

    Raises:
        TrainError: a training that went wrong, or opinions of another teacher or corpus.
        HubError: a teacher that cannot be had.
    """
    path = out / "text-teacher.safetensors"
    origin = origin_of({}, (corpora[0].utterances, addresses(data).get("text-teacher")))
    if not path.is_file():
        asked = _teach(recipe, teacher, corpora, data, out, seed)
        if rank() == 0:
            write_whole({"opinions": _ask(*asked)}, path, {"origin": origin})
        wait()
    kept, facts = read_whole(path)
    if facts.get("origin") != origin:
        raise TrainError(f"{path}: is of another teacher, or of other turns: choose another --out")
    return Opinions(kept["opinions"], teacher.share)  # (2 N, C)


def teacher_name(teacher: TextTeacher, data: dict[str, Path]) -> str:
    """Hub id or folder of a teacher."""
    return str(data["text-teacher"].absolute()) if "text-teacher" in data else teacher.encoder


def _teach(
    recipe: TextRecipe,
    teacher: TextTeacher,
    corpora: tuple[TextCorpus, TextCorpus],
    data: dict[str, Path],
    out: Path,
    seed: int,
) -> tuple[TextClassifier, list[Reading], Tensor]:
    """The trained teacher, the 2 N readings that it is asked of, and (C,) by how much its loss adjusts scores."""
    named = (with_names(corpora[0]), with_names(corpora[1]))
    name = teacher_name(teacher, data)
    encoder = SentenceEncoder.from_hub(name, max_tokens=recipe.max_tokens, turns_before=recipe.turns_before)
    tokenizer = load_tokenizer(name, max_tokens=recipe.max_tokens)
    freeze(encoder, teacher.frozen)
    phase = StageRecipe(teacher.loop, recipe.phases[-1].loss)
    classifier, _ = train_text("text-teacher", encoder, tokenizer, named, phase, recipe.dropout, out, seed)
    train = tokenise(named[0], tokenizer, encoder.config)
    adjustment = Loss(phase.loss, train.targets.sum(dim=0)).adjustment  # (C,)
    return classifier.to(training_device()), in_context_and_alone(train.readings), adjustment


def _ask(classifier: TextClassifier, readings: list[Reading], adjustment: Tensor) -> Tensor:
    """A teacher's probabilities of 2 N readings, (2 N, C)."""
    pieces = [readings[first : first + ASKED_AT_ONCE] for first in range(0, len(readings), ASKED_AT_ONCE)]
    return torch.cat([_scores(classifier, piece) + adjustment for piece in track(pieces, "ask the teacher")]).softmax(1)


@torch.no_grad()
def _scores(classifier: TextClassifier, readings: list[Reading]) -> Tensor:
    embeddings = embed(classifier.eval().encoder, readings)  # (readings, D)
    scores: Tensor = classifier.head(embeddings.to(device_of(classifier))).cpu()  # (readings, C)
    return scores


def with_names(corpus: TextCorpus) -> TextCorpus:
    """The corpus with the speaker's name, where it is known, before the words."""
    named = (replace(each, text=f"{each.speaker}: {each.text}") if each.speaker else each for each in corpus.utterances)
    return replace(corpus, utterances=tuple(named))


def freeze(encoder: HubTextEncoder, layers: int) -> None:
    """Train nothing but the layers after the first so many; with none to keep as they are, everything is trained.

    Raises:
        TrainError: it has no more layers than that.
    """
    if not layers:
        return
    count = int(encoder.model.config.num_hidden_layers)
    stacks = [each for each in encoder.model.modules() if isinstance(each, nn.ModuleList) and len(each) == count]
    if not stacks or layers >= count:
        raise TrainError(f"{encoder.config.origin}: cannot keep {layers} of its {count} layers as they are")
    encoder.requires_grad_(False)
    for layer in list(stacks[0])[layers:]:
        layer.requires_grad_(True)
