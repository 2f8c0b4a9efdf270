"""A room with a loudspeaker and a microphone, simulated."""

from __future__ import annotations

import numpy as np

from emotrack.tracker.audio import SAMPLE_RATE, Samples


def echo_of(played: Samples, seed: int, delay_s: float, reverberation_s: float, quieter_db: float) -> Samples:
    """What a microphone hears of what is played, (samples,) -> (samples,): a direct sound and noise that dies away."""
    random = np.random.default_rng(seed)
    delay, length = round(delay_s * SAMPLE_RATE), round(reverberation_s * SAMPLE_RATE)
    tail = random.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: round(0.002 * SAMPLE_RATE)] = 0
    way = np.zeros(delay + length)
    way[delay:] = 0.7 * tail / np.linalg.norm(tail)
    way[delay] = 1.0
    way *= 10 ** (-quieter_db / 20) / np.linalg.norm(way)
    size = 1 << (len(played) + len(way)).bit_length()
    heard = np.fft.irfft(np.fft.rfft(played, size) * np.fft.rfft(way, size), size)[: len(played)]
    return heard.astype(np.float32)
