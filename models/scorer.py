"""Conversations as a network scores them: turn by turn while they go on, or whole once they have ended.

Each newest turn gets an estimate, the share of its voice, its words and the turns before it in that estimate (by
ablation: the same turn is scored without them), and revisions of earlier turns that it puts in another light.

Notation: B batch, K turns, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from emotrack.models.context import EmotionEstimate, Part, Revision, RollingContext
from emotrack.models.conversation import ConversationBatch, TurnEmbedding
from emotrack.models.network import EmotionNetwork, TurnScores

REVISION_MARGIN = 0.1  # of probability, by which another emotion must lead before an earlier turn is revised


class ConversationScorer:
    """Estimates for the turns of any number of conversations; the state of each is its ``RollingContext``."""

    def __init__(self, network: EmotionNetwork) -> None:
        self.network = network

    def new_context(self, turns: int | None = None) -> RollingContext:
        """An empty memory of the last ``turns`` turns, the bundle's own number by default."""
        return RollingContext(self.network.default_context if turns is None else turns, self.network.fingerprint)

    def restore_context(self, snapshot: bytes) -> RollingContext:
        """A memory as it was when ``RollingContext.to_bytes`` was called. Raises ``SnapshotError``."""
        network = self.network
        widths = (network.text_head.embedding, network.speech_head.embedding)
        return RollingContext.from_bytes(snapshot, network.fingerprint, widths, network.labels, network.device)

    def estimate(self, context: RollingContext, turn: TurnEmbedding) -> EmotionEstimate:
        """Score the newest turn, given the turns before it, and remember it in ``context``.

        Raises:
            ValueError: neither voice nor words were heard.
        """
        return self.update(context, turn)[0]

    def update(self, context: RollingContext, turn: TurnEmbedding) -> tuple[EmotionEstimate, list[Revision]]:
        """The same as ``estimate``, with the earlier turns that the newest one revises, oldest first."""
        return self.update_batch([(context, turn)])[0]

    @torch.inference_mode()
    def update_batch(
        self, newest: Sequence[tuple[RollingContext, TurnEmbedding]]
    ) -> list[tuple[EmotionEstimate, list[Revision]]]:
        """``update`` for the newest turns of several conversations at once, the same as alone but for rounding.

        Where it raises, no conversation remembers anything of it.
        """
        if any(turn.speech is None and turn.text is None for _, turn in newest):
            raise ValueError("a turn needs speech, text or both")
        windows = [[*context.turns[-(context.size - 1) :], turn][-context.size :] for context, turn in newest]
        turns = self.network.collate(windows)
        scores: TurnScores = self.network(turns, with_states=False)
        believed = self.network.calibrated(turns, scores).tolist()  # (B, K, C)
        without = self._ablated(windows, turns, scores)
        return [
            self._remember(*each, believed[row][: len(windows[row])], without[row]) for row, each in enumerate(newest)
        ]

    def _remember(
        self,
        context: RollingContext,
        turn: TurnEmbedding,
        believed: Sequence[Sequence[float]],
        without: dict[Part, Sequence[float]],
    ) -> tuple[EmotionEstimate, list[Revision]]:
        """Note the newest turn, by the probabilities of K turns, and of the newest without some part: (C,) each."""
        newest = self._estimated(believed[-1])
        emotion = self.network.labels.index(newest.emotion)
        newest = replace(newest, why={part: newest.confidence - rest[emotion] for part, rest in without.items()})
        context.append(turn, newest.emotion)
        revisions = []
        for place, published in enumerate(context.published[:-1]):
            revised = self._estimated(believed[place])
            lead = revised.confidence - believed[place][self.network.labels.index(published)]
            if lead >= REVISION_MARGIN:
                context.republish(place, revised.emotion)
                revisions.append(Revision(len(believed) - 1 - place, revised))
        return newest, revisions

    @torch.inference_mode()
    def score_dialogue(self, turns: Sequence[TurnEmbedding]) -> list[EmotionEstimate]:
        """Score a conversation that has ended, each turn seeing all others."""
        if not turns:
            return []
        return [self._estimated(each) for each in self.network.probabilities(self.network.collate([turns]))[0].tolist()]

    def _ablated(
        self, windows: Sequence[Sequence[TurnEmbedding]], turns: ConversationBatch, scores: TurnScores
    ) -> list[dict[Part, Sequence[float]]]:
        """The probabilities of each newest turn without its voice, its words, the turns before it: (C,) each.

        Args:
            windows: of each conversation the turns up to the newest.
            turns: those, as a batch.
            scores: of those.
        """
        without: list[dict[Part, Sequence[float]]] = [{} for _ in windows]
        variants: list[tuple[int, Part, list[TurnEmbedding]]] = []
        read, heard = self.network.own_temperatures(turns)  # (B, 1), (B, 1)
        for row, (*past, newest) in enumerate(windows):
            if newest.speech is not None and newest.text is not None and self.network.co_attention.residual:
                text, speech = scores.text[row, len(past)], scores.speech[row, len(past)]  # (C,), (C,)
                without[row]["speech"] = (text / read[row]).softmax(dim=0).tolist()
                without[row]["text"] = (speech / heard[row]).softmax(dim=0).tolist()
            else:
                if newest.speech is not None:
                    variants.append((row, "speech", [*past, replace(newest, speech=None)]))
                if newest.text is not None:
                    variants.append((row, "text", [*past, replace(newest, text=None)]))
            if past:
                variants.append((row, "context", [newest]))
        if variants:
            believed = self.network.probabilities(
                self.network.collate([rest for _, _, rest in variants])
            ).tolist()  # (B, K, C)
            for (row, part, rest), found in zip(variants, believed, strict=True):
                without[row][part] = found[len(rest) - 1]
        return without

    def _estimated(self, probabilities: Sequence[float]) -> EmotionEstimate:
        """(C,) -> the estimate, without reasons."""
        confidence = max(probabilities)
        emotion = probabilities.index(confidence)
        return EmotionEstimate(
            probabilities=tuple(probabilities),
            labels=self.network.labels,
            emotion=self.network.labels[emotion],
            confidence=confidence,
            uncertain=confidence < self.network.config.uncertain_below,
            why={},
        )
