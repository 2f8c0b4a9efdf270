"""Real speech through the real detector."""

from __future__ import annotations

import numpy as np
import pytest

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import Listener, SpeechTurn
from emotrack.tracker.hearing.segmenter import SegmenterOptions
from emotrack.tracker.hearing.vad import VoiceActivityDetector
from tests.tracker.kitchen_table import TRUTH, samples


def listen(audio: Samples, chunk: int = 1600, listener: Listener | None = None) -> list[SpeechTurn]:
    listener = listener or Listener(0, SegmenterOptions())
    turns = [turn for at in range(0, len(audio), chunk) for turn in listener.push(audio[at : at + chunk], at)]
    return turns + listener.flush()


@pytest.fixture(scope="module")
def mono() -> Samples:
    return samples().mean(axis=1)


def test_every_line_of_the_conversation_is_a_turn(mono: Samples) -> None:
    turns = listen(mono)
    assert len(turns) == len(TRUTH)
    for turn, line in zip(turns, TRUTH, strict=True):
        assert turn.start_s <= line["start"] + 0.1
        assert turn.end_s >= line["end"] - 0.1
        assert turn.start_s > line["start"] - 0.6
        assert turn.end_s < line["end"] + 0.6
        assert not turn.truncated


def test_a_turn_carries_exactly_its_samples(mono: Samples) -> None:
    for turn in listen(mono):
        np.testing.assert_array_equal(turn.samples, mono[turn.start : turn.end])


@pytest.mark.parametrize("chunk", [100, 512, 16_000, 1_000_000])
def test_the_size_of_the_chunks_changes_nothing(mono: Samples, chunk: int) -> None:
    expected = [(turn.start, turn.end, turn.decided) for turn in listen(mono)]
    assert [(turn.start, turn.end, turn.decided) for turn in listen(mono, chunk)] == expected


def test_at_a_pause_the_turn_is_there_with_its_samples_before_it_has_ended(mono: Samples) -> None:
    listener, pending = Listener(0, SegmenterOptions()), list[SpeechTurn]()
    ended = list[SpeechTurn]()
    for at in range(0, len(mono), 1600):
        ended += listener.push(mono[at : at + 1600], at)
        if listener.pending is not None and (not pending or pending[-1] is not listener.pending):
            pending.append(listener.pending)
    early = {(turn.start, turn.end): turn for turn in pending}
    for turn in ended:
        foretold = early[turn.start, turn.end]
        np.testing.assert_array_equal(foretold.samples, turn.samples)
        assert foretold.speech_probability == turn.speech_probability
        assert turn.decided - foretold.decided >= 0.3 * SAMPLE_RATE, "a good while before"


def test_a_short_gap_is_bridged_and_the_turn_says_so(mono: Samples) -> None:
    listener = Listener(0, SegmenterOptions())
    gap_at, gap = round(2.0 * SAMPLE_RATE), round(0.2 * SAMPLE_RATE)  # inside the first line
    turns = listener.push(mono[:gap_at], 0)
    turns += listener.push(mono[gap_at + gap : 7 * SAMPLE_RATE], gap_at + gap)
    assert [turn.truncated for turn in turns] == [True]
    assert len(turns[0].samples) == turns[0].end - turns[0].start
    assert turns[0].end_s == pytest.approx(TRUTH[0]["end"], abs=0.5)


@pytest.mark.parametrize("late_s", [0.1, 0.7, 3.0])
def test_what_begins_late_has_lost_nothing(mono: Samples, late_s: float) -> None:
    listener, late = Listener(0, SegmenterOptions()), round(late_s * SAMPLE_RATE)
    speech = round(TRUTH[0]["start"] * SAMPLE_RATE)  # it begins with the first sample
    turns = listener.push(mono[speech : 5 * SAMPLE_RATE], late)
    assert [turn.truncated for turn in turns] == [False]
    assert turns[0].end_s == pytest.approx(TRUTH[0]["end"] - TRUTH[0]["start"] + late_s, abs=0.5)


