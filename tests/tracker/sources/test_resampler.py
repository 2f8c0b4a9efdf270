"""What comes out of the chunker must not depend on how its input was cut up."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, Samples
from emotrack.tracker.sources.mixing import mixed
from emotrack.tracker.sources.resampler import QUIET_SAMPLES, Chunker, usable


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


@pytest.mark.parametrize("rate", [SAMPLE_RATE, 48_000])
def test_what_is_quiet_comes_in_longer_chunks_until_it_is_not(rate: int) -> None:
    """A frame at a time is pushed: 3 s of a quiet room, and somebody speaks."""
    chunker, frame = Chunker(1, FRAME_SAMPLES, holds_quiet=True), FRAME_SAMPLES * rate // SAMPLE_RATE
    room = 3e-4 * noise(3.0, rate, 1)
    heard = [chunker.push(room[at : at + frame], rate) for at in range(0, len(room) - frame + 1, frame)]
    lengths = [len(chunk.samples) for chunks in heard for chunk in chunks]
    first = lengths.index(QUIET_SAMPLES)
    assert sum(lengths[:first]) == pytest.approx(SAMPLE_RATE, abs=FRAME_SAMPLES), "a second is heard first"
    assert set(lengths[:first]) == {FRAME_SAMPLES}
    assert set(lengths[first:]) == {QUIET_SAMPLES}

    (loud,) = chunker.push(noise(0.032, rate, 1), rate) or chunker.push(noise(0.032, rate, 1), rate)
    assert np.abs(loud.samples).max() > 0.01, "nobody waits for it"
    assert loud.start == sum(lengths)
    after = [chunk for _ in range(20) for chunk in chunker.push(noise(0.032, rate, 1), rate)]
    assert {len(chunk.samples) for chunk in after} == {FRAME_SAMPLES}


def test_quiet_sound_that_is_held_is_lost_by_no_break() -> None:
    chunker = Chunker(1, FRAME_SAMPLES, holds_quiet=True)
    chunks = chunker.push(np.zeros((SAMPLE_RATE + 2000, 1), np.float32), SAMPLE_RATE) + chunker.skip(1.0)
    assert sum(len(chunk.samples) for chunk in chunks) == SAMPLE_RATE + 2000
    assert chunker.push(np.zeros((FRAME_SAMPLES, 1), np.float32), SAMPLE_RATE) + chunker.flush()


def test_a_chunker_holds_nothing_unless_it_may() -> None:
    """Of two devices that are heard as one call each would wait for what the other holds."""
    chunks = Chunker(1, FRAME_SAMPLES).push(np.zeros((3 * SAMPLE_RATE, 1), np.float32), SAMPLE_RATE)
    assert {len(chunk.samples) for chunk in chunks} == {FRAME_SAMPLES}
