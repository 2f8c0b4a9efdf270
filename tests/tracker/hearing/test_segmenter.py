"""The segmenter's rules, one by one and as properties of any stream."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE
from emotrack.tracker.hearing.segmenter import (
    Segmenter,
    SegmenterOptions,
    SpeechDiscarded,
    SpeechEnded,
    SpeechStarted,
)

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE
LOUD = -20.0


def decide(probabilities: list[float], options: SegmenterOptions | None = None, level: float = LOUD) -> list[object]:
    """Every decision over one frame per probability, the flush at the end included."""
    segmenter = Segmenter(options)
    decisions = [segmenter.push(i * FRAME_SAMPLES, p, level) for i, p in enumerate(probabilities)]
    return [d for d in [*decisions, segmenter.flush()] if d is not None]


def turns(probabilities: list[float], options: SegmenterOptions | None = None) -> list[SpeechEnded]:
    return [d for d in decide(probabilities, options) if isinstance(d, SpeechEnded)]


def frames(seconds: float, probability: float) -> list[float]:
    return [probability] * round(seconds / FRAME_S)


def test_one_turn_with_its_pre_roll_and_trailing_silence() -> None:
    (turn,) = turns(frames(1.0, 0.0) + frames(1.0, 0.9) + frames(1.0, 0.0))
    assert turn.start / SAMPLE_RATE == pytest.approx(1.0 - 0.3, abs=FRAME_S)
    assert turn.speech_end / SAMPLE_RATE == pytest.approx(2.0, abs=FRAME_S)
    assert turn.end - turn.speech_end == round(0.15 * SAMPLE_RATE)
    assert turn.speech_probability == pytest.approx(0.9)
    assert not turn.cut


def test_the_turn_is_announced_once_it_is_long_enough_and_ends_after_the_silence() -> None:
    kinds = [type(d) for d in decide(frames(1.0, 0.9) + frames(1.0, 0.0))]
    assert kinds == [SpeechStarted, SpeechEnded]


@pytest.mark.parametrize(("pause_s", "count"), [(0.3, 1), (0.5, 1), (0.7, 2)])
def test_a_pause_within_the_end_silence_does_not_part_a_turn(pause_s: float, count: int) -> None:
    assert len(turns(frames(1, 0.9) + frames(pause_s, 0.0) + frames(1, 0.9) + frames(1, 0.0))) == count


def test_hysteresis_a_doubtful_frame_begins_nothing_but_carries_a_turn_on() -> None:
    assert turns(frames(5, 0.45)) == []
    (turn,) = turns(frames(0.5, 0.9) + frames(5, 0.45) + frames(1, 0.0))
    assert turn.speech_end / SAMPLE_RATE == pytest.approx(5.5, abs=2 * FRAME_S)


def test_a_click_is_no_turn_and_a_short_yes_is() -> None:
    assert decide(frames(0.1, 0.95) + frames(1, 0.0)) == []
    assert len(turns(frames(0.26, 0.95) + frames(1, 0.0))) == 1


def test_speech_too_quiet_is_discarded_and_said_to_be() -> None:
    kinds = [type(d) for d in decide(frames(1, 0.9) + frames(1, 0.0), level=-70.0)]
    assert kinds == [SpeechStarted, SpeechDiscarded]


def test_a_long_turn_ends_at_a_short_pause() -> None:
    talk = frames(9, 0.9) + frames(0.3, 0.0)
    assert len(turns(talk + frames(1, 0.9) + frames(1, 0.0))) == 1
    talk = frames(11, 0.9) + frames(0.3, 0.0)
    assert len(turns(talk + frames(1, 0.9) + frames(1, 0.0))) == 2


def test_the_cut_is_made_where_it_sounds_least_like_speech() -> None:
    talk = [*frames(24.0, 0.9), 0.4, *frames(10.0, 0.9), *frames(1, 0.0)]
    first, second = turns(talk)
    assert first.cut
    assert not second.cut
    assert first.end / SAMPLE_RATE == pytest.approx(24.0, abs=2 * FRAME_S)
    assert second.start == first.end  # nothing is lost and nothing heard twice


def test_silence_after_a_cut_is_no_turn() -> None:
    options = SegmenterOptions(max_turn_s=5.0, end_silence_s=1.0, cut_window_s=1.0)
    assert len(turns(frames(4.4, 0.9) + frames(3, 0.0), options)) == 1


def test_no_turn_reaches_back_before_a_resumed_stream() -> None:
    segmenter = Segmenter()
    segmenter.resume(100_000)
    for i in range(20):
        segmenter.push(100_000 + i * FRAME_SAMPLES, 0.9, LOUD)
    ended = segmenter.flush()
    assert isinstance(ended, SpeechEnded)
    assert ended.start == 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"onset": 0.3, "offset": 0.5},
        {"onset": 1.5},
        {"min_speech_s": 0.0},
        {"trailing_s": 2.0},
        {"pre_roll_s": -1.0},
        {"max_turn_s": 1.0},
        {"long_turn_silence_s": 0.9},
    ],
)
def test_bounds_that_do_not_go_together_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        SegmenterOptions(**wrong)


# A stream of long stretches, as speech is, rather than of independent frames.
STRETCH = st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.4, 0.6, 0.95]), st.integers(1, 120))
STREAM = st.lists(STRETCH, max_size=40).map(lambda parts: [p for p, count in parts for _ in range(count)])
OPTIONS = st.builds(
    SegmenterOptions,
    end_silence_s=st.floats(0.3, 1.0),
    pre_roll_s=st.floats(0.0, 0.5),
    max_turn_s=st.floats(5.0, 25.0),
    min_speech_s=st.floats(0.1, 0.5),
)


@given(STREAM, OPTIONS)
def test_turns_are_in_order_apart_bounded_and_inside_the_stream(stream: list[float], options: SegmenterOptions) -> None:
    previous_end = 0
    for turn in turns(stream, options):
        assert previous_end <= turn.start < turn.speech_end <= turn.end <= len(stream) * FRAME_SAMPLES
        assert turn.end - turn.start <= options.max_turn_s * SAMPLE_RATE
        assert options.offset <= turn.speech_probability <= 1.0
        speech_frames = sum(
            p >= options.offset for i, p in enumerate(stream) if turn.start <= i * FRAME_SAMPLES < turn.end
        )
        assert speech_frames * FRAME_S >= options.min_speech_s
        previous_end = turn.end


@given(STREAM, OPTIONS, st.floats(0.0, 0.3))
def test_a_turn_ends_as_was_foretold_at_its_pause(
    stream: list[float], options: SegmenterOptions, trailing_s: float
) -> None:
    segmenter = Segmenter(replace(options, trailing_s=trailing_s))
    for i, p in enumerate(stream):
        foretold = segmenter.would_end
        assert foretold is None or foretold.end <= i * FRAME_SAMPLES, "all of it has been heard"
        ended = segmenter.push(i * FRAME_SAMPLES, p, LOUD)
        if foretold and p < options.offset:
            if isinstance(ended, SpeechEnded) and not ended.cut:
                assert ended == foretold
            elif ended is None:
                assert segmenter.would_end == foretold
        elif p >= options.offset:
            assert segmenter.would_end is None
    foretold = segmenter.would_end
    assert foretold in {None, segmenter.flush()}


@pytest.mark.parametrize(("silence_s", "is_told"), [(0.1, False), (0.2, True), (0.5, True), (0.7, False)])
def test_the_end_is_foretold_from_the_first_pause_until_it_comes(silence_s: float, is_told: bool) -> None:
    segmenter = Segmenter()
    for i, p in enumerate(frames(1.0, 0.9) + frames(silence_s, 0.0)):
        segmenter.push(i * FRAME_SAMPLES, p, LOUD)
    assert (segmenter.would_end is not None) == is_told


def test_of_what_is_no_turn_no_end_is_foretold() -> None:
    for said, level in ((frames(0.1, 0.9), LOUD), (frames(1.0, 0.9), -70.0)):
        segmenter = Segmenter()
        for i, p in enumerate(said + frames(0.3, 0.0)):
            segmenter.push(i * FRAME_SAMPLES, p, level)
            assert segmenter.would_end is None


@given(STREAM)
def test_every_clear_stretch_of_speech_lies_in_a_turn(stream: list[float]) -> None:
    found = turns(stream)
    run = 0
    for i, p in enumerate([*stream, 0.0]):
        if p >= 0.5:
            run += 1
            continue
        if run * FRAME_S >= 0.25:
            middle = (i - run / 2) * FRAME_SAMPLES
            assert any(turn.start <= middle <= turn.end for turn in found)
        run = 0


@given(STREAM)
def test_the_start_is_announced_before_every_end(stream: list[float]) -> None:
    open_turns = 0
    for decision in decide(stream):
        if isinstance(decision, SpeechStarted):
            open_turns += 1
            assert open_turns == 1
        elif isinstance(decision, SpeechDiscarded):
            assert open_turns == 1
            open_turns = 0
        else:
            open_turns = 0
