"""What models answer, and what is read of it."""

from __future__ import annotations

import pytest

from emotrack.train.pretraining.answers import read_answer


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('{"sentiment": "positive"}', "positive"),
        ('{"sentiment": " Neutral "}', "neutral"),
        ('"negative"', "negative"),
        ('```json\n{"sentiment": "negative"}\n```', "negative"),
        ('{"sentiment": "negative", "why": "not positive"}', "negative"),
        ('{"sentiment": "negative", "why": "the spea', "negative"),
        ("positive", "positive"),
        ("Positive.", "positive"),
        ("POSITIVE", "positive"),
        ("**Neutral**", "neutral"),
        ("Sentiment: Negative", "negative"),
        ("I'd say it's positive!", "positive"),
        ("The speaker isn't happy, so negative.", "negative"),
        ('The sentence "I am not so sure" is negative.', "negative"),
        ("<think>Is it positive or negative?</think>\n\nNegative", "negative"),
    ],
)
def test_a_label_beyond_doubt(answer: str, label: str) -> None:
    verdict = read_answer(answer)
    assert (verdict.label, verdict.set_aside) == (label, None)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty answer"),
        ("  \n", "empty answer"),
        ("<think>It could be positive, but", "empty answer"),
        ('{"sentiment": "neg', "answer cut off"),
        ("{", "answer cut off"),
        ("Positive or negative, hard to say.", "several labels in the answer"),
        ('{"sentiment": "mixed"}', "answer cut off"),
        ("This is not positive.", "label denied in the answer"),
        ("It isn\u2019t really positive", "label denied in the answer"),
        ("I cannot say whether this is positive.", "label denied in the answer"),
        ("I'm sorry, but I can't help with that.", "refused"),
        ("As an AI, I have no feelings.", "refused"),
        ("Thanks for sharing!", "no label in the answer"),
        ("unpositively", "no label in the answer"),
        ("[1, 2]", "no label in the answer"),
    ],
)
def test_no_label(answer: str, reason: str) -> None:
    verdict = read_answer(answer)
    assert (verdict.label, verdict.set_aside) == (None, reason)
