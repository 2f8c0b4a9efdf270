"""What the encoders see: log-mel frames of a voice, and tokens of a turn and of those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.models.features import HOP, MELS, LogMel, mel_filters, normalise
from emotrack.models.network import EmotionNetwork
from emotrack.models.text_encoder import MAX_EARLIER_TOKENS, TextConfig, read_turn
from tests.models.conftest import WORDS, tiny_tokenizer


def test_log_mel_has_a_hundred_frames_a_second() -> None:
    frames = LogMel()(torch.randn(SAMPLE_RATE))
    assert frames.shape == (SAMPLE_RATE // HOP + 1, MELS)


def test_a_tone_is_loudest_where_it_lies() -> None:
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (LogMel()(torch.sin(2 * torch.pi * hertz * time)).mean(dim=0).argmax() for hertz in (300, 3000))
    assert low < high


def test_every_mel_filter_hears_something() -> None:
    assert (mel_filters().sum(dim=1) > 0).all()


@pytest.mark.parametrize("gain", [0.01, 3.0])
def test_the_level_is_removed(gain: float) -> None:
    waveform = torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(normalise(LogMel()(waveform)), normalise(LogMel()(waveform * gain)), atol=1e-3, rtol=0)


def test_digital_silence_is_finite() -> None:
    assert normalise(LogMel()(torch.zeros(SAMPLE_RATE))).isfinite().all()


def read(network: EmotionNetwork, *rows: list[int], own: list[int]) -> torch.Tensor:
    """Embed rows of token ids, padded with a token that would be noticed."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [9] * (longest - len(row)) for row in rows])
    padding = torch.arange(longest) >= torch.tensor([[len(row)] for row in rows])
    embeddings: torch.Tensor = network.text_encoder(ids, padding, torch.tensor(own))
    return embeddings


def test_text_reads_the_same_alone_and_in_a_batch(network: EmotionNetwork) -> None:
    alone = read(network, [2, 5, 6, 3], own=[4])
    together = read(network, [2, 5, 6, 3], [2, 7, 8, 9, 5, 6, 7, 3], own=[4, 5])
    torch.testing.assert_close(alone[0], together[0], atol=1e-5, rtol=1e-4)


def test_earlier_turns_are_read_and_not_pooled(network: EmotionNetwork) -> None:
    encoder = network.text_encoder
    alone, after = read(network, [2, 8, 3], own=[3]), read(network, [2, 8, 3, 9, 3], own=[3])
    assert not torch.allclose(alone, after, atol=1e-3)
    states: list[torch.Tensor] = []
    layers: Any = encoder.layers
    hook = layers.layers[-1].register_forward_hook(lambda *call: states.append(call[-1]))
    pooled = read(network, [2, 8, 3, 9, 3], own=[3])
    hook.remove()
    torch.testing.assert_close(pooled[0], states[0][0, :3].mean(dim=0))


def test_what_is_said_before_a_turn_changes_its_embedding(network: EmotionNetwork) -> None:
    plain = network.embed_text("i am so happy")
    assert torch.equal(network.embed_text("i am so happy", [None, None]), plain)
    assert not torch.allclose(network.embed_text("i am so happy", ["not today"]), plain, atol=1e-3)
    by_hand = network.embed_text("i am so happy", ["not today", None, "sad !"])
    ids = [2, 5, 6, 7, 8, 3, 9, 12, 3, 10, 11, 3]  # newest first, each without the token that begins a text
    torch.testing.assert_close(by_hand, read(network, ids, own=[6])[0])


def test_only_so_many_turns_are_read(network: EmotionNetwork) -> None:
    last = network.embed_text("happy", ["not today", "sad !"])
    assert torch.equal(network.embed_text("happy", ["so so so", None, "not today", None, "sad !"]), last)


@given(
    text=st.lists(st.sampled_from(WORDS[5:]), min_size=1, max_size=30),
    before=st.lists(st.none() | st.lists(st.sampled_from(WORDS[5:]), max_size=60).map(" ".join), max_size=5),
    turns_before=st.integers(0, 4),
    max_tokens=st.integers(4, 64),
)
def test_a_reading_keeps_its_limits(
    text: list[str], before: list[str | None], turns_before: int, max_tokens: int
) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.enable_truncation(max_tokens)
    config = TextConfig(len(WORDS), max_tokens=max_tokens, turns_before=turns_before)
    ids, own = read_turn(tokenizer, " ".join(text), before, config)
    assert own == min(len(text) + 2, max_tokens)
    assert (ids[0], ids[own - 1]) == (2, 3)
    assert own <= len(ids) <= min(max_tokens, own + turns_before * (MAX_EARLIER_TOKENS - 1))
    assert ids[own:].count(2) == 0
    if not turns_before:
        assert len(ids) == own


@dataclass(frozen=True)
class Forward:
    """How a decoder reads."""

    max_tokens: int
    turns_before: int
    reads_forward: bool = True


def test_a_decoder_reads_turns_in_the_order_in_which_they_were_said() -> None:
    tokenizer = tiny_tokenizer()
    before = ["so so so", "not today", None, "sad !"]
    assert read_turn(tokenizer, "happy .", before, Forward(16, 2)) == ([2, 10, 11, 9, 12, 8, 13, 3], 4)
    for most, kept in ((7, [11, 9, 12]), (5, [12]), (4, [])):  # the oldest tokens are left out
        assert read_turn(tokenizer, "happy .", before, Forward(most, 2)) == ([2, *kept, 8, 13, 3], 4)
    tokenizer.post_processor = None  # as of GPT-2 and Qwen, which mark neither end
    assert read_turn(tokenizer, "happy .", ["sad !"], Forward(16, 1)) == ([9, 12, 8, 13], 2)