def test_a_long_gap_ends_the_turn_and_nothing_reaches_across_it(mono: Samples) -> None:
    listener = Listener(0, SegmenterOptions())
    gap_at = round(2.0 * SAMPLE_RATE)
    resumed = 5 * SAMPLE_RATE  # in the middle of the second line
    listener.push(mono[:gap_at], 0)
    turns = listener.push(mono[resumed : 8 * SAMPLE_RATE], resumed)
    first, second = turns
    assert first.truncated
    assert first.end <= gap_at
    assert second.start >= resumed
    np.testing.assert_array_equal(second.samples, mono[second.start : second.end])


def test_audio_is_kept_only_as_long_as_it_is_needed(mono: Samples) -> None:
    listener = Listener(0, SegmenterOptions())
    silence = np.zeros(1600, dtype=np.float32)
    for at in range(0, 120 * SAMPLE_RATE, 1600):
        listener.push(silence, at)
    assert len(listener._audio) < SAMPLE_RATE


@pytest.mark.parametrize(("level", "judged_s"), [(1e-4, 1.0), (3e-3, 20.0)], ids=["-80 dBFS", "-50 dBFS"])
def test_only_deep_silence_is_not_judged_once_it_has_lasted(
    mono: Samples, level: float, judged_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = 0
    ask = VoiceActivityDetector.probability

    def count(detector: VoiceActivityDetector, frame: Samples) -> float:
        nonlocal judged
        judged += 1
        return ask(detector, frame)

    monkeypatch.setattr(VoiceActivityDetector, "probability", count)
    room = np.random.default_rng(0).normal(0, level, 20 * SAMPLE_RATE).astype(np.float32)
    listener = Listener(0, SegmenterOptions())
    assert listener.push(room, 0) == []
    assert judged == pytest.approx(judged_s * SAMPLE_RATE / FRAME_SAMPLES, abs=1)
    turns = [turn for at in range(0, len(mono), 1600) for turn in listener.push(mono[at : at + 1600], len(room) + at)]
    found = [(turn.start - len(room), turn.end - len(room)) for turn in turns + listener.flush()]
    expected = [(turn.start, turn.end) for turn in listen(mono)]
    np.testing.assert_allclose(found, expected, atol=2 * FRAME_SAMPLES)


def test_noise_is_no_speech() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 20 * SAMPLE_RATE).astype(np.float32)
    assert listen(noise) == []


def test_a_turn_divides_without_losing_a_sample(mono: Samples) -> None:
    turn = listen(mono)[0]
    parts = turn.divide([turn.start + 5000, turn.start + 9000])
    np.testing.assert_array_equal(np.concatenate([part.samples for part in parts]), turn.samples)
    assert [part.end for part in parts[:-1]] == [part.start for part in parts[1:]]


def hearing(probabilities: list[float], level: float = 0.1, **options: float) -> Listener:
    """A listener that was given a frame of noise for each probability of speech."""
    listener = Listener(0, SegmenterOptions(**options))
    given = iter(probabilities)
    listener.detector.probability = lambda frame: next(given)  # type: ignore[method-assign]
    noise = np.random.default_rng(0).normal(0, level, len(probabilities) * FRAME_SAMPLES).astype(np.float32)
    listener.push(noise, 0)
    return listener


def test_what_was_heard_is_counted_in_frames_of_32_ms() -> None:
    listener = hearing([0.0] * 10 + [0.49] * 5 + [0.5] * 20)
    assert listener.heard.seconds == pytest.approx(35 * 0.032)
    assert listener.heard.speech_s == pytest.approx(20 * 0.032), "as probable as an onset has to be"
    assert listener.speech_s == pytest.approx(20 * 0.032)
    assert listener.heard.loudest_dbfs == pytest.approx(-20.0, abs=1.0)


