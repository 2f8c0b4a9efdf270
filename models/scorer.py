"""Conversations as a network scores them: turn by turn while they go on, or whole once they have ended.

Each newest turn gets an estimate, the share of its voice, its words and the turns before it in that estimate (by
ablation: the same turn is scored without them), and revisions of earlier turns that it puts in another light.

Notation: B batch, V variants of its newest turns, K turns, C labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from emotrack.models.baseline import Baseline, VoiceSums
from emotrack.models.context import EmotionEstimate, Part, Revision, RollingContext
from emotrack.models.conversation import ConversationBatch, TurnEmbedding
from emotrack.models.network import EmotionNetwork, TurnScores

REVISION_MARGIN = 0.1  # of probability, by which another emotion must lead before an earlier turn is revised


@dataclass(frozen=True, slots=True)
class _Noted:
    """What a newest turn makes of its conversation's baseline; all None where voices are not measured against one."""

    heard: VoiceSums | None  # in the turn
    before: Baseline | None
    baseline: Baseline | None  # with the turn
    alone: Baseline | None  # had there been no other turn


@dataclass(frozen=True, slots=True)
class _Variant:
    """A conversation's newest turn without one of the parts on which its estimate rests, and the turns before it."""

    row: int  # which conversation
    without: Part
    turns: Sequence[TurnEmbedding]
    baseline: Baseline | None


