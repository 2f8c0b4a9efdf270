"""Evaluation as a live tracker would be judged: every turn from the past alone, in the order of the conversation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emotrack.models.context import TurnEmbedding
from emotrack.models.features import SAMPLE_RATE
from emotrack.models.network import MAX_SPEECH_S, EmotionNetwork
from emotrack.train.dialogues import LabelledTurn
from emotrack.train.errors import TrainError
from emotrack.train.metrics import Scores, score


@dataclass(frozen=True, slots=True)
class EncodedTurn:
    """A turn as the encoders hand it on, with its truth; one without ``emotion`` is context and is not scored."""

    embedding: TurnEmbedding
    emotion: str | None


def encode(network: EmotionNetwork, dialogues: Iterable[Sequence[LabelledTurn]]) -> list[list[EncodedTurn]]:
    """Run the encoders over conversations; what follows them can then be judged again and again at little cost."""
    return [[EncodedTurn(embed(network, turn), turn.emotion) for turn in dialogue] for dialogue in dialogues]


def estimates(network: EmotionNetwork, dialogues: Iterable[Sequence[LabelledTurn]]) -> tuple[Tensor, Tensor]:
    """Run conversations through the network, turn by turn, each turn scored from the past alone.

    Returns:
        (N, C) probabilities and (N,) true label indices of the N turns whose truth is one of the bundle's labels.

    Raises:
        TrainError: there is no such turn.
    """
    return judge(network, encode(network, dialogues))


def judge(network: EmotionNetwork, dialogues: Iterable[Sequence[EncodedTurn]]) -> tuple[Tensor, Tensor]:
    """The same as ``estimates``, from encoded turns."""
    probabilities: list[tuple[float, ...]] = []
    truth: list[int] = []
    for dialogue in dialogues:
        context = network.new_context()
        for turn in dialogue:
            estimate = network.estimate(context, turn.embedding)
            if turn.emotion is not None and turn.emotion in network.labels:
                probabilities.append(estimate.probabilities)
                truth.append(network.labels.index(turn.emotion))
    if not truth:
        raise TrainError(f"no turn has one of the bundle's labels ({', '.join(network.labels)})")
    return torch.tensor(probabilities), torch.tensor(truth)  # (N, C), (N,)


def evaluate(network: EmotionNetwork, dialogues: Iterable[Sequence[LabelledTurn]]) -> Scores:
    """Score conversations; raises as ``estimates``."""
    probabilities, truth = estimates(network, dialogues)
    return score(probabilities.numpy(), truth.numpy(), network.labels)


def embed(network: EmotionNetwork, turn: LabelledTurn) -> TurnEmbedding:
    """Encode what there is of a turn; speech past the encoder's limit is left out."""
    limit = int(MAX_SPEECH_S * SAMPLE_RATE)
    return TurnEmbedding(
        speech=None if turn.waveform is None else network.embed_speech(turn.waveform[:limit]),
        text=None if turn.text is None else network.embed_text(turn.text),
        speaker=turn.speaker,
    )
