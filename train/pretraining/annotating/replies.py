"""A server's reply -> the model's answer, in the forms that OpenAI-compatible servers give it.

They differ: text as a string or in parts, thoughts beside it in a field of their own, an event stream that nobody asked
for, an error under the status of success.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

_TEXTS = {"text", "output_text"}  # types of parts that are the answer, and not thoughts or pictures
_DONE = "[DONE]"  # the last event of a stream
_LONGEST_MESSAGE = 200  # characters of what a server says of an error


class ReplyError(Exception):
    """A reply without an answer in it; the message says why."""


class UnreadableError(ReplyError):
    """It is no chat completion, or not a whole one."""

    def __init__(self) -> None:
        super().__init__("unreadable reply")


class DeclinedError(ReplyError):
    """It is an error under the status of success."""

    def __init__(self, message: str) -> None:
        """``message`` is the server's."""
        super().__init__(f"an error: {message}")


class EmptyError(ReplyError):
    """It holds nothing, or thoughts alone."""

    def __init__(self) -> None:
        super().__init__("empty answer")


class _Part(BaseModel):
    type: str = "text"
    text: str | None = None


class _Message(BaseModel):
    content: str | list[_Part | str] | None = None
    refusal: str | None = None
    thoughts: str | None = Field(None, validation_alias=AliasChoices("reasoning_content", "reasoning"))

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            parts = [_Part(text=part) if isinstance(part, str) else part for part in self.content]
            return "".join(part.text or "" for part in parts if part.type in _TEXTS)
        return self.content or ""


class _Choice(BaseModel):
    message: _Message = Field(validation_alias=AliasChoices("message", "delta"))
    finish_reason: str | None = None


class _Reply(BaseModel):
    """What is read of a chat completion, or of one event of a stream; the last of these may be without a choice."""

    choices: list[_Choice]


def read_reply(body: str) -> str:
    """The answer in a reply; empty where there is none.

    Where a server takes all that a model says for thoughts, and the model has come to an end, these are the answer.

    Raises:
        UnreadableError: no chat completion, or a stream that breaks off.
        DeclinedError: an error instead of one.
    """
    is_stream = body.lstrip().startswith(("data:", "event:", "id:", ":"))
    documents = _events(body) if is_stream else [body]
    choices = [choice for document in documents if document != _DONE for choice in _choices(document)]
    ends = [choice.finish_reason for choice in choices if choice.finish_reason]
    if not choices or (is_stream and not ends and documents[-1] != _DONE):
        raise UnreadableError
    messages = [choice.message for choice in choices]
    text = "".join(message.text for message in messages) or "".join(message.refusal or "" for message in messages)
    if text.strip() or "length" in ends:
        return text
    return "".join(message.thoughts or "" for message in messages)


def _events(body: str) -> list[str]:
    """The data of each event of a stream."""
    data = [
        "\n".join(line[5:].strip() for line in event.splitlines() if line.startswith("data:"))
        for event in body.replace("\r\n", "\n").split("\n\n")
    ]
    return [one for one in data if one]


def _choices(document: str) -> list[_Choice]:
    """The first choice in a document, if there is one."""
    try:
        found: Any = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise UnreadableError from error
    if message := _error_in(found):
        raise DeclinedError(message)
    try:
        return _Reply.model_validate(found).choices[:1]
    except ValidationError as error:
        raise UnreadableError from error


def _error_in(found: Any) -> str | None:
    """What a document says of an error, in one line: OpenAI's form, vLLM's, FastAPI's and OpenRouter's."""
    if not isinstance(found, dict):
        return None
    choices = found.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    error = found.get("error") or (first.get("error") if isinstance(first, dict) else None)
    if not error and "choices" not in found:
        error = found.get("message") or found.get("detail")
    said = error.get("message") if isinstance(error, dict) else error
    text = said if isinstance(said, str) else json.dumps(error)
    return " ".join(text.split())[:_LONGEST_MESSAGE] if error else None
