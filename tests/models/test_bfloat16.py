"""Encoders in half precision say nearly what they say in full; where the processor lacks it they stay whole."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotrack.models.bfloat16 import has_quick_bfloat16
from emotrack.models.bundle import load_bundle
from emotrack.models.conversation import TurnEmbedding
from emotrack.models.network import EmotionNetwork
from emotrack.models.transformer import TransformerLayer
from emotrack.models.whisper import WhisperFrontEnd
from emotrack.train.data.audio import read_audio

CONVERSATION = Path(__file__).parents[2] / "examples" / "kitchen-table.flac"
BORDERS = (0.0, 3.0, 7.0, 7.5, 14.0, 16.0, 24.0)  # s
SAID = ("well, so long then", "I am so happy for you!", "no", "get out of my house, and never come back", "so " * 100)
ELSEWHERE: dict[str, bool] = {"avx2": True, "avx512_vnni": True}

has_it = pytest.mark.skipif(not has_quick_bfloat16(), reason="this processor does not multiply in bfloat16")


@pytest.fixture(scope="module")
def whole() -> EmotionNetwork:
    return load_bundle("mini")


@pytest.fixture(scope="module")
def half() -> EmotionNetwork:
    network = load_bundle("mini")
    network.store_in_half()
    return network


@pytest.fixture(scope="module")
def voices() -> list[NDArray[np.float32]]:
    samples = read_audio(CONVERSATION)
    return [samples[round(16_000 * start) : round(16_000 * end)] for start, end in pairwise(BORDERS)]


def read(network: EmotionNetwork) -> list[Tensor]:
    return [network.embed_text(said, SAID[:place]) for place, said in enumerate(SAID)]


@torch.inference_mode()
def probabilities(network: EmotionNetwork, voices: list[Tensor], words: list[Tensor]) -> Tensor:
    """(N, C) of each turn by itself."""
    turns = [TurnEmbedding(voice, None, None) for voice in voices] + [TurnEmbedding(None, each, None) for each in words]
    return network.probabilities(network.collate([[turn] for turn in turns]))[:, 0]


def test_a_loaded_bundle_is_whole(whole: EmotionNetwork) -> None:
    assert {weight.dtype for weight in whole.parameters()} == {torch.float32}


@has_it
def test_probabilities_are_nearly_the_same(
    whole: EmotionNetwork, half: EmotionNetwork, voices: list[NDArray[np.float32]]
) -> None:
    layers = [layer for layer in half.modules() if isinstance(layer, TransformerLayer)]
    assert {layer.linear1.weight.dtype for layer in layers} == {torch.bfloat16}
    expected, found = (
        probabilities(network, network.embed_speech_batch(voices), read(network)) for network in (whole, half)
    )
    assert float((found - expected).abs().max()) < 0.01
    assert float((found - expected).abs().mean()) < 0.001
    assert found.argmax(dim=1).tolist() == expected.argmax(dim=1).tolist()


@has_it
def test_what_stands_beside_a_turn_tells_it_nothing(half: EmotionNetwork, voices: list[NDArray[np.float32]]) -> None:
    """But for rounding: sums in another order now and then round to the next number of half the width."""
    turns = [(said, SAID[:place]) for place, said in enumerate(SAID)]
    together = probabilities(half, half.embed_speech_batch(voices), half.embed_text_batch(turns))
    alone = probabilities(half, [half.embed_speech(voice) for voice in voices], read(half))
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)


def test_without_bfloat16_encoders_stay_whole(whole: EmotionNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: ELSEWHERE)
    network = load_bundle("mini")
    network.store_in_half()
    narrow = {name for name, weight in network.named_parameters() if weight.dtype != torch.float32}
    assert narrow == {"text_encoder.tokens.weight"}, "which is the same in half"
    assert torch.equal(network.embed_text(SAID[0]), whole.embed_text(SAID[0]))


def test_weights_elsewhere_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    for module in (TransformerLayer(24, 3, 48).to("meta"), WhisperFrontEnd(24).to("meta")):  # as on a GPU
        module.store_in_half()
        assert {weight.dtype for weight in module.parameters()} == {torch.float32}
