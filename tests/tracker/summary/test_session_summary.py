"""What a session adds up to."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from emotrack.tracker.events import Latency, Turn
from emotrack.tracker.summary.mood import Mood
from emotrack.tracker.summary.session_summary import Tally


def turn(number: int, emotion: str, speaker: str | None, after_end: float = 20.0) -> Turn:
    latency = Latency(end_of_turn=608, queued=0, recognition=0, encoding=0, context=0, after_end=after_end)
    rest = dict.fromkeys(("neutral", "joy", "anger", "sadness"), 0.05)
    return Turn(
        site="default",
        session="s",
        time=datetime.now(UTC),
        turn_id=number,
        start_s=3.0 * number,
        end_s=3.0 * number + 2.0,
        speaker=speaker,
        text=None,
        text_source=None,
        emotion=emotion,
        confidence=0.85,
        uncertain=False,
        probabilities=rest | {emotion: 0.85},
        modalities=("speech",),
        truncated=False,
        latency_ms=latency,
    )


def test_turns_speakers_and_latencies_are_counted() -> None:
    tally = Tally()
    assert tally.mood.label is None
    assert tally.after_end.p50 is None
    for number in range(1, 101):
        tally.add(turn(number, "joy" if number <= 90 else "anger", "Ana" if number % 2 else None, float(number)))
    assert tally.turns == 100
    assert tally.emotions == {"joy": 90, "anger": 10}
    assert tally.speakers == {"Ana": 50}
    assert tally.after_end.p50 == pytest.approx(50.5)
    assert tally.after_end.max == 100


def test_memory_is_bounded_however_many_speak() -> None:
    tally = Tally()
    for number in range(1, 20_001):
        tally.add(turn(number, "joy", f"speaker {number}"))
    assert len(tally.speakers) <= 64
    assert len(tally._after_end) <= 10_000


def test_a_revision_counts_as_if_the_turn_had_always_been_so() -> None:
    said = ["joy", "joy", "anger", "joy", "anger"]
    revised, expected = Tally(), Tally()
    for number, emotion in enumerate(said, start=1):
        revised.add(turn(number, emotion, "Ana"))
        expected.add(turn(number, "sadness" if number in {3, 5} else emotion, "Ana"))
    for number in (3, 5):
        revised.revise(turn(number, "anger", "Ana"), turn(number, "sadness", "Ana"))
    assert revised.emotions == expected.emotions == {"joy": 3, "sadness": 2}
    assert dict(revised.emotions) == dict(expected.emotions), "no zeros are left"
    assert revised.turns == 5
    assert revised.mood.probabilities == pytest.approx(expected.mood.probabilities)
    assert revised.mood.label == expected.mood.label


def test_the_mood_follows_the_recent_turns() -> None:
    mood = Mood(half_life_s=60.0)
    mood.add({"joy": 1.0, "anger": 0.0}, 0.0, 10.0)
    mood.add({"joy": 0.0, "anger": 1.0}, 60.0, 70.0)
    # a minute later the first turn counts half as much
    assert mood.probabilities == pytest.approx({"joy": 1 / 3, "anger": 2 / 3})
    assert mood.label == "anger"


def test_there_is_no_mood_while_too_little_was_heard() -> None:
    mood = Mood(half_life_s=60.0)
    assert (mood.label, mood.probabilities) == (None, {})
    mood.add({"joy": 1.0}, 0.0, 7.9)
    assert (mood.label, mood.probabilities) == (None, {})
    mood.add({"joy": 1.0}, 8.0, 8.5)
    assert (mood.label, mood.probabilities) == ("joy", {"joy": 1.0})
    mood.add({"anger": 1.0}, 500.0, 503.0)  # what was before has faded
    assert mood.label is None


def test_an_unsure_fear_is_no_fear() -> None:
    tally = Tally()
    for number in range(1, 4):
        tally.add(turn(number, "fear", None).model_copy(update={"start_s": 0.0, "end_s": 9.0, "uncertain": True}))
    assert tally.mood.label is None
    tally.add(turn(4, "joy", None).model_copy(update={"start_s": 30.0, "end_s": 39.0}))
    assert tally.mood.label == "joy"


def test_a_long_turn_weighs_more() -> None:
    mood = Mood()
    mood.add({"joy": 1.0, "anger": 0.0}, 0.0, 8.0)
    mood.add({"joy": 0.0, "anger": 1.0}, 8.0, 9.0)
    assert mood.label == "joy"


def test_a_moment_s_length_and_age_weigh_by_hand() -> None:
    """A turn of 16 s that ended a minute before one of 4 s weighs half of 16, whichever is told of first."""
    joy, anger = ({"joy": 1.0}, 0.0, 16.0), ({"anger": 1.0}, 72.0, 76.0)
    mood = Mood(half_life_s=60.0)
    mood.add(*joy)
    mood.add(*anger)
    assert mood.probabilities == pytest.approx({"joy": 2 / 3, "anger": 1 / 3})
    mood.revise({"joy": 1.0}, {"joy": 0.5, "fear": 0.5}, 0.0, 16.0)
    assert mood.probabilities == pytest.approx({"joy": 1 / 3, "fear": 1 / 3, "anger": 1 / 3})


def test_an_older_turn_that_comes_late_does_not_make_the_others_older() -> None:
    mood = Mood(half_life_s=60.0)
    mood.add({"joy": 1.0}, 92.0, 100.0)
    mood.add({"anger": 1.0}, 28.0, 40.0)  # of another channel, decided later
    assert mood.probabilities == pytest.approx({"joy": 2 / 5, "anger": 3 / 5})
    mood.add({"joy": 1.0, "anger": 0.0}, 156.0, 160.0)  # a minute after the latest of them
    assert mood.probabilities == pytest.approx({"joy": 4 / 7, "anger": 3 / 7})


def test_there_is_room_for_64_speakers_and_who_is_known_goes_on_being_counted() -> None:
    tally = Tally()
    for number in range(1, 71):
        tally.add(turn(number, "joy", f"speaker {number}"))
    assert len(tally.speakers) == 64
    tally.add(turn(71, "joy", "speaker 1"))
    tally.add(turn(72, "joy", "speaker 70"))
    assert (tally.speakers["speaker 1"], tally.speakers["speaker 70"]) == (2, 0)
