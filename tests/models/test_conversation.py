"""Stages II and III on whole conversations: what is missing, and what is padding, says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from emotrack.models.attention import TurnAttention
from emotrack.models.conversation import (
    OTHER_SPEAKER,
    SAME_SPEAKER,
    UNKNOWN_SPEAKER,
    ConversationBatch,
    TurnEmbedding,
    relate,
)
from emotrack.models.network import EmotionNetwork
from tests.models.conftest import tiny_network

TEXT, SPEECH = 16, 8  # widths of the tiny network's embeddings
STAGES = [
    pytest.param(1, {}, id="stage 1"),
    pytest.param(2, {}, id="stage 2"),
    pytest.param(3, {}, id="stage 3"),
    pytest.param(3, {"speakers": False, "residual": False, "blocks": 2, "layers": 2}, id="as published"),
]


def turn(seed: int, parts: str = "both", speaker: str | None = None) -> TurnEmbedding:
    """A random turn with a voice, words or both."""
    noise = torch.Generator().manual_seed(seed)
    speech, text = torch.randn(SPEECH, generator=noise), torch.randn(TEXT, generator=noise)
    return TurnEmbedding(None if parts == "text" else speech, None if parts == "speech" else text, speaker)


TURNS = [
    turn(0, "both", "Ana"),
    turn(1, "text", "Ben"),
    turn(2, "speech", "Ana"),
    turn(3, "speech"),
    turn(4, "both", "Ben"),
    turn(5, "text"),
]


def overwritten(turns: ConversationBatch, value: float) -> ConversationBatch:
    """The same conversations with ``value`` wherever nothing was heard."""
    return replace(
        turns,
        text=turns.text.masked_fill(turns.text_missing.unsqueeze(-1), value),
        speech=turns.speech.masked_fill(turns.speech_missing.unsqueeze(-1), value),
    )


@pytest.mark.parametrize(("stage", "options"), STAGES)
@pytest.mark.parametrize("value", [1e4, float("nan")])
def test_what_stands_where_a_modality_is_missing_changes_nothing(
    stage: int, options: dict[str, int], value: float
) -> None:
    network = tiny_network(stage, **options)
    turns = network.collate([TURNS, TURNS[1:4]])
    assert torch.equal(network.probabilities(overwritten(turns, value))[0], network.probabilities(turns)[0])
    assert torch.equal(network.probabilities(overwritten(turns, value))[1, :3], network.probabilities(turns)[1, :3])


@pytest.mark.parametrize(("stage", "options"), STAGES)
def test_a_conversation_scores_the_same_alone_and_in_a_batch(stage: int, options: dict[str, int]) -> None:
    network = tiny_network(stage, **options)
    conversations = [TURNS[:1], TURNS, TURNS[2:4], TURNS[::-1]]
    together = network.probabilities(network.collate(conversations))
    for row, turns in enumerate(conversations):
        alone = network.probabilities(network.collate([turns]))
        torch.testing.assert_close(together[row, : len(turns)], alone[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("stage", "options"), STAGES)
@pytest.mark.parametrize("parts", ["text", "speech", "both"])
def test_a_turn_alone_or_with_one_modality_throughout(stage: int, options: dict[str, int], parts: str) -> None:
    network = tiny_network(stage, **options)
    for count in (1, 4):
        (found,) = network.probabilities(network.collate([[turn(seed, parts) for seed in range(count)]]))
        assert found.shape == (count, 7)
        assert found.isfinite().all()
        torch.testing.assert_close(found.sum(dim=1), torch.ones(count))
        assert found.std(dim=1).min() > 1e-4  # something was said


def test_a_missing_modality_is_not_a_zero_vector(network: EmotionNetwork) -> None:
    """If it were, a turn without a voice would score as one whose voice happens to be embedded at zero."""
    silent = [replace(each, speech=torch.zeros(SPEECH)) if each.speech is None else each for each in TURNS]
    missing, zeros = (network.probabilities(network.collate([turns]))[0] for turns in (TURNS, silent))
    assert ((missing - zeros).abs().amax(dim=1) > 1e-4).all()


def test_one_modality_alone_says_what_its_own_stage_two_says(network: EmotionNetwork) -> None:
    """Scores of the words do not depend on voices, nor those of voices on words."""
    words = [replace(each, speech=None) for each in TURNS]
    voices = [replace(each, text=None) for each in TURNS]
    together, read, heard = (network(network.collate([turns])) for turns in (TURNS, words, voices))
    assert torch.equal(together.text, read.text)
    assert torch.equal(together.speech, heard.speech)


def test_the_only_turn_with_a_modality_says_what_stage_one_says(network: EmotionNetwork) -> None:
    """Nothing can be learned from neighbours that are not there."""
    only_voice = [turn(0, "text"), turn(1, "both"), turn(2, "text")]
    found = network(network.collate([[turn(1, "both")], only_voice]))
    voice, words = turn(1).speech, turn(1).text
    assert voice is not None
    assert words is not None
    torch.testing.assert_close(found.speech[0, 0], network.speech_head(voice))
    torch.testing.assert_close(found.text[0, 0], network.text_head(words))
    torch.testing.assert_close(found.speech[1, 1], network.speech_head(voice))
    assert not torch.allclose(found.text[1, 1], network.text_head(words), atol=1e-4)


def test_a_batch_keeps_turns_where_they_are(network: EmotionNetwork) -> None:
    turns = network.collate([TURNS[:2], TURNS])
    assert turns.lengths.tolist() == [2, 6]
    assert turns.text_missing[1].tolist() == [False, False, True, True, False, False]
    assert turns.speech_missing[1].tolist() == [False, True, False, False, False, True]
    assert turns.text_missing[0].tolist() == [False, False, True, True, True, True]
    words = TURNS[4].text
    assert words is not None
    assert torch.equal(turns.text[1, 4], words)
    assert (turns.relation[0, 2:] == UNKNOWN_SPEAKER).all()


def test_who_speaks() -> None:
    same, other, unknown = SAME_SPEAKER, OTHER_SPEAKER, UNKNOWN_SPEAKER
    assert relate(["Ana", "Ben", None, "Ana"]).tolist() == [
        [same, other, unknown, same],
        [other, same, unknown, other],
        [unknown, unknown, unknown, unknown],
        [same, other, unknown, same],
    ]


def test_speakers_matter_only_where_they_are_asked_for() -> None:
    named = [replace(each, speaker=f"speaker {place % 3}") for place, each in enumerate(TURNS)]
    nameless = [replace(each, speaker=None) for each in TURNS]
    renamed = [replace(each, speaker=(each.speaker or "")[::-1]) for each in named]
    for speakers in (True, False):
        network = tiny_network(speakers=speakers)
        first, second, third = (network.probabilities(network.collate([turns])) for turns in (named, nameless, renamed))
        assert torch.equal(first, second) is not speakers
        assert torch.equal(first, third)  # who they are does not matter


class TestAttention:
    @pytest.fixture
    def attention(self) -> TurnAttention:
        torch.manual_seed(0)
        return TurnAttention(8, heads=2, head_width=4).eval()

    def turns(self, count: int) -> Tensor:
        return torch.randn(1, count, 8, generator=torch.Generator().manual_seed(count))

    def test_nothing_to_attend_to(self, attention: TurnAttention) -> None:
        nothing = torch.ones(1, 5, dtype=torch.bool)
        found = attention(self.turns(3), self.turns(5), nothing)
        expected = attention.norm(self.turns(3) + attention.output.bias)
        torch.testing.assert_close(found, expected)

    def test_what_is_missing_is_as_if_it_were_not_there(self, attention: TurnAttention) -> None:
        missing = torch.tensor([[False, False, True, True]])
        torch.testing.assert_close(
            attention(self.turns(3), self.turns(4), missing),
            attention(self.turns(3), self.turns(4)[:, :2], missing[:, :2]),
        )

    def test_a_bias_draws_attention(self, attention: TurnAttention) -> None:
        others, nobody = self.turns(4), torch.zeros(1, 4, dtype=torch.bool)
        bias = torch.zeros(1, 2, 3, 4)
        bias[..., 1] = 50.0
        only = torch.tensor([[True, False, True, True]])
        torch.testing.assert_close(
            attention(self.turns(3), others, nobody, bias), attention(self.turns(3), others, only)
        )
