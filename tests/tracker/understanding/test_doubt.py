"""What is doubted, and what is uncertain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emotrack.models.context import EmotionEstimate, Part
from emotrack.tracker.hearing.listener import SpeechTurn
from emotrack.tracker.understanding.doubt import doubt, is_uncertain
from emotrack.tracker.understanding.recognisers import Transcript

CLEAR = SpeechTurn(0, 0, 32_000, 32_000, 32_000, np.zeros(32_000, np.float32), 0.95, 1.6, truncated=False)


@pytest.mark.parametrize(
    ("turn", "overlap", "words", "expected"),
    [
        (CLEAR, None, None, None),
        (CLEAR, 0.49, Transcript("Yes, I do.", "moonshine", None, 0.9), None),
        (CLEAR, 0.5, None, "overlap"),
        (replace(CLEAR, speech_s=0.79), 0.6, None, "overlap"),
        (replace(CLEAR, speech_s=0.79), 0.0, Transcript("Okay.", "moonshine", None, 0.9), "short"),
        (replace(CLEAR, speech_s=0.8), 0.0, None, None),
        (replace(CLEAR, speech_probability=0.74), None, None, "unclear"),
        (CLEAR, None, Transcript(None, None, "empty"), "no_words"),
        (CLEAR, None, Transcript(None, None, "no_speech"), "no_words"),
        (CLEAR, None, Transcript(None, None, "low_confidence", 0.4), None),  # of another language, say
    ],
)
def test_what_is_known_of_a_sound_is_a_reason_to_doubt(
    turn: SpeechTurn, overlap: float | None, words: Transcript | None, expected: str | None
) -> None:
    assert doubt(turn, overlap, words) == expected


def estimate(confidence: float, why: dict[Part, float]) -> EmotionEstimate:
    """By a bundle whose threshold is .5."""
    rest = 1.0 - confidence
    return EmotionEstimate((confidence, rest), ("joy", "fear"), "joy", confidence, confidence < 0.5, why)


WORDS = Transcript("I am so happy", "moonshine", None, 0.7)
BORNE: dict[Part, float] = {"speech": 0.1, "text": 0.2}


@pytest.mark.parametrize(
    ("confidence", "why", "words", "expected"),
    [
        (0.5, BORNE, WORDS, False),
        (0.49, BORNE, WORDS, True),
        (0.5, BORNE, replace(WORDS, confidence=None), False),  # captions are sure
        (0.89, BORNE, replace(WORDS, confidence=0.69), True),  # misheard
        (0.89, {"speech": 0.6, "text": 0.0}, WORDS, True),  # the words by themselves say something else
        (0.89, {"speech": 0.58, "text": 0.0}, WORDS, False),
        (0.9, {"speech": 0.8, "text": -0.1}, WORDS, False),  # but the voice is sure by itself
        (0.95, {"speech": 0.8, "text": 0.06}, WORDS, True),  # only both together are
        (0.89, {"speech": 0.3}, None, True),
        (0.9, {"speech": 0.3}, Transcript(None, None, "low_confidence"), False),
        (0.89, {}, WORDS, True),  # nobody asked what it rests on
    ],
)
def test_a_voice_must_be_surer_than_words(
    confidence: float, why: dict[Part, float], words: Transcript | None, expected: bool
) -> None:
    found = estimate(confidence, why)
    assert is_uncertain(found, None, words) is expected
    assert is_uncertain(found, "short", words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (WORDS, True),  # "I am so happy", flatly
        (replace(WORDS, confidence=0.69), False),  # misheard
        (Transcript(None, None, "low_confidence"), False),
        (None, False),
    ],
)
def test_a_flat_voice_does_not_outweigh_words(words: Transcript | None, expected: bool) -> None:
    found = EmotionEstimate((0.97, 0.03), ("neutral", "joy"), "neutral", 0.97, False, {"speech": 0.7, "text": 0.0})
    assert is_uncertain(found, None, words) is expected
    borne = replace(found, why={"speech": 0.6, "text": 0.0})
    assert not is_uncertain(borne, None, words)
