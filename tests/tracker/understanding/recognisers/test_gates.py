"""What is believed of a transcript."""

from __future__ import annotations

import pytest

from emotrack.tracker.understanding.recognisers.gates import GateOptions, rejection


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
