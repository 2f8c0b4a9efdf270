"""A long turn of several sentences is told sentence by sentence."""

from __future__ import annotations

import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.doubt import SHORT_S
from emotrack.tracker.understanding.recognisers import Transcript
from emotrack.tracker.understanding.sentence_turns import SentenceGroup, finished_sentences, groups, sentence_turns

ONE, OTHER, THIRD = (
    "Well, there is not that much difference.",
    "They all call me a Yankee down here.",
    "So what can I say to that?",
)
START = 3 * SAMPLE_RATE
SILENCE = np.random.default_rng(1).normal(0.0, 1e-4, 2 * SAMPLE_RATE // 5).astype(np.float32)  # 0.4 s


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        ("", [""]),
        (ONE, [ONE]),
        (f"{ONE} {OTHER}", [ONE, OTHER]),
        (f"{ONE}  {OTHER} {THIRD}", [ONE, OTHER, THIRD]),
        (f"Oh, wow. Nice. {ONE} {OTHER}", [f"Oh, wow. Nice. {ONE}", OTHER]),
        (f"{ONE} And I...", [f"{ONE} And I..."]),
        ("I went to see the new Dr. Smith about it again.", ["I went to see the new Dr. Smith about it again."]),
        ("It has been going on for, um... a year or more, I think.",) * 2,
        ("Yes. No. I know. Oh. Why? Well. Okay. So? Hm. Good.",) * 2,
        ("It was about 3.5 metres long, or it was 4.",) * 2,
    ],
)
def test_only_long_and_finished_sentences_stand_alone(words: str, sentences: list[str] | str) -> None:
    found = finished_sentences(words)
    told = groups(found, [None] * (len(found) - 1))
    assert [group.text for group in told] == ([sentences] if isinstance(sentences, str) else sentences)
    assert {group.pause for group in told} == {None}


@pytest.mark.parametrize(
    ("sentences", "pauses", "told"),
    [
        (["Hello?", "Oh, hello.", ONE], [90, None], [("Hello?", 90), (f"Oh, hello. {ONE}", None)]),
        (["Hello?", "Oh, hello.", ONE], [90, 200], [("Hello?", 90), ("Oh, hello.", 200), (ONE, None)]),
        ([ONE, "Oh, wow.", OTHER], [None, 300], [(f"{ONE} Oh, wow.", 300), (OTHER, None)]),
        ([ONE, "Oh, wow.", OTHER], [200, None], [(ONE, 200), (f"Oh, wow. {OTHER}", None)]),
        ([ONE, OTHER, "Oh, wow."], [None, 500], [(ONE, None), (OTHER, 500), ("Oh, wow.", None)]),
    ],
)
def test_a_short_sentence_stands_alone_between_pauses(
    sentences: list[str], pauses: list[int | None], told: list[tuple[str, int | None]]
) -> None:
    assert groups(sentences, pauses) == [SentenceGroup(*each) for each in told]


