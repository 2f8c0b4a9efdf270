"""The question to a language model. A changed wording is a new version: its answers are others."""

from __future__ import annotations

from typing import Any

from emotrack.train.pretraining.annotating.annotators import SENTIMENTS

VERSION = "sentiment/1"

# MERITS-L, section on pre-training, word for word; the paper's placeholder stays, and names what follows.
INSTRUCTION = (
    "You are a sentiment classification bot. Given the [sentence], classify as positive, negative or neutral "
    "sentiment. Please give the sentiment and no extra text as output."
)

FIELD = "sentiment"

# Structured output, as OpenAI's chat completions, vLLM, llama.cpp and Ollama take it.
RESPONSE_FORMAT: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": FIELD,
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {FIELD: {"type": "string", "enum": list(SENTIMENTS)}},
            "required": [FIELD],
            "additionalProperties": False,
        },
    },
}


def prompt(sentence: str) -> str:
    """The question about a sentence: one message of the user's, as some models take no other."""
    return f"{INSTRUCTION}\n\n[sentence]: {sentence}"