def test_the_latest_of_a_turn_is_no_longer_than_asked_and_no_longer_than_the_turn() -> None:
    listener = hearing([0.0] * 20 + [0.9] * 50, pre_roll_s=0.0)
    latest, all_of_it = listener.latest(0.5), listener.latest(60.0)
    assert latest is not None
    assert all_of_it is not None
    assert (latest.start, latest.end) == (70 * FRAME_SAMPLES - SAMPLE_RATE // 2, 70 * FRAME_SAMPLES)
    assert len(latest.samples) == SAMPLE_RATE // 2
    assert (all_of_it.start, all_of_it.end) == (20 * FRAME_SAMPLES, 70 * FRAME_SAMPLES)
    assert latest.end_s - latest.start_s == pytest.approx(0.5)
    assert latest.decided == 70 * FRAME_SAMPLES
    assert hearing([0.0] * 20).latest(60.0) is None


def test_an_inaudible_frame_within_a_turn_is_judged_still() -> None:
    """Digital silence of two seconds within a turn: the detector hears all of it, as it may be a pause."""
    listener = hearing([0.9] * 40, end_silence_s=5.0)
    judged: list[int] = []
    listener.detector.probability = lambda frame: 0.0 * (judged.append(len(frame)) or 0)  # type: ignore[method-assign]
    listener.push(np.zeros(60 * FRAME_SAMPLES, dtype=np.float32), 40 * FRAME_SAMPLES)
    assert len(judged) == 60


@pytest.mark.parametrize(("gap_s", "count"), [(1.0, 1), (1.001, 2)])
def test_a_second_of_lost_audio_is_bridged_and_more_parts_the_turn(gap_s: float, count: int) -> None:
    listener = Listener(0, SegmenterOptions(end_silence_s=2.0))
    listener.detector.probability = lambda frame: 0.9 * bool(frame.any())  # type: ignore[method-assign]
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * SAMPLE_RATE).astype(np.float32)
    turns = listener.push(noise, 0)
    turns += listener.push(noise, 2 * SAMPLE_RATE + round(gap_s * SAMPLE_RATE))
    assert len([*turns, *listener.flush()]) == count


def test_a_part_of_a_turn_that_is_all_silence_ends_its_speech_where_the_turn_s_does() -> None:
    samples = np.zeros(3000, dtype=np.float32)
    turn = SpeechTurn(0, 1000, 4000, 2500, 4000, samples, 0.9, 0.09, truncated=False)
    assert [(each.start, each.end, each.speech_end, each.speech_s) for each in turn.divide([2000, 2500])] == [
        (1000, 2000, 2000, 0.0625),
        (2000, 2500, 2500, 0.03125),
        (2500, 4000, 2500, 0.09),
    ]


@pytest.mark.parametrize("into_s", [0.8, 1.5])
def test_a_turn_ends_where_it_is_told_to_and_goes_on_there(mono: Samples, into_s: float) -> None:
    (whole, *_) = listen(mono)
    at = whole.start + round(into_s * SAMPLE_RATE)
    listener, told = Listener(0, SegmenterOptions()), round((whole.end_s - 0.2) * SAMPLE_RATE)
    assert not listener.push(mono[:told], 0)
    listener.end_at(at)
    one, other = listener.push(mono[told : whole.end + SAMPLE_RATE], told)
    assert (one.start, one.end, other.start, other.end) == (whole.start, at, at, whole.end)
    assert (np.concatenate([one.samples, other.samples]) == whole.samples).all()


def test_a_turn_that_has_ended_meanwhile_is_not_ended_again(mono: Samples) -> None:
    (whole, *_) = listen(mono)
    listener = Listener(0, SegmenterOptions())
    until = whole.end + round(0.6 * SAMPLE_RATE)
    assert len(listener.push(mono[:until], 0)) == 1
    listener.end_at(whole.start + SAMPLE_RATE)
    assert not listener.push(mono[until : until + 1600], until)
