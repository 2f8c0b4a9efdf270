"""The others' voices, which come out of loudspeakers into the microphone, are no turns of whoever sits before it."""

from __future__ import annotations

import numpy as np
import pytest

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.sources.echo import BLOCK, DELAY, EchoCanceller
from tests.tracker.kitchen_table import TRUTH, samples
from tests.tracker.sources.rooms import echo_of

YOU, OTHERS = "Ben", "Ana"


@pytest.fixture(scope="module")
def conversation() -> tuple[Samples, Samples]:
    """What Ben says before the microphone, and what the computer plays of Ana, with a room's noise, (samples,) each."""
    both = samples()
    noise = np.random.default_rng(0).standard_normal(both.shape).astype(np.float32)
    whole = len(both) - len(both) % FRAME_SAMPLES
    return (both[:, 1] + 5e-4 * noise[:, 0])[:whole], (both[:, 0] + 5e-5 * noise[:, 1])[:whole]


def without_echo(heard: Samples, played: Samples) -> Samples:
    canceller = EchoCanceller()
    frames = range(0, len(heard), FRAME_SAMPLES)
    return np.concatenate([canceller.remove(*(s[at : at + FRAME_SAMPLES] for s in (heard, played))) for at in frames])


def turns_in(heard: Samples) -> list[SpeechTurn]:
    listener = Listener(0, SegmenterOptions())
    return listener.push(heard, 0) + listener.flush()


def seconds_of(turn: SpeechTurn, speaker: str) -> float:
    spans = [(t["start"], t["end"]) for t in TRUTH if t["speaker"] == speaker]
    return sum(max(0.0, min(turn.end_s, end) - max(turn.start_s, start)) for start, end in spans)


@pytest.mark.parametrize(
    ("seed", "delay_s", "reverberation_s", "quieter_db"),
    [(0, 0.02, 0.2, 3.0), (1, 0.15, 0.35, 8.0), (2, 0.3, 0.25, 15.0)],
)
def test_the_others_are_no_turns_and_no_turn_is_lost(
    conversation: tuple[Samples, Samples], seed: int, delay_s: float, reverberation_s: float, quieter_db: float
) -> None:
    you, others = conversation
    heard = you + echo_of(others, seed, delay_s, reverberation_s, quieter_db)
    assert any(seconds_of(turn, OTHERS) > seconds_of(turn, YOU) for turn in turns_in(heard))
    turns = turns_in(without_echo(heard, others))
    assert [turn.start_s for turn in turns if seconds_of(turn, OTHERS) > seconds_of(turn, YOU)] == []
    for said in (t for t in TRUTH if t["speaker"] == YOU):
        found = sum(max(0.0, min(turn.end_s, said["end"]) - max(turn.start_s, said["start"])) for turn in turns)
        assert found > 0.8 * (said["end"] - said["start"])


def test_who_speaks_over_the_others_is_heard_as_loud_as_before(conversation: tuple[Samples, Samples]) -> None:
    you, others = conversation
    both_at_once = np.roll(you, -round(1.5 * SAMPLE_RATE))
    cleaned = without_echo(both_at_once + echo_of(others, 3, 0.1, 0.3, 6.0), others)[DELAY:]
    overlapped = [t for t in TRUTH if t["speaker"] == YOU][1:]  # by then the room is known
    for said in overlapped:
        span = slice(*(round((said[edge] - 1.5) * SAMPLE_RATE) for edge in ("start", "end")))
        before, after = (10 * np.log10(np.mean(np.square(s[span]))) for s in (both_at_once, cleaned))
        assert -1.5 < after - before < 0.5


def test_without_anything_played_the_microphone_is_what_it_was(conversation: tuple[Samples, Samples]) -> None:
    you = conversation[0][: 400 * BLOCK]
    cleaned = without_echo(you, np.zeros_like(you))
    np.testing.assert_allclose(cleaned[DELAY:], you[:-DELAY], atol=1e-6)
