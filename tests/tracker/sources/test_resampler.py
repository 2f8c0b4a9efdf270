"""What comes out of the chunker must not depend on how its input was cut up."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.sources.mixing import mixed
from emotrack.tracker.sources.resampler import Chunker, usable


def noise(seconds: float, rate: int, channels: int) -> Samples:
    return np.random.default_rng(7).uniform(-1, 1, (round(seconds * rate), channels)).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_equals_resampling_the_whole(rate: int, channels: int) -> None:
    whole = noise(1.7, rate, channels)
    expected = whole if rate == SAMPLE_RATE else soxr.resample(whole, rate, SAMPLE_RATE, quality="HQ")
    chunker = Chunker(channels, 1600)
    chunks = []
    begin = 0
    for size in np.random.default_rng(1).integers(1, 5000, 10_000):
        chunks += chunker.push(whole[begin : begin + size], rate)
        begin += size
        if begin >= len(whole):
            break
    chunks += chunker.flush()
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), expected)
    assert all(len(chunk.samples) == 1600 for chunk in chunks[:-1])
    assert [chunk.start for chunk in chunks] == [1600 * index for index in range(len(chunks))]


def test_a_skip_delivers_what_was_heard_and_moves_the_clock() -> None:
    chunker = Chunker(1, 512)
    heard = chunker.push(noise(0.1, 48_000, 1), 48_000) + chunker.skip(0.5)
    assert heard[-1].end == 1600
    later = chunker.push(noise(0.1, 48_000, 1), 48_000) + chunker.flush()
    assert later[0].start == 1600 + 8000
    assert later[-1].end == 1600 + 8000 + 1600


def test_a_change_of_rate_leaves_no_gap() -> None:
    chunker = Chunker(1, 512)
    chunks = chunker.push(noise(0.2, 48_000, 1), 48_000) + chunker.push(noise(0.2, 8_000, 1), 8_000) + chunker.flush()
    assert [chunk.start for chunk in chunks[1:]] == [chunk.end for chunk in chunks[:-1]]
    assert chunks[-1].end == 6400


def test_chunks_share_no_memory_with_the_input() -> None:
    samples = noise(0.1, SAMPLE_RATE, 1)
    chunk = Chunker(1, 1600).push(samples, SAMPLE_RATE)[0]
    assert not np.shares_memory(chunk.samples, samples)


def test_usable_and_mixed() -> None:
    samples = np.array([[0.5, np.nan], [np.inf, -0.25], [1e30, 1.0]], np.float32)
    good, bad = usable(samples)
    assert bad == 3
    assert good.tolist() == [[0.5, 0.0], [0.0, -0.25], [0.0, 1.0]]
    assert mixed(good).tolist() == [[0.25], [-0.125], [0.5]]
