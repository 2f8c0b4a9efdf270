"""Replies in the forms that servers give them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emotrack.train.pretraining.annotating.replies import DeclinedError, UnreadableError, read_reply


def reply(message: dict[str, Any], **choice: Any) -> str:
    return json.dumps({"choices": [{"message": message, **choice}]})


def event(delta: dict[str, Any], end: str | None = None) -> str:
    return "data: " + json.dumps({"choices": [{"delta": delta, "finish_reason": end}]}) + "\n\n"


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (reply({"content": "good"}), "good"),
        (reply({"content": None, "refusal": "no"}), "no"),
        (reply({"content": "good", "reasoning_content": "bad"}), "good"),
        (reply({"content": "", "reasoning_content": "good"}), "good"),
        (reply({"content": None, "reasoning": "good"}, finish_reason="stop"), "good"),
        (reply({"content": None, "reasoning": "it may be g"}, finish_reason="length"), ""),
        (reply({"content": ["go", {"type": "text", "text": "od"}]}), "good"),
        (reply({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "bad"}]}]}), ""),
        (reply({"content": [{"type": "reasoning", "text": "bad"}, {"type": "output_text", "text": "good"}]}), "good"),
        (reply({"content": None}), ""),
        (
            event({"role": "assistant"}) + event({"content": "go"}) + event({"content": "od"}) + "data: [DONE]\n\n",
            "good",
        ),
        (event({"reasoning_content": "bad"}) + event({"content": "good"}, "stop"), "good"),
        ("event: message\nid: 1\n" + event({"content": "good"}, "stop") + 'data: {"choices": []}\n\n', "good"),
        (": ping\r\n\r\n" + event({"content": "good"}, "stop").replace("\n", "\r\n"), "good"),
    ],
)
def test_an_answer(body: str, answer: str) -> None:
    assert read_reply(body) == answer


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"error": {"message": "over\\nloaded", "code": 503}}', "over loaded"),
        ('{"error": "overloaded"}', "overloaded"),
        ('{"error": {"code": 7}}', '{"code": 7}'),
        ('{"object": "error", "message": "overloaded"}', "overloaded"),
        ('{"detail": "overloaded"}', "overloaded"),
        ('{"choices": [{"error": {"message": "overloaded"}, "message": {"content": ""}}]}', "overloaded"),
        (event({"content": "go"}) + 'data: {"error": {"message": "overloaded"}}\n\n', "overloaded"),
    ],
)
def test_an_error_under_the_status_of_success(body: str, message: str) -> None:
    with pytest.raises(DeclinedError) as caught:
        read_reply(body)
    assert str(caught.value) == f"an error: {message}"


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "[]", "7", "<html></html>", '{"choices": []}', '{"choices": [{}]}', "[" * 100_000),
        event({"content": "goo"}),
        event({"content": "goo"}) + 'data: {"choices": [{"del',
        "data: [DONE]\n\n",
    ],
)
def test_what_is_no_answer(body: str) -> None:
    with pytest.raises(UnreadableError, match=r"^unreadable reply$"):
        read_reply(body)
