from __future__ import annotations

import pytest
import torch

from emotrack.models.features import HOP, MELS, SAMPLE_RATE, LogMel, mel_filters, normalise
from emotrack.models.network import EmotionNetwork


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


@pytest.mark.parametrize("frames", [11, 40, 41, 42, 43])
def test_speech_reads_the_same_alone_and_in_a_batch(network: EmotionNetwork, frames: int) -> None:
    features = torch.randn(1, frames, MELS)
    alone = network.speech_encoder(features, torch.tensor([frames]))
    batch = torch.full((2, 64, MELS), 5.0)
    batch[0, :frames] = features
    together = network.speech_encoder(batch, torch.tensor([frames, 64]))
    torch.testing.assert_close(alone[0], together[0], atol=1e-5, rtol=1e-4)


def test_text_reads_the_same_alone_and_in_a_batch(network: EmotionNetwork) -> None:
    ids = torch.tensor([[2, 5, 6, 3]])
    alone = network.text_encoder(ids, torch.zeros(1, 4, dtype=torch.bool))
    padded = torch.cat([ids, torch.full((1, 4), 9)], dim=1)
    together = network.text_encoder(padded, torch.arange(8).unsqueeze(0) >= 4)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-4)


def test_a_longer_utterance_does_not_change_a_shorter_one_through_the_frames(network: EmotionNetwork) -> None:
    states, padding = network.speech_encoder.frames(torch.randn(2, 30, MELS), torch.tensor([30, 9]))
    assert states.shape == (2, 8, 16)
    assert padding.sum(dim=1).tolist() == [0, 5]
