"""A conversation that goes on: the newest turn is scored from the last K turns, and may change earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emotrack.models.config import Calibration
from emotrack.models.context import EmotionEstimate, Revision
from emotrack.models.conversation import ConversationBatch, TurnEmbedding
from emotrack.models.network import EmotionNetwork, TurnScores
from emotrack.models.scorer import REVISION_MARGIN, ConversationScorer
from tests.models.conftest import tiny_network
from tests.models.test_conversation import TURNS, turn

NETWORK = tiny_network()
SCORER = ConversationScorer(NETWORK)
ANYTHING = st.lists(
    st.builds(
        turn,
        st.integers(0, 99),
        st.sampled_from(["both", "speech", "text"]),
        st.sampled_from([None, "Ana", "Ben", "Cem"]),
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=40)
@given(turns=ANYTHING, size=st.integers(1, 5))
def test_streaming_equals_the_same_prefix_scored_offline(turns: list[TurnEmbedding], size: int) -> None:
    context = SCORER.new_context(size)
    for place, newest in enumerate(turns):
        online = SCORER.estimate(context, newest)
        offline = SCORER.score_dialogue(turns[max(0, place - size + 1) : place + 1])
        # But for rounding: what the newest turn would be without the turns before it is scored in the same batch.
        assert online.probabilities == pytest.approx(offline[-1].probabilities, abs=1e-6)
        assert (online.emotion, online.uncertain) == (offline[-1].emotion, offline[-1].uncertain)
        assert len(context) == min(place + 1, size)


@settings(max_examples=20)
@given(turns=ANYTHING, size=st.integers(1, 4))
def test_what_left_the_window_does_not_matter(turns: list[TurnEmbedding], size: int) -> None:
    long, short = SCORER.new_context(size), SCORER.new_context(size)
    for each in turns:
        expected = SCORER.estimate(long, each)
    for each in turns[-size:]:
        found = SCORER.estimate(short, each)
    assert found == expected


def test_the_past_matters_and_so_does_who_spoke(network: EmotionNetwork) -> None:
    newest = turn(9, "both", "Ana")
    found = set()
    scorer = ConversationScorer(network)
    for past in ([], [turn(0, "text", "Ana")], [turn(0, "text", "Ben")], [turn(0, "text")], [turn(1, "text", "Ana")]):
        context = scorer.new_context()
        for each in [*past, newest]:
            estimate = scorer.estimate(context, each)
        found.add(estimate.probabilities)
    assert len(found) == 5


def test_an_empty_dialogue_and_a_turn_of_which_nothing_was_heard(network: EmotionNetwork) -> None:
    scorer = ConversationScorer(network)
    assert scorer.score_dialogue([]) == []
    context = scorer.new_context()
    with pytest.raises(ValueError, match="a turn needs speech, text or both"):
        scorer.estimate(context, TurnEmbedding(None, None, "Ana"))
    assert len(context) == 0
    with pytest.raises(ValueError, match="a context holds 1 or more turns, not 0"):
        scorer.new_context(0)


class TestWhy:
    def why(self, network: EmotionNetwork, *turns: TurnEmbedding) -> EmotionEstimate:
        scorer = ConversationScorer(network)
        context = scorer.new_context()
        return [scorer.estimate(context, each) for each in turns][-1]

    @pytest.mark.parametrize(
        ("past", "parts", "expected"),
        [
            ([], "both", {"speech", "text"}),
            ([], "speech", {"speech"}),
            ([], "text", {"text"}),
            (TURNS[:2], "both", {"speech", "text", "context"}),
            (TURNS[:2], "text", {"text", "context"}),
        ],
    )
    def test_it_has_what_was_there(
        self, network: EmotionNetwork, past: list[TurnEmbedding], parts: str, expected: set[str]
    ) -> None:
        assert set(self.why(network, *past, turn(9, parts)).why) == expected

    @pytest.mark.parametrize("stage", [1, 2, 3])
    @pytest.mark.parametrize("residual", [True, False])
    @pytest.mark.parametrize("past", [TURNS[:2], []])
    def test_each_part_is_what_the_estimate_loses_without_it(
        self, stage: int, residual: bool, past: list[TurnEmbedding]
    ) -> None:
        network, newest = tiny_network(stage, residual=residual), turn(9, "both", "Ana")
        network.config = replace(network.config, calibration=Calibration(text=0.7, speech=1.5, both=1.2))
        found = self.why(network, *past, newest)
        emotion = network.labels.index(found.emotion)
        without = {
            "speech": [*past, replace(newest, speech=None)],
            "text": [*past, replace(newest, text=None)],
            "context": [newest],
        }
        assert set(found.why) == set(without) - (set() if past else {"context"})
        for part in found.why:
            left = ConversationScorer(network).score_dialogue(without[part])[-1].probabilities[emotion]
            assert found.why[part] == pytest.approx(found.confidence - left, abs=1e-6)

    def test_its_sign_says_which_way(self) -> None:
        """A network that adds up what words and voice say for its first emotion."""
        network = Hand(lambda words, voice, others: words + voice + others)
        agreeing, opposing = said(words=2.0, voice=1.0), said(words=2.0, voice=-1.0)
        scorer = ConversationScorer(network)
        assert scorer.update(scorer.new_context(), agreeing)[0].why["speech"] > 0
        found = scorer.update(scorer.new_context(), opposing)[0]
        assert found.why["text"] > 0 > found.why["speech"]
        context = scorer.new_context()
        scorer.update(context, said(words=-1.0))
        assert scorer.update(context, said(words=2.0))[0].why["context"] < 0

    def test_earlier_turns_have_none(self, network: EmotionNetwork) -> None:
        assert all(estimate.why == {} for estimate in ConversationScorer(network).score_dialogue(TURNS))


class Hand(EmotionNetwork):
    """A network whose belief in its first emotion is a function of words, voice and all later turns' words."""

    def __init__(self, belief: object) -> None:
        tiny = tiny_network()
        super().__init__(tiny.config, tiny.tokenizer)
        self.requires_grad_(False).eval()
        self._belief = belief

    def forward(self, turns: ConversationBatch, *, with_states: bool = True) -> TurnScores:
        words = turns.text[..., 0].masked_fill(turns.text_missing, 0.0)  # (B, K)
        voice = turns.speech[..., 0].masked_fill(turns.speech_missing, 0.0)  # (B, K)
        nothing = torch.zeros_like(words)  # (B, K)
        others = words.sum(dim=1, keepdim=True) - words  # (B, K)
        heard = ((words, nothing), (nothing, voice), (words, voice))
        first = [self._belief(*each, others) for each in heard]  # type: ignore[operator]  # (B, K) each
        read, spoken, fused = (torch.nn.functional.pad(each.unsqueeze(-1), (0, 6)) for each in first)  # (B, K, C) each
        return TurnScores(read, spoken, fused, states={})


