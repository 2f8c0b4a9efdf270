"""Whether words are a whole sentence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.engine import SKIPPED
from emotrack.tracker.understanding.recognisers import Transcript
from emotrack.tracker.understanding.sentences import is_finished, says_nothing

SHORT = SpeechTurn(0, 0, 8_000, 8_000, 8_000, np.zeros(8_000, np.float32), 0.8, 0.4, truncated=False)
LONG = replace(SHORT, speech_s=0.8)


@pytest.mark.parametrize(
    "words",
    [
        "Okay.",
        "Dogs are sitting by the door.",
        "What can you do for you?",
        "I got the job!",
        'She said "never."',
        "C\u2019est tout.",
        "It is 5.",
    ],
)
def test_a_sentence_is_finished(words: str) -> None:
    assert is_finished(words)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "...",
        "Dogs are sitting",
        "First of all,",
        "I went there and.",
        "It was, um.",
        "Because I don\u2019t, I\u2019m.",
        "I thought that...",
        "I thought…",
        "Give me the.",
        "Well.",
    ],
)
def test_a_hesitation_is_none(words: str) -> None:
    assert not is_finished(words)


@pytest.mark.parametrize("words", ["Um.", "Um,,", "Uh, um...", "erm"])
@pytest.mark.parametrize("borders", [True, False])
def test_who_only_hesitates_says_nothing(words: str, borders: bool) -> None:
    assert says_nothing(SHORT, Transcript(words, "moonshine"), borders=borders)
    assert not says_nothing(LONG, Transcript(words, "moonshine"), borders=borders)


@pytest.mark.parametrize("words", ["Yes.", "Um, no.", "Hmm.", "Mm-hm.", "Uh-huh.", "Okay."])
def test_a_short_answer_says_something(words: str) -> None:
    assert not says_nothing(SHORT, Transcript(words, "moonshine"), borders=True)


@pytest.mark.parametrize("rejected", ["low_confidence", "empty", "no_speech", "repetition"])
def test_a_short_sound_without_words_says_nothing_only_where_it_borders_on_what_others_say(rejected: str) -> None:
    wordless = Transcript(None, None, rejected=rejected, confidence=0.1)
    assert says_nothing(SHORT, wordless, borders=True)
    assert not says_nothing(SHORT, wordless, borders=False)
    assert not says_nothing(LONG, wordless, borders=True)


@pytest.mark.parametrize("rejected", [None, "overlap", "recogniser_failed", SKIPPED])
def test_where_no_recogniser_listened_nobody_knows_that_nothing_was_said(rejected: str | None) -> None:
    assert not says_nothing(SHORT, Transcript(None, None, rejected=rejected), borders=True)