def spoken(*seconds: float, pause_s: float = 0.08) -> Samples:
    """Noise as loud as speech, so long each, with pauses of near silence between."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(0.0, 0.1, round(each * SAMPLE_RATE)) for each in seconds]
    pause = rng.normal(0.0, 1e-4, round(pause_s * SAMPLE_RATE))
    between = [part for each in parts for part in (each, pause)][:-1]
    return np.concatenate(between).astype(np.float32)


def turn_of(samples: Samples) -> SpeechTurn:
    end = START + len(samples)
    return SpeechTurn(0, START, end, end, end, samples, 0.9, len(samples) / SAMPLE_RATE, truncated=False)


def test_each_sentence_has_its_own_sound() -> None:
    """What is said quicker than its letters say ends sooner: at the pause."""
    samples = spoken(1.7, 2.3, 1.6)
    turn = turn_of(samples)
    told = sentence_turns(turn, Transcript(f"{ONE} {OTHER} {THIRD}", "moonshine", confidence=0.9))
    assert [words.text for _, words in told] == [ONE, OTHER, THIRD]
    assert {words.confidence for _, words in told} == {0.9}
    parts = [part for part, _ in told]
    assert [part.end_s - 3 for part in parts] == pytest.approx([1.74, 4.12, 5.76], abs=0.04)
    assert (np.concatenate([part.samples for part in parts]) == samples).all()
    assert [part.start for part in parts] == [turn.start, *(part.end for part in parts[:-1])]
    assert all(part.speech_s <= part.end_s - part.start_s for part in parts)


@pytest.mark.parametrize(("pause_s", "turns"), [(0.3, 1), (0.5, 2)])
def test_what_a_shorter_silence_would_have_ended_stands_alone(pause_s: float, turns: int) -> None:
    """As where words are recognised while the turn goes on: a silence after a finished sentence ends it."""
    told = sentence_turns(turn_of(spoken(0.6, 2.6, pause_s=pause_s)), Transcript(f"Hello? {ONE}", "moonshine"))
    assert [words.text for _, words in told] == (["Hello?", ONE] if turns == 2 else [f"Hello? {ONE}"])
    if turns == 2:
        assert told[0][0].end_s - 3 == pytest.approx(0.85, abs=0.02), "in the middle of the pause"


def test_pauses_are_the_ends_of_sentences_in_their_order() -> None:
    """By their letters alone both sentences would end near the second one."""
    words = "I had no idea. Today. Oh no."
    told = sentence_turns(turn_of(spoken(1.9, 0.5, 0.8, pause_s=0.5)), Transcript(words, "moonshine"))
    assert [(words.text, round(part.end_s - 3, 1)) for part, words in told] == [
        ("I had no idea.", 2.2),
        ("Today.", 3.2),
        ("Oh no.", 4.2),
    ]


def test_one_pause_is_the_end_of_one_sentence() -> None:
    words = f"Oh. No. Okay. {ONE} {OTHER}"
    told = sentence_turns(turn_of(spoken(0.9, 4.0, pause_s=0.5)), Transcript(words, "moonshine"))
    assert [words.text for _, words in told] == ["Oh. No. Okay.", ONE, OTHER]


@pytest.mark.parametrize("words", [f"Yes. {ONE}", f"{ONE} Yes."])
def test_silence_around_a_turn_is_no_pause_in_it(words: str) -> None:
    """A turn begins some time before its first word, and ends after the last."""
    turn = turn_of(np.concatenate([SILENCE, spoken(2.6), SILENCE]))
    assert [words.text for _, words in sentence_turns(turn, Transcript(words, "moonshine"))] == [words]


def test_no_turn_is_made_of_a_sentence_that_is_too_short_for_one() -> None:
    """0.3 s of it, between two pauses."""
    told = sentence_turns(turn_of(spoken(1.5, 0.3, 2.0, pause_s=0.45)), Transcript(f"Good. No. {ONE}", "moonshine"))
    assert all(part.end - part.start >= SHORT_S * SAMPLE_RATE for part, _ in told)
    assert " ".join(str(words.text) for _, words in told) == f"Good. No. {ONE}"


def test_a_turn_of_hardly_any_sound_stays_whole() -> None:
    turn, words = turn_of(np.zeros(80, np.float32)), Transcript(f"{ONE} {OTHER}", "moonshine")
    assert sentence_turns(turn, words) == [(turn, words)]


def test_where_no_pause_is_near_it_is_cut_by_the_letters() -> None:
    """The only pause is where hardly a word was said."""
    (one, _), _ = sentence_turns(turn_of(spoken(0.3, 3.9)), Transcript(f"{ONE} {OTHER}", "moonshine"))
    assert one.end_s - 3 == pytest.approx(4.28 * len(ONE) / len(ONE + OTHER), abs=0.3)


@pytest.mark.parametrize("samples", [np.zeros(4 * SAMPLE_RATE, np.float32), spoken(4.0), spoken(0.82, 0.82)])
def test_no_part_is_short(samples: Samples) -> None:
    told = sentence_turns(turn_of(samples), Transcript(f"{ONE} {OTHER}", "moonshine"))
    assert len(told) == 2
    assert all(part.end - part.start >= SHORT_S * SAMPLE_RATE for part, _ in told)


@pytest.mark.parametrize("text", [None, ONE, f"{ONE} Well."])
def test_a_single_sentence_is_the_turn_itself(text: str | None) -> None:
    turn, words = turn_of(spoken(2.0, 2.0)), Transcript(text, None)
    assert sentence_turns(turn, words) == [(turn, words)]


def test_what_is_too_short_for_its_sentences_stays_whole() -> None:
    turn, words = turn_of(spoken(1.5)), Transcript(f"{ONE} {OTHER}", "moonshine")
    assert sentence_turns(turn, words) == [(turn, words)]