def said(words: float | None = None, voice: float | None = None) -> TurnEmbedding:
    return TurnEmbedding(
        None if voice is None else torch.full((8,), voice), None if words is None else torch.full((16,), words), None
    )


class TestRevisions:
    """With one emotion that later words speak for or against."""

    @pytest.fixture
    def network(self) -> Hand:
        return Hand(lambda words, voice, others: words + others)

    def run(self, network: EmotionNetwork, turns: Sequence[TurnEmbedding], size: int = 3) -> list[list[Revision]]:
        scorer = ConversationScorer(network)
        context = scorer.new_context(size)
        return [scorer.update(context, each)[1] for each in turns]

    def test_a_new_turn_revises_earlier_ones_once(self, network: Hand) -> None:
        found = self.run(network, [said(-1.0), said(-1.0), said(4.0), said(0.1)])
        assert [[revision.turns_ago for revision in each] for each in found] == [[], [], [2, 1], []]
        for revision in found[2]:
            assert revision.estimate.emotion == network.labels[0]
            assert revision.estimate.probabilities[0] == pytest.approx(
                torch.tensor([2.0, 0, 0, 0, 0, 0, 0]).softmax(dim=0)[0].item()
            )

    def test_what_was_revised_may_be_revised_back(self, network: Hand) -> None:
        found = self.run(network, [said(-1.0), said(4.0), said(-8.0)])
        assert [[(each.turns_ago, each.estimate.emotion) for each in row] for row in found] == [
            [],
            [(1, network.labels[0])],
            [(2, network.labels[1]), (1, network.labels[1])],
        ]

    def test_a_narrow_lead_is_no_reason(self, network: Hand) -> None:
        # Of seven emotions, the first leads by the margin at a score of about 0.54.
        narrow, wide = 0.50, 0.58
        lead = torch.tensor([[narrow, 0, 0, 0, 0, 0, 0], [wide, 0, 0, 0, 0, 0, 0]]).softmax(dim=1)
        assert (lead[:, 0] - lead[:, 1] >= REVISION_MARGIN).tolist() == [False, True]
        assert self.run(network, [said(-1.0), said(1.0 + narrow)])[1] == []
        assert [each.turns_ago for each in self.run(network, [said(-1.0), said(1.0 + wide)])[1]] == [1]

    def test_turns_that_left_the_window_stay_as_they_are(self, network: Hand) -> None:
        turns = [said(-1.0), said(-1.0), said(-1.0), said(9.0)]
        assert [each.turns_ago for each in self.run(network, turns, size=3)[-1]] == [2, 1]
        assert [each.turns_ago for each in self.run(network, turns, size=2)[-1]] == [1]
        assert self.run(network, turns, size=1)[-1] == []

    def test_a_revision_is_what_the_window_scored_offline_says(self) -> None:
        network, turns = tiny_network(), [turn(seed) for seed in range(40)]
        scorer = ConversationScorer(network)
        context, count = scorer.new_context(4), 0
        for place, newest in enumerate(turns):
            offline = scorer.score_dialogue(turns[max(0, place - 3) : place + 1])
            for revision in scorer.update(context, newest)[1]:
                expected = offline[-1 - revision.turns_ago]
                assert revision.estimate.emotion == expected.emotion
                assert revision.estimate.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
                count += 1
        assert count > 0
