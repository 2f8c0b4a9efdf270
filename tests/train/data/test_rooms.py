"""Clips as they would have been recorded in other rooms: what changes, what stays, and by how much."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.train.data import rooms


def tone(seconds: float, hertz: float = 1_000.0) -> Tensor:
    return 0.1 * torch.sin(2.0 * math.pi * hertz * torch.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


def decibels(sound: Tensor) -> float:
    return float(10.0 * sound.square().mean().log10())


def quiet(monkeypatch: pytest.MonkeyPatch, **shares: float) -> None:
    """Only the shares that are named; the microphone as it is."""
    for name, share in ({"IN_A_ROOM": 0.0, "IN_NOISE": 0.0, "FILTERED": 0.0} | shares).items():
        monkeypatch.setattr(rooms, name, share)
    monkeypatch.setattr(rooms, "TILT_DB", 0.0)
    monkeypatch.setattr(rooms, "PEAK_DB", 0.0)


def test_most_of_the_silence_is_cut_off_and_the_words_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet(monkeypatch)
    torch.manual_seed(0)
    words = tone(1.0)
    heard = rooms.recorded_elsewhere(torch.cat([torch.zeros(16_000), words, torch.zeros(16_000)]))
    assert 1.2 * SAMPLE_RATE <= len(heard) <= 1.6 * SAMPLE_RATE
    start = int((heard.abs() > 1e-3).nonzero()[0])
    torch.testing.assert_close(heard[start - 1 : start - 1 + len(words)], words, atol=1e-3, rtol=0.0)


def test_noise_is_as_far_below_the_speech_as_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet(monkeypatch, IN_NOISE=1.0)
    monkeypatch.setattr(rooms, "NOISE_DB", (12.0, 12.0))
    torch.manual_seed(0)
    speech = tone(1.0)
    assert decibels(rooms.recorded_elsewhere(speech) - speech) == pytest.approx(decibels(speech) - 12.0, abs=0.1)


def test_a_room_answers_for_as_long_and_as_loud_as_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "RT60_S", (0.5, 0.5))
    monkeypatch.setattr(rooms, "DIRECT_DB", (6.0, 6.0))
    torch.manual_seed(0)
    answer = rooms._room()
    assert len(answer) == pytest.approx(0.5 * SAMPLE_RATE, abs=1)
    assert answer[0] == 1.0
    assert float(10.0 * answer[1:].square().sum().log10()) == pytest.approx(-6.0, abs=0.2)
    late = answer[int(0.1 * SAMPLE_RATE) :].split(1_600)
    assert decibels(late[2]) - decibels(late[0]) == pytest.approx(-24.0, abs=1.5)  # 60 dB in .5 s


def test_a_room_adds_its_echoes_to_the_clip() -> None:
    clip = torch.zeros(100)
    clip[10] = 1.0
    answer = torch.zeros(50)
    answer[0], answer[20] = 1.0, 0.5
    heard = rooms._convolved(clip, answer)
    torch.testing.assert_close(heard, torch.nn.functional.pad(answer, (10, 40)), atol=1e-6, rtol=0.0)


def test_a_narrow_microphone_takes_what_lies_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet(monkeypatch, FILTERED=1.0)
    torch.manual_seed(0)
    for _ in range(10):
        hertz = torch.tensor([50.0, 1_000.0, 8_000.0])
        low, middle, high = rooms._microphone(hertz).tolist()
        assert low < -2.9
        assert middle == pytest.approx(0.0, abs=0.6)
        assert high < -3.0


def test_copies_differ_and_a_seed_repeats_them() -> None:
    clip = tone(0.5) + tone(0.5, 3_000.0)
    torch.manual_seed(7)
    first, second = rooms.recorded_elsewhere(clip), rooms.recorded_elsewhere(clip)
    assert first.shape != second.shape or not torch.allclose(first, second)
    torch.manual_seed(7)
    assert torch.equal(first, rooms.recorded_elsewhere(clip))
    assert torch.isfinite(first).all()
