"""Turns encoded together: the same as each alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotrack.models.bundle import load_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.models.scorer import ConversationScorer
from emotrack.models.shapes import with_few_lengths, with_few_rows
from tests.models.conftest import tiny_network

RATE = 16_000
SECONDS = (0.1, 25.0, 0.7, 3.0, 3.1)
WORDS = ("I am so happy!", "no", "so " * 100, "I am not sad today.")


def voice(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose loudness rises and falls."""
    count = round(seconds * RATE)
    noise = np.random.default_rng(seed).standard_normal(count) * 0.1
    return (noise * (1 + np.sin(np.arange(count) / 3000))).astype(np.float32)


@pytest.fixture(scope="module")
def mini() -> EmotionNetwork:
    return load_bundle("mini")


@pytest.fixture(params=[False, True], ids=["any rows", "few rows"])
def filled_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as on a processor, once with the rows that a GPU is given."""
    monkeypatch.setattr(EmotionNetwork, "has_few_rows", property(lambda _: request.param))


def probabilities(network: EmotionNetwork, speech: Tensor | None, text: Tensor | None) -> Tensor:
    scorer = ConversationScorer(network)
    estimate = scorer.estimate(scorer.new_context(), TurnEmbedding(speech, text, None))
    return torch.tensor(estimate.probabilities)


@pytest.mark.usefixtures("filled_up")
def test_voices_of_very_different_lengths(mini: EmotionNetwork) -> None:
    voices = [voice(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    together = mini.embed_speech_batch(voices)
    for one, waveform in zip(together, voices, strict=True):
        alone = mini.speech_head.embed(mini.speech_encoder(*_alone(mini, waveform))).squeeze(0)
        torch.testing.assert_close(one, alone, atol=1e-5 * float(alone.abs().max()), rtol=1e-4)
        expected = probabilities(mini, alone, None)
        found = probabilities(mini, one, None)  # of numbers up to 20
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def _alone(network: EmotionNetwork, waveform: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """(1, T0, ...), (1,) one voice without any padding."""
    inputs = network.speech_encoder.prepare(torch.tensor(waveform))
    return inputs.unsqueeze(0), torch.tensor([len(inputs)])


@pytest.mark.usefixtures("filled_up")
def test_texts_of_very_different_lengths(mini: EmotionNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [(text, [None, *WORDS[:number]]) for number, text in enumerate(WORDS)]
    together = mini.embed_text_batch(turns)
    monkeypatch.setattr(EmotionNetwork, "has_few_rows", property(lambda _: False))
    for one, (text, before) in zip(together, turns, strict=True):
        alone = mini.embed_text(text, before)
        torch.testing.assert_close(one, alone, atol=1e-5, rtol=1e-4)
        expected = probabilities(mini, None, alone)
        torch.testing.assert_close(probabilities(mini, None, one), expected, atol=1e-6, rtol=1e-5)


def spoken(network: EmotionNetwork, heard: str, seed: int) -> TurnEmbedding:
    """A turn of one of two speakers, of which "speech", "text" or "both" was heard."""
    draw = torch.Generator().manual_seed(seed)
    voice = torch.randn(network.speech_head.voice, generator=draw)
    voice[-1] = voice[-1].sigmoid()  # the evidence
    words = torch.randn(network.text_width, generator=draw)
    return TurnEmbedding(voice if heard != "text" else None, words if heard != "speech" else None, "AB"[seed % 2])


@pytest.mark.parametrize("heard", ["speech", "text", "both", "now this, now that"])
def test_newest_turns_of_several_conversations(mini: EmotionNetwork, heard: str) -> None:
    def turn(seed: int) -> TurnEmbedding:
        return spoken(mini, ("speech", "text", "both")[seed % 3] if heard == "now this, now that" else heard, seed)

    lengths = (0, 1, 5, 15, 40)
    scorer = ConversationScorer(mini)
    alone, together = ([scorer.new_context() for _ in lengths] for _ in range(2))
    for row, length in enumerate(lengths):
        for place in range(length):
            for contexts in (alone, together):
                scorer.update(contexts[row], turn(100 * row + place))
    newest = [turn(100 * row + 99) for row in range(len(lengths))]
    expected = [scorer.update(*each) for each in zip(alone, newest, strict=True)]
    for (one, revised), (same, also) in zip(
        scorer.update_batch(list(zip(together, newest, strict=True))), expected, strict=True
    ):
        np.testing.assert_allclose(one.probabilities, same.probabilities, atol=1e-6)
        assert one.why == pytest.approx(same.why, abs=1e-6)
        assert [each.turns_ago for each in revised] == [each.turns_ago for each in also]
    assert [context.published for context in together] == [context.published for context in alone]


def test_if_one_newest_turn_is_nothing_none_is_remembered(mini: EmotionNetwork) -> None:
    scorer = ConversationScorer(mini)
    first, second = scorer.new_context(), scorer.new_context()
    good = spoken(mini, "speech", 0)
    with pytest.raises(ValueError, match="needs speech, text or both"):
        scorer.update_batch([(first, good), (second, TurnEmbedding(None, None, "A"))])
    assert len(first) == len(second) == 0


@pytest.mark.parametrize("heard", ["speech", "text"])
def test_what_nobody_reads_changes_nothing(mini: EmotionNetwork, heard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has words, or a voice, that half of the network is left out."""
    conversations = mini.collate([[spoken(mini, heard, seed) for seed in range(length)] for length in (3, 16)])
    real = ~conversations.padding
    with torch.no_grad():
        found = mini.probabilities(conversations)[real]
        everything = {"text", "speech", "fused"}
        assert mini._needed(conversations) == {heard}
        monkeypatch.setattr(EmotionNetwork, "_needed", lambda *_: everything)
        torch.testing.assert_close(found, mini.probabilities(conversations)[real], atol=0, rtol=0)


