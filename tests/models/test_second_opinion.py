from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from emotrack.models.bundle import load_bundle, save_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.given import GivenTextConfig
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.models.second_opinion import SecondOpinion
from tests.models.conftest import WORDS, tiny_network

HAPPY, SAD, TODAY = (WORDS.index(word) for word in ("happy", "sad", "today"))
SHARE = 7  # the place of an opinion's own share


def opinionated() -> EmotionNetwork:
    """To its second opinion "happy" is joy, and "today" is unlike the network's own corpus."""
    plain = tiny_network()
    network = EmotionNetwork(replace(plain.config, second_opinion=True), plain.tokenizer)
    network.load_state_dict(network.state_dict() | plain.state_dict())
    assert network.second_opinion is not None
    with torch.no_grad():
        network.second_opinion.tokens.weight[HAPPY, network.labels.index("joy")] = 20.0
        network.second_opinion.tokens.weight[TODAY, SHARE] = 200.0
        network.second_opinion.bias[SHARE] = -20.0
    return network.requires_grad_(False).eval()


def believed(network: EmotionNetwork, *turns: TurnEmbedding) -> tuple[float, ...]:
    scorer = ConversationScorer(network)
    context = scorer.new_context()
    return [scorer.estimate(context, turn).probabilities for turn in turns][-1]


def words(network: EmotionNetwork, text: str) -> TurnEmbedding:
    return TurnEmbedding(None, network.embed_text(text), None, text)


def test_the_rows_of_a_turns_own_tokens_are_summed_over_the_root_of_three_more() -> None:
    opinion = SecondOpinion(10, 2)
    with torch.no_grad():
        opinion.tokens.weight[4] = torch.tensor([1.0, 2.0, 3.0])
        opinion.tokens.weight[5] = torch.tensor([3.0, 2.0, 1.0])
        opinion.bias[:] = torch.tensor([0.5, 0.0, 0.0])
    told = opinion(torch.tensor([4, 5, 6, 6, 6, 6]))
    assert told.tolist() == pytest.approx([4 / 3 + 0.5, 4 / 3, 4 / 3])


def test_a_share_of_the_probabilities_is_the_opinions() -> None:
    opinion = SecondOpinion(10, 2)
    told = torch.tensor([np.log(3.0), 0.0, np.log(1 / 4)])  # .75 and .25 for the labels, a fifth for itself
    found = opinion.mixed(torch.tensor([0.1, 0.9]), told)
    assert found.tolist() == pytest.approx([0.8 * 0.1 + 0.2 * 0.75, 0.8 * 0.9 + 0.2 * 0.25])


def test_words_unlike_the_own_corpus_are_asked_again() -> None:
    network, plain = opinionated(), tiny_network()
    near, far = "i am happy !", "i am happy today"
    assert believed(network, words(network, near)) == pytest.approx(believed(plain, words(plain, near)), abs=1e-3)
    assert believed(network, words(network, far))[network.labels.index("joy")] > 0.9
    assert believed(plain, words(plain, far))[network.labels.index("joy")] < 0.9


def test_the_opinion_is_of_a_turns_own_words() -> None:
    network = opinionated()
    before, turn = words(network, "so today !"), "i am happy !"
    again = TurnEmbedding(None, network.embed_text(turn, ["so today !"]), None, turn)
    plain = tiny_network()
    was = TurnEmbedding(None, plain.embed_text(turn, ["so today !"]), None, turn)
    expected = believed(plain, words(plain, "so today !"), was)
    assert believed(network, before, again) == pytest.approx(expected, abs=1e-3)


def test_a_turn_with_a_voice_is_as_it_was() -> None:
    network, plain = opinionated(), tiny_network()
    voice = np.random.default_rng(0).normal(0.0, 0.1, 16_000).astype(np.float32)
    heard, was = (
        TurnEmbedding(each.embed_speech(voice), each.embed_text("i am happy today"), None) for each in (network, plain)
    )
    assert believed(network, heard) == pytest.approx(believed(plain, was), abs=1e-6)


def test_what_a_turn_would_be_without_its_voice_has_the_opinion_too() -> None:
    network = opinionated()
    voice = np.random.default_rng(0).normal(0.0, 0.1, 16_000).astype(np.float32)
    turn = words(network, "i am happy today")
    scorer = ConversationScorer(network)
    estimate = scorer.estimate(scorer.new_context(), replace(turn, speech=network.embed_speech(voice)))
    alone = believed(network, turn)[network.labels.index(estimate.emotion)]
    assert estimate.confidence - estimate.why["speech"] == pytest.approx(alone, abs=1e-6)


def test_a_text_of_which_no_token_is_left_has_one() -> None:
    network = opinionated()
    assert network.embed_text("\u200b").isfinite().all()


def test_a_bundle_keeps_it_and_a_conversation_goes_on(tmp_path: Path) -> None:
    network = opinionated()
    save_bundle(network, tmp_path / "bundle", {}, "# tiny\n")
    loaded = load_bundle(tmp_path / "bundle")
    scorer = ConversationScorer(loaded)
    context = scorer.new_context()
    scorer.estimate(context, words(loaded, "so today !"))
    restored = scorer.restore_context(context.to_bytes())
    turn = words(loaded, "i am happy today")
    assert scorer.estimate(restored, turn) == scorer.estimate(context, turn)
    assert believed(loaded, turn) == pytest.approx(believed(network, words(network, "i am happy today")), abs=5e-3)


def test_it_needs_the_tokens_of_a_small_bert() -> None:
    with pytest.raises(ValueError, match="small BERT"):
        replace(tiny_network().config, text=GivenTextConfig(4), second_opinion=True)
