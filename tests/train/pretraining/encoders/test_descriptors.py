"""Descriptors of sounds that are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from emotrack.train.pretraining.encoders.descriptors import FRAME, LOWEST_PITCH, NAMES, Descriptors, at_rate

RATE = 16_000


def harmonics(pitch: float, seconds: float = 1.0) -> Tensor:
    """A sawtooth of sorts, without what lies above half the sample rate."""
    time = torch.arange(round(seconds * RATE)) / RATE
    return 0.1 * sum(
        (torch.sin(2 * math.pi * pitch * k * time) / k for k in range(1, int(RATE / 2 / pitch))), torch.zeros(len(time))
    )


def noise(seconds: float = 1.0, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def described(waveform: Tensor) -> dict[str, Tensor]:
    """The descriptors of the frames that are away from the edges."""
    found = Descriptors()(waveform.unsqueeze(0))[0]
    assert found.shape == (len(waveform) // FRAME + 1, len(NAMES))
    return dict(zip(NAMES, found[3:-3].T, strict=True))


@pytest.mark.parametrize("pitch", [80.0, 120.0, 200.0, 350.0, 550.0])
def test_pitch_and_harmonicity_are_found_in_noise(pitch: float) -> None:
    voice, around = harmonics(pitch), noise()
    around *= voice.std() / around.std() / math.sqrt(10.0)  # 10 dB below
    found = described(voice + around)
    hertz = LOWEST_PITCH * 2 ** found["pitch"]
    assert ((hertz / pitch - 1).abs() < 0.03).float().mean() > 0.95
    assert found["harmonicity"].mean() == pytest.approx(10.0, abs=1.0)
    assert (found["voicing"] > 0.8).all()
    assert found["pitch_step"].mean() < 0.02


def test_a_rising_pitch_has_steps_and_noise_has_no_pitch() -> None:
    time = torch.arange(RATE) / RATE
    rising = 0.3 * torch.sin(2 * math.pi * (100 * time + 50 * time**2))  # 100 to 200 Hz in a second
    found = described(rising)
    assert found["pitch"].diff().mean() == pytest.approx(float(found["pitch_step"].mean()), rel=0.05)
    assert found["pitch_step"].sum() == pytest.approx(math.log2(200 / 100), abs=0.2)
    hiss = described(noise())
    assert (hiss["voicing"] < 0.45).all()
    assert not hiss["pitch"].any()


def test_a_spectrum_has_its_shape() -> None:
    tone = described(0.3 * torch.sin(2 * math.pi * 1000 * torch.arange(RATE) / RATE))
    assert tone["centroid"].mean() == pytest.approx(1.0, abs=0.01)
    assert tone["rolloff"].mean() == pytest.approx(1.0, abs=0.05)
    assert tone["zero_crossings"].mean() == pytest.approx(2 * 1000 / RATE, rel=0.02)
    assert tone["spread"].mean() < 0.05
    assert tone["flux"].max() < 0.01
    hiss = described(noise())
    assert hiss["centroid"].mean() == pytest.approx(4.0, abs=0.2)
    assert hiss["zero_crossings"].mean() == pytest.approx(0.5, abs=0.02)
    assert hiss["flux"].mean() > 0.3
    voice = described(harmonics(150.0))  # each harmonic k has 1 / k of the first's amplitude
    assert voice["slope_500_1500"].mean() == pytest.approx(20 * math.log10(500 / 1500), abs=4.0)
    assert voice["alpha_ratio"].mean() > 5
    assert hiss["alpha_ratio"].mean() < 0
    assert voice["hammarberg"].mean() > 10 > hiss["hammarberg"].mean()
    assert voice["cepstrum_1"].mean() > 0 > hiss["cepstrum_1"].mean()


def test_loudness_is_the_level_and_nothing_else() -> None:
    loud = harmonics(150.0) + 0.1 * noise()
    found, quieter = described(loud), described(0.1 * loud)
    for name in NAMES:
        torch.testing.assert_close(found[name] - (20.0 if name == "level" else 0.0), quieter[name], atol=2e-3, rtol=0)


def test_an_utterance_sounds_the_same_alone_and_in_a_batch() -> None:
    describe = Descriptors()
    short, long = harmonics(150.0, 0.7) + noise(0.7), 5.0 * noise(1.5, seed=1)
    batch = torch.nn.utils.rnn.pad_sequence([short, long], batch_first=True)
    frames = len(short) // FRAME + 1
    torch.testing.assert_close(describe(batch)[0, :frames], describe(short.unsqueeze(0))[0], atol=1e-3, rtol=1e-4)


def test_silence_and_a_single_click_are_finite() -> None:
    sounds = torch.zeros(2, RATE)
    sounds[1, 5_000] = 1.0
    assert Descriptors()(sounds).isfinite().all()


@pytest.mark.parametrize("frames", [7, 25, 49, 51])
def test_at_an_encoders_rate_each_descriptor_is_standardised(frames: int) -> None:
    ramp = torch.linspace(3.0, 9.0, 51)
    found = at_rate(torch.stack([ramp, torch.full((51,), 40.0), noise()[:51]], dim=1), frames)
    assert found.shape == (frames, 3)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.square().mean(dim=0), torch.tensor([1.0, 0.0, 1.0]), atol=1e-3, rtol=0)
    assert (found[:, 0].diff() > 0).all()  # in step