class ConversationScorer:
    """Estimates for the turns of any number of conversations; the state of each is its ``RollingContext``."""

    def __init__(self, network: EmotionNetwork) -> None:
        self.network = network

    def new_context(self, turns: int | None = None) -> RollingContext:
        """An empty memory of the last ``turns`` turns, the bundle's own number by default."""
        size = self.network.default_context if turns is None else turns
        return RollingContext(size, self.network.fingerprint, self.network.no_baseline())

    def restore_context(self, snapshot: bytes) -> RollingContext:
        """A memory as it was when ``RollingContext.to_bytes`` was called. Raises ``SnapshotError``."""
        network = self.network
        widths = (network.text_width, network.speech_head.voice)
        of = (network.fingerprint, widths, network.labels, network.device, network.no_baseline())
        context = RollingContext.from_bytes(snapshot, *of)
        context.note(network.note(context.turns))
        return context

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
        windows, noted = self._windows(newest)
        variants = [each for row, window in enumerate(windows) for each in self._variants(row, window, noted[row])]
        baselines = [*(each.baseline for each in noted), *(each.baseline for each in variants)]
        turns = self.network.collate([*windows, *(each.turns for each in variants)], baselines)
        scores: TurnScores = self.network(turns, with_states=False)
        believed = self.network.calibrated(turns, scores)  # (B + V, K, C)
        without = self._ablated(windows, variants, turns, scores, believed)
        return [
            self._remember(each, noted[row], windows[row], believed[row], without[row])
            for row, each in enumerate(newest)
        ]

    @torch.inference_mode()
    def estimate_next(self, next_turns: Sequence[tuple[RollingContext, TurnEmbedding]]) -> list[EmotionEstimate]:
        """How turns sound after those of their contexts, of which nothing is remembered; without reasons."""
        windows, noted = self._windows(next_turns)
        believed = self.network.probabilities(self.network.collate(windows, [each.baseline for each in noted]))
        newest = torch.stack([each[len(window) - 1] for each, window in zip(believed, windows, strict=True)])  # (B, C)
        return self._estimates([turn for _, turn in next_turns], newest)

    def _windows(
        self, newest: Sequence[tuple[RollingContext, TurnEmbedding]]
    ) -> tuple[list[list[TurnEmbedding]], list[_Noted]]:
        """Of each conversation the turns up to the newest, and what that makes of its baseline."""
        windows = [[*context.turns[-(context.size - 1) :], turn][-context.size :] for context, turn in newest]
        notes = self.network.note([turn for _, turn in newest])
        alone = self.network.no_baseline()
        return windows, [
            _Noted(heard, context.baseline, _with(context.baseline, turn, heard), _with(alone, turn, heard))
            for (context, turn), heard in zip(newest, notes, strict=True)
        ]

    def _remember(
        self,
        newest_turn: tuple[RollingContext, TurnEmbedding],
        noted: _Noted,
        window: Sequence[TurnEmbedding],
        believed: Tensor,
        without: dict[Part, Sequence[float]],
    ) -> tuple[EmotionEstimate, list[Revision]]:
        """Note the newest turn, by the probabilities of all in the window, (K, C), and without some part, (C,) each."""
        context, turn = newest_turn
        last = len(window) - 1
        published_before = context.published[len(context) - last :]
        revised = [
            place
            for place, (published, found) in enumerate(zip(published_before, believed.tolist(), strict=False))
            if max(found) - found[self.network.labels.index(published)] >= REVISION_MARGIN
        ]
        places = [last, *revised]
        newest, *others = self._estimates([window[place] for place in places], believed[places])
        emotion = self.network.labels.index(newest.emotion)
        newest = replace(newest, why={part: newest.confidence - rest[emotion] for part, rest in without.items()})
        context.append(turn, newest.emotion, noted.heard)
        for place, estimate in zip(revised, others, strict=True):
            context.republish(place, estimate.emotion)
        return newest, [Revision(last - place, estimate) for place, estimate in zip(revised, others, strict=True)]

    @torch.inference_mode()
    def score_dialogue(self, turns: Sequence[TurnEmbedding]) -> list[EmotionEstimate]:
        """Score a conversation that has ended, each turn seeing all others."""
        if not turns:
            return []
        return self._estimates(turns, self.network.probabilities(self.network.collate([turns]))[0])

    def _variants(self, row: int, window: Sequence[TurnEmbedding], noted: _Noted) -> Iterator[_Variant]:
        """What has to be scored besides a conversation's window to know what each part tells of the newest turn."""
        *past, newest = window
        if not self._stand_alone(newest):
            if newest.speech is not None:
                yield _Variant(row, "speech", [*past, replace(newest, speech=None)], noted.before)
            if newest.text is not None:
                yield _Variant(row, "text", [*past, replace(newest, text=None)], noted.baseline)
        if past:
            yield _Variant(row, "context", [newest], noted.alone)

    def _stand_alone(self, turn: TurnEmbedding) -> bool:
        """Whether voice and words of a turn have scores of their own, which are those without the other."""
        return turn.speech is not None and turn.text is not None and self.network.co_attention.residual

    def _ablated(
        self,
        windows: Sequence[Sequence[TurnEmbedding]],
        variants: Sequence[_Variant],
        turns: ConversationBatch,
        scores: TurnScores,
        believed: Tensor,
    ) -> list[dict[Part, Sequence[float]]]:
        """The probabilities of each newest turn without its voice, its words, the turns before it: (C,) each.

        Args:
            windows: of each conversation the turns up to the newest.
            variants: of the newest turns.
            turns: the windows and the variants, as a batch.
            scores: of those.
            believed: (B + V, K, C) the probabilities of those.
        """
        without: list[dict[Part, Sequence[float]]] = [{} for _ in windows]
        read, heard = self.network.own_temperatures(turns)  # (B + V, 1), (B + V, 1)
        for row, window in enumerate(windows):
            if self._stand_alone(window[-1]):
                last = len(window) - 1
                words = (scores.text[row, last] / read[row]).softmax(dim=0)  # (C,)
                without[row]["speech"] = self.network.asked_again(words, turns.text[row, last]).tolist()
                without[row]["text"] = (scores.speech[row, last] / heard[row]).softmax(dim=0).tolist()
        for each, found in zip(variants, believed[len(windows) :], strict=True):
            without[each.row][each.without] = found[len(each.turns) - 1].tolist()
        return without

    def _estimates(self, turns: Sequence[TurnEmbedding], probabilities: Tensor) -> list[EmotionEstimate]:
        """(K, C) of K turns -> their estimates, without reasons."""
        affect = self.network.affect(turns, probabilities)  # (K, 2)
        sounds: list[list[float | None]] = [[None, None]] * len(turns) if affect is None else affect.tolist()
        return [self._estimated(each, *place) for each, place in zip(probabilities.tolist(), sounds, strict=True)]

    def _estimated(
        self, probabilities: Sequence[float], valence: float | None, arousal: float | None
    ) -> EmotionEstimate:
        confidence = max(probabilities)
        emotion = probabilities.index(confidence)
        return EmotionEstimate(
            probabilities=tuple(probabilities),
            labels=self.network.labels,
            emotion=self.network.labels[emotion],
            confidence=confidence,
            uncertain=confidence < self.network.config.uncertain_below,
            why={},
            valence=valence,
            arousal=arousal,
        )


def _with(baseline: Baseline | None, turn: TurnEmbedding, heard: VoiceSums | None) -> Baseline | None:
    return baseline if baseline is None or heard is None else baseline.with_turn(turn.speaker, heard)
