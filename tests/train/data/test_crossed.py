"""Clips at the speed of the other gender's voices: length and pitch move together."""

from __future__ import annotations

import numpy as np
import pytest

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.train.data.crossed import crossed


@pytest.mark.parametrize(("gender", "speed"), [("f", 0.82), ("m", 1.22)])
def test_women_are_heard_as_low_as_men_and_men_as_high_as_women(gender: str, speed: float) -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    heard = crossed(np.sin(2.0 * np.pi * 500.0 * time).astype(np.float32), gender)
    assert len(heard) == pytest.approx(SAMPLE_RATE / speed, abs=2)
    loudest = int(np.abs(np.fft.rfft(heard)).argmax()) * SAMPLE_RATE / len(heard)  # Hz
    assert loudest == pytest.approx(500.0 * speed, abs=2.0)
