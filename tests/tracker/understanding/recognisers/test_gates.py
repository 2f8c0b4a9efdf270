"""What is believed of a transcript."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.recognisers import Transcript
from emotrack.tracker.understanding.recognisers.gates import GateOptions, believed, rejection


@pytest.mark.parametrize(
    ("text", "confidence", "clarity", "seconds", "verdict"),
    [
        ("I did not know you were there.", 0.8, 0.95, 2.0, None),
        ("Yes.", 0.8, 0.9, 0.4, None),
        ("no no no", 0.8, 0.9, 1.0, None),
        ("", 0.9, 0.9, 2.0, "empty"),
        (" . ", 0.9, 0.9, 2.0, "empty"),
        ("I am at the time for the", 0.2, 0.9, 2.0, "low_confidence"),
        ("Thanks for watching!", 0.9, 0.6, 2.0, "stock_phrase"),
        ("Thank you.", 0.9, 0.95, 1.0, None),
        ("and then and then and then and then", 0.9, 0.9, 3.0, "repetition"),
        ("so so so so so", 0.9, 0.9, 3.0, "repetition"),
        ("the quick brown fox jumps over the lazy dog " * 9, 0.9, 0.9, 30.0, "repetition"),
        ("this is far more than anybody could say in that little time", 0.9, 0.9, 0.6, "too_fast"),
    ],
)
def test_verdicts(text: str, confidence: float, clarity: float, seconds: float, verdict: str | None) -> None:
    assert rejection(text, confidence, clarity, seconds, GateOptions()) == verdict


ANYTHING = GateOptions(min_confidence=0.0, clear_speech=0.0, max_compression=99.0, max_characters_per_s=999.0)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("no no no no", "repetition"),
        ("well no no no no", "repetition"),
        ("no no no no well", "repetition"),
        ("no no no well no no no", None),
        ("a b c d " * 4, "repetition"),
        ("e a b c d a b c d a b c d a b c d", "repetition"),
        ("a b c d " * 3, None),
        ("a b c d e " * 4, None),  # five words are a sentence, which somebody may well repeat
    ],
)
def test_one_to_four_words_four_times_in_a_row_are_no_speech(text: str, verdict: str | None) -> None:
    assert rejection(text, 1.0, 1.0, 60.0, ANYTHING) == verdict


def test_on_a_bound_a_transcript_is_believed() -> None:
    text = "the quick brown fox jumps over"
    assert len(text) == 30
    assert rejection(text, 0.5, 1.0, 1.0, replace(ANYTHING, min_confidence=0.5)) is None
    assert rejection(text, 0.49, 1.0, 1.0, replace(ANYTHING, min_confidence=0.5)) == "low_confidence"
    assert rejection("Thank you.", 1.0, 0.85, 1.0, replace(ANYTHING, clear_speech=0.85)) is None
    assert rejection("Thank you.", 1.0, 0.84, 1.0, replace(ANYTHING, clear_speech=0.85)) == "stock_phrase"
    assert rejection("you know", 1.0, 0.1, 1.0, replace(ANYTHING, clear_speech=0.85)) is None  # no stock phrase
    compression = len(text) / len(zlib.compress(text.encode()))
    assert rejection(text, 1.0, 1.0, 1.0, replace(ANYTHING, max_compression=compression)) is None
    assert rejection(text, 1.0, 1.0, 1.0, replace(ANYTHING, max_compression=compression - 0.01)) == "repetition"
    assert rejection(text, 1.0, 1.0, 1.0, replace(ANYTHING, max_characters_per_s=30.0)) is None
    assert rejection(text, 1.0, 1.0, 0.99, replace(ANYTHING, max_characters_per_s=30.0)) == "too_fast"


def test_a_turn_s_length_counts_not_where_it_lies() -> None:
    """30 characters a second are what a turn of half a second to one of two seconds, ten minutes on, can hold."""
    at = 600 * SAMPLE_RATE
    for seconds, most in ((2.0, 60), (0.5, 15), (0.1, 15)):
        turn = SpeechTurn(0, at, at + round(seconds * SAMPLE_RATE), at, at, np.zeros(0, np.float32), 0.9, 1.0, False)
        for length, rejected in ((most, None), (most + 1, "too_fast")):
            heard = Transcript("abcdefghijklmnopqrstuvwxyz0123456789" * 2, "moonshine", confidence=0.9)
            heard = replace(heard, text=(heard.text or "")[:length])
            found = believed(turn, heard, GateOptions())
            assert found.rejected == rejected
            assert found.text == (None if rejected else heard.text)


def test_what_the_recogniser_rejects_itself_is_not_believed() -> None:
    turn = SpeechTurn(0, 0, SAMPLE_RATE, SAMPLE_RATE, SAMPLE_RATE, np.zeros(0, np.float32), 0.9, 1.0, False)
    heard = Transcript("so happy", "moonshine", confidence=0.9, rejected="no_speech")
    assert believed(turn, heard, GateOptions()) == Transcript(None, None, confidence=0.9, rejected="no_speech")
