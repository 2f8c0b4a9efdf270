from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emotrack.models.config import Calibration
from emotrack.models.context import EmotionEstimate
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from tests.models.conftest import tiny_network

RATE = 16_000


def voice(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.0, 0.1, round(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.1, 0.5, 3.0, 30.0])
def test_any_length_from_a_tenth_to_thirty_seconds(network: EmotionNetwork, seconds: float) -> None:
    embedding = network.embed_speech(voice(seconds))
    assert embedding.shape == (8,)
    assert embedding.isfinite().all()


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (voice(0.05), "0.1 to 30.0 s"),
        (voice(30.1), "0.1 to 30.0 s"),
        (np.zeros(0, np.float32), "0.1 to 30.0 s"),
        (np.zeros((RATE, 2), np.float32), "one-dimensional"),
        (np.full(RATE, np.nan, np.float32), "finite"),
        (np.full(RATE, np.inf, np.float32), "finite"),
        (np.full(RATE, 1e30, np.float32), "none beyond 1e\\+06"),
    ],
)
def test_a_waveform_that_cannot_be_is_refused(
    network: EmotionNetwork, waveform: NDArray[np.float32], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        network.embed_speech(waveform)


def test_silence_is_scored(network: EmotionNetwork) -> None:
    turn = TurnEmbedding(network.embed_speech(np.zeros(RATE, np.float32)), None, None)
    scorer = ConversationScorer(network)
    assert sum(scorer.estimate(scorer.new_context(), turn).probabilities) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_text_without_words_is_refused(network: EmotionNetwork, text: str) -> None:
    with pytest.raises(ValueError, match="without words"):
        network.embed_text(text)


def test_half_a_character_is_refused(network: EmotionNetwork) -> None:
    for text, before in (("so \ud800", []), ("so", ["\udfff", None])):
        with pytest.raises(ValueError, match="half a character"):
            network.embed_text(text, before)


def test_a_text_longer_than_the_encoder_reads_is_cut(network: EmotionNetwork) -> None:
    torch.testing.assert_close(network.embed_text("so " * 14), network.embed_text("so " * 500))


@pytest.mark.parametrize("text", ["happy", "Ω ≈ ç √ ∫", "🎉", "\u0000"])
def test_any_text_can_be_read(network: EmotionNetwork, text: str) -> None:
    assert network.embed_text(text).isfinite().all()


def estimates(network: EmotionNetwork, turns: list[TurnEmbedding]) -> list[EmotionEstimate]:
    scorer = ConversationScorer(network)
    context = scorer.new_context()
    return [scorer.estimate(context, turn) for turn in turns]


def test_either_modality_or_both(network: EmotionNetwork) -> None:
    speech, text = network.embed_speech(voice(1.0)), network.embed_text("i am so happy")
    for estimate in estimates(
        network,
        [TurnEmbedding(speech, None, "Ana"), TurnEmbedding(None, text, "Ben"), TurnEmbedding(speech, text, None)],
    ):
        assert sum(estimate.probabilities) == pytest.approx(1.0, abs=1e-5)
        assert estimate.labels == network.labels
        assert estimate.confidence == max(estimate.probabilities)
        assert estimate.probabilities[network.labels.index(estimate.emotion)] == estimate.confidence
        assert estimate.uncertain == (estimate.confidence < network.config.uncertain_below)


def test_each_modality_has_its_temperature(network: EmotionNetwork) -> None:
    speech, text = network.embed_speech(voice(1.0)), network.embed_text("i am so happy")
    turns = [TurnEmbedding(speech, None, None), TurnEmbedding(None, text, None), TurnEmbedding(speech, text, None)]
    scores = network(network.collate([turns])).fused[0]
    network.config = replace(network.config, calibration=Calibration(text=2.0, speech=3.0, both=0.5))
    (found,) = network.probabilities(network.collate([turns]))
    for row, temperature in enumerate((3.0, 2.0, 0.5)):
        torch.testing.assert_close(found[row], (scores[row] / temperature).softmax(dim=0))


@pytest.mark.parametrize(
    ("stage", "residual", "stage_one_scores"), [(3, True, True), (3, False, False), (1, True, False)]
)
def test_the_only_turn_with_a_modality_is_as_stage_one_calibrated_it(
    stage: int, residual: bool, stage_one_scores: bool
) -> None:
    network = tiny_network(stage, residual=residual)
    speech, text = network.embed_speech(voice(1.0)), network.embed_text("i am so happy")
    heard, read = TurnEmbedding(speech, None, None), TurnEmbedding(None, text, None)
    network.config = replace(network.config, calibration=Calibration(text=2.0, speech=3.0, both=0.5))
    for turns, expected in [
        ([heard], [1.0]),
        ([heard, heard], [3.0, 3.0]),
        ([heard, read], [1.0, 1.0]),
        ([read, heard, read], [2.0, 1.0, 2.0]),
    ]:
        fitted = [3.0 if turn is heard else 2.0 for turn in turns]
        found = network.temperatures(network.collate([turns]))[0].tolist()
        assert found == (expected if stage_one_scores else fitted)


def test_where_one_modality_is_all_there_is_stage_two_answers() -> None:
    """Without ``residual``, Stage III may never have seen such a conversation."""
    network = tiny_network(3, residual=False)
    speech, text = network.embed_speech(voice(1.0)), network.embed_text("i am so happy")
    heard, read = TurnEmbedding(speech, None, None), TurnEmbedding(None, text, None)
    for turns, own in (([read, read], "text"), ([heard, heard], "speech")):
        batch = network.collate([turns])
        for with_states in (True, False):
            scores = network(batch, with_states=with_states)
            torch.testing.assert_close(scores.fused.softmax(dim=-1), getattr(scores, own).softmax(dim=-1))
    mixed = network.collate([[read, heard]])  # each turn has one, and the conversation has both
    scores = network(mixed)
    assert not torch.allclose(scores.fused[0, 0].softmax(dim=-1), scores.text[0, 0].softmax(dim=-1), atol=1e-3)
    together = network(network.collate([[read, read], [read, heard]])).fused  # in one batch as by itself
    torch.testing.assert_close(together[1], scores.fused[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[0], network(network.collate([[read, read]])).fused[0], atol=1e-5, rtol=1e-4)


def test_encoders_run_in_different_threads(network: EmotionNetwork) -> None:
    speech, text = network.embed_speech(voice(1.0)), network.embed_text("so sad")
    with ThreadPoolExecutor(2) as threads:
        for _ in range(20):
            heard = threads.submit(network.embed_speech, voice(1.0))
            read = threads.submit(network.embed_text, "so sad")
            assert torch.equal(heard.result(), speech)
            assert torch.equal(read.result(), text)
