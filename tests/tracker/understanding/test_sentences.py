"""Whether words are a whole sentence."""

from __future__ import annotations

import pytest

from emotrack.tracker.understanding.sentences import is_finished


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
