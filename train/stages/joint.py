"""Joint training, for comparison: everything after the speech encoder at once, from the first weights on.

The paper's ablation (Fig. 4) sets this against its hierarchical training. As there, the speech encoder is trained
beforehand and frozen, with its head; the text encoder begins at its pre-trained weights, and learns from the fused
classification alone, together with a new head, both context networks and the co-attention. Epochs, rate and loss are
the recipe's ``[joint]``: most of what is trained begins with nothing, so those of a fine-tuning are too few for it.

Words are embedded while the network learns, so a turn carries the number of what is read in place of an embedding.

Notation: B batch, E embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from emotrack.models.conversation import ConversationBatch
from emotrack.models.network import EmotionNetwork
from emotrack.models.text_encoder import read_turn
from emotrack.train.corpora import READERS
from emotrack.train.data.conversations import Conversations, EncodedDialogue, Recorded
from emotrack.train.data.pairing import Paired
from emotrack.train.errors import TrainError
from emotrack.train.learning.loop import fit
from emotrack.train.learning.lora import adapted
from emotrack.train.recipes.recipe import Recipe, StageRecipe
from emotrack.train.running.ranks import training_device
from emotrack.train.stages.context_stage import ConversationTask
from emotrack.train.stages.first_weights import pretrained_words
from emotrack.train.stages.readings import clip_readings, dev_conversations, line_readings, train_clips
from emotrack.train.stages.stages import conversations, start, write
from emotrack.train.stages.text_stage import Reading, embed


def run_joint(recipe: Recipe, data: dict[str, Path], out: Path, seed: int) -> Path:
    """Train all but the speech encoder and its head jointly, from ``out/stage1`` with fresh words, to ``out/stage3``.

    Raises:
        BundleError: stage I has not been run.
        TrainError: data that is missing or malformed, or a training that went wrong.
    """
    if recipe.joint is None:
        raise TrainError(f"recipe {recipe.name} has no [joint]: how the stages are trained together")
    if recipe.text.features:
        raise TrainError(f"recipe {recipe.name}: there is no text encoder to train: its embeddings are given")
    network, measured = start(recipe, data, out, seed, "stage1", stage=3, plan="joint")
    train, dev = conversations(recipe, data, out), dev_conversations(network, recipe, data, out)
    torch.manual_seed(seed)
    encoder, _, _ = pretrained_words(recipe, data)
    network.text_encoder.load_state_dict(encoder.state_dict())
    network.text_head.classify.reset_parameters()
    network.requires_grad_(False).to(training_device())
    words = (network.text_encoder, network.text_head, network.text_context)
    trained = nn.ModuleList([*words, network.speech_context, network.co_attention]).requires_grad_(True)
    with adapted(network.text_encoder, recipe.text.lora, seed):
        task = _JointTask(network, recipe, recipe.joint, data, (train.both, dev.both))
        scores = fit("joint", trained, task, recipe.joint.loop, out, seed)
        network.cpu()
    return write(network, out / "stage3", measured | {"joint": scores.to_dict()})


class _JointTask(ConversationTask):
    """Stage III's task, with words that are embedded when a batch is made."""

    def __init__(
        self,
        network: EmotionNetwork,
        recipe: Recipe,
        joint: StageRecipe,
        data: dict[str, Path],
        conversations: tuple[Conversations, Sequence[EncodedDialogue]],
    ) -> None:
        self._readings: list[Reading] = []
        self._network = network
        train, dev = conversations
        super().__init__(
            network,
            "fused",
            self._numbered(train, recipe, data),
            [self._dialogue(each) for each in dev],
            joint.loop,
            joint.loss,
        )

    def _collate(self, batch: Sequence[EncodedDialogue]) -> ConversationBatch:
        said = [turn.text for each in batch for turn in each.turns if turn.text is not None]
        numbers = sorted({int(number) for number in said})  # actors say the same few sentences again and again
        embedded: dict[int, Tensor] = {}
        if numbers:
            embeddings = embed(self.network.text_encoder, [self._readings[number] for number in numbers])  # (words, E)
            embedded = dict(zip(numbers, embeddings, strict=True))
        return self.network.collate(
            [
                [replace(turn, text=None if turn.text is None else embedded[int(turn.text)]) for turn in each.turns]
                for each in batch
            ]
        )

    def _numbered(self, conversations: Conversations, recipe: Recipe, data: dict[str, Path]) -> Conversations:
        """The same source with numbers for words."""
        if isinstance(conversations, Paired) and recipe.acted is not None:
            lines = line_readings(self._network, READERS[recipe.corpus](data[recipe.corpus], "train"))
            words = clip_readings(self._network, train_clips(recipe.acted, data))
            return Paired(
                replace(conversations.lines, readings=self._numbers(lines).unsqueeze(1)),  # (N, 1, 1)
                replace(conversations.voices, words=self._numbers(words)),  # (M, 1)
                conversations.options,
                conversations.conversation,
            )
        recorded = cast("Recorded", conversations)  # the one other kind there is
        return Recorded([self._dialogue(each) for each in recorded.dialogues], recorded.options)

    def _dialogue(self, dialogue: EncodedDialogue) -> EncodedDialogue:
        said: list[str | None] = []
        turns = []
        for turn in dialogue.turns:
            number = None
            if turn.text is not None and turn.words is not None:
                ids, own = read_turn(self._network.tokenizer, turn.words, said, self._network.config.text)
                number = self._numbers([Reading(torch.tensor(ids), own)])[0]  # (1,)
            turns.append(replace(turn, text=number))
            said.append(turn.words)
        return replace(dialogue, turns=tuple(turns))

    def _numbers(self, readings: list[Reading]) -> Tensor:
        """Keep readings -> (readings, 1) their numbers."""
        first = len(self._readings)
        self._readings += readings
        return torch.arange(first, len(self._readings)).float().unsqueeze(1)
