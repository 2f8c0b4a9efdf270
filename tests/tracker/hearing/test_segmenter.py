"""The segmenter's rules, one by one and as properties of any stream."""

from __future__ import annotations

import math
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
    assert turn.speech_s == pytest.approx(1.0, abs=FRAME_S)
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


def decided_at(frame: int, probabilities: list[float], options: SegmenterOptions, patience: float = 1.0) -> list[int]:
    """At which frames turns ended, of those up to ``frame``."""
    segmenter = Segmenter(options)
    segmenter.patience = patience
    said = [segmenter.push(i * FRAME_SAMPLES, p, LOUD) for i, p in enumerate(probabilities[: frame + 1])]
    return [i for i, decision in enumerate(said) if isinstance(decision, SpeechEnded)]


# Bounds that are whole numbers of frames of 32 ms: 20 of silence end a turn, 5 a long one; 320 are not yet long.
EXACT = SegmenterOptions(
    end_silence_s=0.64, long_turn_s=10.24, long_turn_silence_s=0.16, pre_roll_s=0.0, trailing_s=0.0, max_turn_s=20.48
)


@pytest.mark.parametrize(("spoken", "silence"), [(100, 20), (320, 20), (321, 5)])
def test_a_turn_is_long_once_it_is_longer_than_the_bound(spoken: int, silence: int) -> None:
    talk = [0.9] * spoken + [0.0] * 40
    assert decided_at(spoken + 39, talk, EXACT) == [spoken + silence - 1]


def test_patience_multiplies_the_silence_that_ends_a_turn() -> None:
    talk = [0.9] * 100 + [0.0] * 60
    assert decided_at(159, talk, EXACT, patience=2.0) == [100 + 40 - 1]
    assert decided_at(159, talk, EXACT, patience=0.5) == [100 + 10 - 1]


def silence_that_ended(options: SegmenterOptions, finished_after: int | None, spoken: int = 100) -> int:
    """How many frames of silence end a turn of ``spoken`` frames whose words are finished after so many of them."""
    segmenter = Segmenter(options)
    for i, probability in enumerate([0.9] * spoken + [0.0] * 40):
        if isinstance(segmenter.push(i * FRAME_SAMPLES, probability, LOUD), SpeechEnded):
            return i + 1 - spoken
        if i + 1 - spoken == finished_after:
            segmenter.finish(spoken * FRAME_SAMPLES)
    raise AssertionError("it never ended")


@pytest.mark.parametrize(("finished_after", "silence"), [(None, 20), (5, 10), (9, 10), (14, 15)])
def test_less_silence_ends_a_turn_whose_words_are_a_finished_sentence(finished_after: int | None, silence: int) -> None:
    assert silence_that_ended(replace(EXACT, finished_silence_s=0.32), finished_after) == silence


def test_a_finished_sentence_never_lengthens_the_silence() -> None:
    assert silence_that_ended(replace(EXACT, finished_silence_s=0.96), 5) == 20
    assert silence_that_ended(replace(EXACT, finished_silence_s=0.32), 2, spoken=321) == 5, "a long turn"


def test_a_sentence_that_goes_on_was_not_finished() -> None:
    segmenter = Segmenter(replace(EXACT, finished_silence_s=0.32))
    talk = [0.9] * 100 + [0.0] * 9 + [0.9] * 10 + [0.0] * 40
    ended = []
    for i, probability in enumerate(talk):
        ended += [i] * isinstance(segmenter.push(i * FRAME_SAMPLES, probability, LOUD), SpeechEnded)
        if i == 105:
            segmenter.finish(100 * FRAME_SAMPLES)
    assert ended == [119 + 20 - 1]


@pytest.mark.parametrize("pre_roll", [0, 5])
def test_a_turn_may_have_its_longest_length_and_not_a_frame_more(pre_roll: int) -> None:
    """The quietest frame is the last that fits, so that the cut is made there: 640 frames in all are 20.48 s."""
    options = replace(EXACT, pre_roll_s=pre_roll * FRAME_S)
    fits = 640 - pre_roll
    talk = [0.0] * 50 + [0.9] * (fits - 1) + [0.4] + [0.9] * 50 + [0.0] * 30
    first, second = turns(talk, options)
    assert first.cut
    assert first.start == (50 - pre_roll) * FRAME_SAMPLES
    assert first.end == first.speech_end == (50 + fits) * FRAME_SAMPLES
    assert first.speech_probability == pytest.approx((0.9 * (fits - 1) + 0.4) / fits)
    assert first.end - first.start == 20.48 * SAMPLE_RATE
    assert (second.start, second.speech_end) == (first.end, first.end + 50 * FRAME_SAMPLES)


