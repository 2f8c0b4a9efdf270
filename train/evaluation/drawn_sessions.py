"""Acted clips in a drawn order, as if each speaker, or everybody together, had talked for a while.

So what the network makes of a voice once it has heard more of it is judged as it is live: causally, through the scorer
that runs there. Clips that follow one another by chance are no conversation, and stage II would take them for one: so
each clip is scored with no turn before it in the window. What is kept of a session beyond the window goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch

from emotrack.models.network import EmotionNetwork
from emotrack.train.corpora import Corpus
from emotrack.train.errors import TrainError
from emotrack.train.evaluation.evaluate import (
    EncodedTurn,
    Evaluation,
    Modalities,
    encode_corpus,
    modalities_of,
    scored,
)

Together = Literal["speaker", "corpus"]
"""Whose clips are one session: a speaker's, who is known; or all of a corpus, whose speakers are not."""
WINDOW = 1  # turns


def evaluate_drawn_sessions(
    network: EmotionNetwork,
    corpus: Corpus,
    together: Together,
    seeds: Sequence[int],
    only: Modalities | None = None,
) -> dict[int, Evaluation]:
    """Score a network on sessions of clips, drawn with each seed.

    Raises:
        TrainError: the corpus is not of clips, cannot be read, or has no label that the bundle knows.
    """
    if any(len(dialogue.turns) > 1 or not dialogue.turns[0].speaker for dialogue in corpus.dialogues):
        raise TrainError(f"{corpus.name} has conversations; --session {together} draws them of clips (an index.csv)")
    present = modalities_of(corpus, only)
    clips = [turn for dialogue in encode_corpus(network, corpus, only) for turn in dialogue]
    return {
        seed: scored(network, corpus, draw_sessions(clips, together, seed), present, window=WINDOW) for seed in seeds
    }


def draw_sessions(clips: Sequence[EncodedTurn], together: Together, seed: int) -> list[list[EncodedTurn]]:
    """The clips of each speaker, or of each corpus without the speakers' names, in a drawn order."""
    generator = torch.Generator().manual_seed(seed)
    sessions: dict[str | None, list[EncodedTurn]] = {}
    for place in torch.randperm(len(clips), generator=generator).tolist():
        clip = clips[place]
        if together == "speaker":
            sessions.setdefault(clip.embedding.speaker, []).append(clip)
        else:
            unknown = replace(clip, embedding=replace(clip.embedding, speaker=None))
            sessions.setdefault(clip.traits["corpus"], []).append(unknown)
    return list(sessions.values())