def test_what_stands_beside_a_turn_tells_it_nothing(mini: EmotionNetwork) -> None:
    quiet, loud = mini.embed_speech_batch([voice(1.0), voice(9.0)])[0], voice(9.0, 1) * 9
    torch.testing.assert_close(mini.embed_speech_batch([voice(1.0), loud])[0], quiet, atol=1e-6, rtol=1e-5)


def test_a_batch_with_one_bad_turn_is_refused() -> None:
    network = tiny_network()
    with pytest.raises(ValueError, match="lasts"):
        network.embed_speech_batch([voice(1.0), voice(0.01)])
    with pytest.raises(ValueError, match="without words"):
        network.embed_text_batch([("so happy", ()), ("  ", ())])


def test_few_lengths() -> None:
    lengths = {with_few_lengths(torch.ones(1, length), 3001).shape[1] for length in range(10, 3002)}
    assert len(lengths) < 40
    for rows, length in ((1, 1), (3, 300), (5, 301), (8, 3000), (2, 3001)):
        batch = torch.rand(rows, length, 2)
        padded = with_few_lengths(batch, 3001)
        assert padded.shape[0] == rows
        assert length <= padded.shape[1] <= min(1.25 * length, 3001)
        torch.testing.assert_close(padded[:, :length], batch)
        assert not padded[:, length:].any()
    assert with_few_lengths(torch.ones(1, 7), 5).shape[1] == 7, "nothing is cut"


def test_few_rows() -> None:
    for rows, filled in ((1, 1), (2, 2), (3, 4), (5, 8), (8, 8)):
        batch = torch.rand(rows, 3, 2)
        padded = with_few_rows(batch)
        assert len(padded) == filled
        torch.testing.assert_close(padded[:rows], batch)
        torch.testing.assert_close(padded[rows:], batch[-1:].expand(filled - rows, -1, -1))
    assert with_few_rows(torch.arange(3)).tolist() == [0, 1, 2, 2]
