"""Stages II and III: a conversation's turns in their context, one modality each, then both.

The encoders have done their work (``readings``), so the modules trained here are small. All stages before a stage are
frozen: only the stage's own modules are handed to the loop, which switches only them to training.

Notation: B batch, K turns, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from emotrack.models.conversation import ConversationBatch
from emotrack.models.network import EmotionNetwork
from emotrack.train.data.conversations import Conversations, EncodedDialogue, prefixes
from emotrack.train.evaluation.metrics import Scores, score
from emotrack.train.learning.loop import LoopOptions, fit
from emotrack.train.learning.losses import UNLABELLED, Loss, LossOptions
from emotrack.train.running.ranks import training_device

What = Literal["text", "speech", "fused"]  # whose scores are trained

EVALUATED_AT_ONCE = 256  # conversations


class ConversationTask:
    """Batches of conversations, the loss over all their turns, and online weighted F1 on dev."""

    metric = "weighted_f1"

    def __init__(
        self,
        network: EmotionNetwork,
        what: What,
        conversations: Conversations,
        dev: Sequence[EncodedDialogue],
        loop: LoopOptions,
        loss: LossOptions,
    ) -> None:
        self.network = network
        self.what = what
        self.conversations = conversations
        self.dev = [self._as_heard(prefix) for each in dev for prefix in prefixes(each, network.default_context)]
        self.batch = loop.batch
        everything = torch.cat([each.targets for each in conversations.epoch(torch.Generator().manual_seed(0))])
        counts = torch.bincount(everything[everything != UNLABELLED], minlength=len(network.labels))  # (C,)
        self.criterion = Loss(loss, counts)

    def batches(self, generator: torch.Generator) -> list[list[EncodedDialogue]]:
        dialogues = [self._as_heard(each) for each in self.conversations.epoch(generator)]
        dialogues = [each for each in dialogues if (each.targets != UNLABELLED).any()]
        order = torch.randperm(len(dialogues), generator=generator).tolist()
        return [
            [dialogues[place] for place in order[first : first + self.batch]]
            for first in range(0, len(order), self.batch)
        ]

    def loss(self, batch: list[EncodedDialogue]) -> Tensor:
        turns = self._collate(batch)
        targets = nn.utils.rnn.pad_sequence(
            [each.targets for each in batch], batch_first=True, padding_value=UNLABELLED
        )  # (B, K)
        found = self.network(turns)
        return self.criterion(getattr(found, self.what), targets, found.states[self.what])

    def evaluate(self) -> Scores:
        found, truth = [], []
        for first in range(0, len(self.dev), EVALUATED_AT_ONCE):
            batch = self.dev[first : first + EVALUATED_AT_ONCE]
            turns = self._collate(batch)
            scores = getattr(self.network(turns), self.what).float()  # (B, K, C)
            found.append(scores[torch.arange(len(batch)), turns.lengths - 1].cpu())  # (B, C)
            truth += [int(each.targets[-1]) for each in batch]
        known = [place for place, target in enumerate(truth) if target != UNLABELLED]
        probabilities = torch.cat(found).softmax(dim=1)[known]  # (N, C)
        return score(probabilities.numpy(), torch.tensor(truth)[known].numpy(), self.network.labels)

    def _collate(self, batch: Sequence[EncodedDialogue]) -> ConversationBatch:
        return self.network.collate([each.turns for each in batch])

    def _as_heard(self, dialogue: EncodedDialogue) -> EncodedDialogue:
        """Turns of which nothing was heard that is trained are context, not something to answer."""
        modalities = ("text", "speech") if self.what == "fused" else (self.what,)
        missing = [all(getattr(turn, each) is None for each in modalities) for turn in dialogue.turns]  # K
        unheard = torch.tensor(missing[-len(dialogue.targets) :])  # (targets,)
        return EncodedDialogue(dialogue.turns, dialogue.targets.masked_fill(unheard, UNLABELLED))


def train_context(
    network: EmotionNetwork,
    what: What,
    conversations: Conversations,
    dev: Sequence[EncodedDialogue],
    options: tuple[LoopOptions, LossOptions],
    run: tuple[Path, int],
) -> Scores:
    """Train the module of ``network`` that gives these scores, and none before: stage II of a modality, or stage III.

    Args:
        network: its stages before this one are trained; it is changed in place.
        what: ``text`` or ``speech`` for a stage II, ``fused`` for stage III.
        conversations: training data.
        dev: whole dialogues; each of their turns is scored from the past alone.
        options: of the loop and the loss.
        run: folder and seed.
    """
    folder, seed = run
    torch.manual_seed(seed)
    module = {"text": "text_context", "speech": "speech_context", "fused": "co_attention"}[what]
    network.requires_grad_(False).eval().to(training_device())
    trained = network.get_submodule(module).requires_grad_(True)
    task = ConversationTask(network, what, conversations, dev, *options)
    stage = "stage3" if what == "fused" else f"stage2-{what}"
    return fit(stage, trained, task, options[0], folder, seed)