def test_the_cut_is_sought_in_the_last_stretch_only() -> None:
    """Ten frames of .32 s: the quietest of them, though one before them is quieter still."""
    options = replace(EXACT, cut_window_s=0.32)
    talk = [0.9] * 629 + [0.36] + [0.9] * 4 + [0.5] + [0.9] * 100
    first, *_ = turns(talk, options)
    assert first.end == 635 * FRAME_SAMPLES
    talk = [0.9] * 630 + [0.36] + [0.9] * 4 + [0.5] + [0.9] * 100
    first, *_ = turns(talk, options)
    assert first.end == 631 * FRAME_SAMPLES


@pytest.mark.parametrize(("probability", "begins"), [(0.5, True), (0.49, False)])
def test_a_turn_begins_at_the_onset(probability: float, begins: bool) -> None:
    assert bool(turns([probability] * 40)) == begins


@pytest.mark.parametrize(("probability", "carries_on"), [(0.35, True), (0.34, False)])
def test_speech_carries_on_at_the_offset(probability: float, carries_on: bool) -> None:
    (turn,) = turns([0.9] * 20 + [probability] * 10)
    assert turn.speech_end == (30 if carries_on else 20) * FRAME_SAMPLES


@pytest.mark.parametrize(("spoken", "is_turn"), [(8, True), (7, False)])
def test_the_least_speech_is_a_turn(spoken: int, is_turn: bool) -> None:
    options = SegmenterOptions(min_speech_s=0.256)
    segmenter = Segmenter(options)
    said = [segmenter.push(i * FRAME_SAMPLES, 0.9, LOUD) for i in range(spoken)]
    assert [type(each) for each in said if each] == ([SpeechStarted] if is_turn else [])
    assert segmenter.speech_s == pytest.approx(spoken * 0.032)
    assert isinstance(segmenter.flush(), SpeechEnded) == is_turn
    assert segmenter.speech_s == 0.0


@pytest.mark.parametrize(("level", "is_turn"), [(-59.0, True), (-61.0, False)])
def test_a_turn_is_as_loud_as_the_mean_power_of_its_speech(level: float, is_turn: bool) -> None:
    """A third of the speech at -55.23 dBFS, the rest without power, has -60 dBFS; silence has no part in it."""
    segmenter = Segmenter()
    for i in range(60):
        loud = level + 10 * math.log10(3) if i % 3 == 0 else -200.0
        segmenter.push(i * FRAME_SAMPLES, 0.9, loud)
    for i in range(60, 70):
        segmenter.push(i * FRAME_SAMPLES, 0.0, -10.0)
    assert isinstance(segmenter.flush(), SpeechEnded) == is_turn


def test_trailing_silence_is_kept_as_far_as_there_is_any() -> None:
    segmenter = Segmenter(SegmenterOptions(trailing_s=0.32))
    for i, p in enumerate([0.9] * 20 + [0.0] * 4):
        segmenter.push(i * FRAME_SAMPLES, p, LOUD)
    so_far = segmenter.so_far
    assert so_far is not None
    assert (so_far.end, so_far.speech_end) == (24 * FRAME_SAMPLES, 20 * FRAME_SAMPLES)
    assert segmenter.flush() == so_far


@pytest.mark.parametrize(
    "bounds",
    [
        {"onset": 0.4, "offset": 0.4},
        {"long_turn_silence_s": 0.6, "end_silence_s": 0.6},
        {"trailing_s": 0.6, "end_silence_s": 0.6},
        {"pre_roll_s": 0.25, "min_speech_s": 0.25, "end_silence_s": 0.5, "cut_window_s": 1.0, "max_turn_s": 2.0},
    ],
)
def test_bounds_that_just_go_together_are_taken(bounds: dict[str, float]) -> None:
    assert SegmenterOptions(**bounds)
    with pytest.raises(ValueError, match="max_turn_s must be at least"):
        SegmenterOptions(pre_roll_s=0.25, min_speech_s=0.25, end_silence_s=0.5, cut_window_s=1.0, max_turn_s=1.99)
