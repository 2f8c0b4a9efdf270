"""What models answer, and what is read of it."""

from __future__ import annotations

import time

import pytest

from emotrack.train.pretraining.annotating.answers import read_answer


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
        ('Is it positive? No.</think>\n\n{"sentiment": "negative"}', "negative"),
        ('<think>I end with </think> soon. Not positive.</think>{"sentiment": "negative"}', "negative"),
        ("<thinking>Positive?</thinking>Negative", "negative"),
        ("Positive?</thinking>Negative", "negative"),
        ("<thought>Positive?</thought>Negative", "negative"),
        ("<seed:think>Positive?</seed:think>Negative", "negative"),
        ("<reasoning>Positive?</reasoning><answer>negative</answer>", "negative"),
        ("[THINK]Positive?[/THINK]Negative", "negative"),
        ("Positive?[/THINK]Negative", "negative"),
        ("◁think▷Positive?◁/think▷Negative", "negative"),
        ("<|START_THINKING|>Positive?<|END_THINKING|>Negative", "negative"),
        ("<|begin_of_thought|>Positive?<|end_of_thought|>Negative", "negative"),
        (
            "<|channel|>analysis<|message|>Positive?<|end|><|start|>assistant<|channel|>final<|message|>Negative<|return|>",
            "negative",
        ),
        (
            'Positive?<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{"sentiment": "negative"}',
            "negative",
        ),
        ('analysisWe ask: is it positive?assistantfinal{"sentiment": "negative"}', "negative"),
        ("Negative<think>or positive", "negative"),
        ("<think>Positive?</think>Negative<think></think>", "negative"),
        ('Here it is:\n```json\n{"sentiment": "negative"}\n```\nIt is not positive.', "negative"),
        ('Not {"sentiment": "positive"}, but rather {"sentiment": "negative"}', "negative"),
        ('{"sentiment": "negative"}\n{"confidence": 0.9}', "negative"),
        ('[{"sentiment": "negative"}]', "negative"),
        ('{"result": {"sentiment": "negative"}}', "negative"),
        ("\\boxed{negative}", "negative"),
        ("negative<|im_end|>", "negative"),
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
        ("[THINK]It could be positive, but", "empty answer"),
        ("<|channel|>analysis<|message|>It could be positive, but", "empty answer"),
        ("analysisIt could be positive, but", "empty answer"),
        ("It could be positive</think>", "empty answer"),
        ("```\n```", "empty answer"),
        ('{"sentiment": "positive"} Or, rather: {"sentiment": "neg', "answer cut off"),
        ('{"sentiment": "positive|negative|neutral"}', "several labels in the answer"),
        ("[" * 5000, "no label in the answer"),
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


@pytest.mark.parametrize(
    "piece",
    ["<think>", "</think>", "[THINK]", "<|channel|>", "{", "}", '{"sentiment": ', '"', "“", "`", " ", "a ", "<"],
)
def test_an_answer_without_end_takes_no_time(piece: str) -> None:
    """Twice the text takes twice the time, not four times: a quarter of a million characters are read at once."""
    answer = (piece * 250_000)[:250_000]
    began = time.process_time()
    for text in (answer, f'"{answer}x', f"{answer}x\n{answer}"):
        read_answer(text)
    assert time.process_time() - began < 3.0
