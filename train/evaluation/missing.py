"""What a network still tells where some turns lack their words, or their voice: a sweep over the share of such turns.

Only a turn that has both loses one of them, so every turn of a corpus is answered at every share. Which turns these are
is drawn: a draw puts them in an order, and the first of it lack the modality, so that what lacks at a share lacks at
all larger ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from emotrack.models.network import EmotionNetwork
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.evaluate import EncodedTurn, Mode, judge, with_only
from emotrack.train.evaluation.metrics import score

Missing = Literal["words", "voice"]
DRAWS = 5  # by default
SHARES = tuple(tenth / 10 for tenth in range(11))


@dataclass(frozen=True, slots=True)
class MissingScore:
    """What one draw scores at one share."""

    mode: Mode
    missing: Missing
    share: float  # of the turns that have both
    seed: int | None  # that the network was trained with, where several are compared
    draw: int  # its seed
    count: int  # turns that are scored
    weighted_f1: float
    macro_f1: float
    uar: float
    accuracy: float


def sweep(
    network: EmotionNetwork,
    dialogues: Sequence[Sequence[EncodedTurn]],
    mode: Mode,
    draws: Sequence[int] = range(DRAWS),
    seed: int | None = None,
) -> Iterator[MissingScore]:
    """Score a network at every share of missing words, then of missing voices; where nothing is drawn, once.

    Args:
        network: the network to judge.
        dialogues: its encoded turns.
        mode: the turns of its dialogue that a turn may see.
        draws: a seed for each draw.
        seed: of the network, to be noted.

    Raises:
        TrainError: no turn has both, or none has a label that the bundle knows.
    """
    heard = with_only(dialogues, "both")
    places = [
        (row, column)
        for row, turns in enumerate(heard)
        for column, turn in enumerate(turns)
        if turn.embedding.speech is not None and turn.embedding.text is not None
    ]
    if not places:
        raise TrainError("no turn has voice and words: neither can be left out")
    missings: tuple[Missing, ...] = ("words", "voice")
    for missing in missings:
        for share in SHARES:
            for draw in draws if 0.0 < share < 1.0 else draws[:1]:
                order = torch.randperm(len(places), generator=torch.Generator().manual_seed(draw)).tolist()
                lacking = {places[place] for place in order[: round(share * len(places))]}
                probabilities, truth = judge(network, _without(heard, missing, lacking), mode)  # (N, C), (N,)
                found = score(probabilities.numpy(), truth.numpy(), network.labels)
                scores = (found.weighted_f1, found.macro_f1, found.uar, found.accuracy)
                yield MissingScore(mode, missing, share, seed, draw, found.count, *scores)


def _without(
    dialogues: Iterable[Sequence[EncodedTurn]], missing: Missing, lacking: set[tuple[int, int]]
) -> list[list[EncodedTurn]]:
    """The same turns; those at these places, of dialogue and turn, lack the modality."""
    nothing = {"text": None} if missing == "words" else {"speech": None}
    return [
        [
            replace(turn, embedding=replace(turn.embedding, **nothing)) if (row, column) in lacking else turn
            for column, turn in enumerate(turns)
        ]
        for row, turns in enumerate(dialogues)
    ]
