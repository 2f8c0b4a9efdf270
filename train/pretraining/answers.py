"""What a language model answered -> a verdict. An answer that could be read in two ways is set aside."""

from __future__ import annotations

import json
import re
from typing import Any

from emotrack.train.pretraining.annotators import SENTIMENTS, Verdict
from emotrack.train.pretraining.prompt import FIELD

_THOUGHTS = re.compile(r"<think>.*?(</think>|$)", re.DOTALL)
_FENCE = re.compile(r"^```\w*\s*|\s*```$")
_QUOTE = re.compile(r'"[^"\n]*\s[^"\n]*"|“[^”\n]*”')  # of several words: the sentence, repeated
_CLAUSE_END = re.compile(r"[.,;:!?\n()—]|\bbut\b|\bso\b")
_LABEL = re.compile(rf"\b({'|'.join(SENTIMENTS)})\b", re.IGNORECASE)
_DENIAL = re.compile(
    r"\b(not|no|non|never|neither|nor|cannot|unable|hardly|less|without|rather than|instead of|if|whether)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(r"\b(sorry|cannot|unable|as an ai|against my)\b|\b(can|wo)n['\u2019]t\b|not able", re.IGNORECASE)

REFUSED = "refused"


def read_answer(answer: str) -> Verdict:
    """The label that an answer gives, if it is beyond doubt; why not, otherwise."""
    text = _FENCE.sub("", _THOUGHTS.sub("", answer).strip()).strip()
    if not text:
        return Verdict(None, "empty answer")
    if (label := _in_json(text)) is not None:
        return Verdict(label)
    if text.startswith("{") and not _LABEL.search(text):
        return Verdict(None, "answer cut off")
    return _in_prose(_QUOTE.sub(" ", text))


def _in_json(text: str) -> str | None:
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    if isinstance(found, dict):
        found = found.get(FIELD)
    label = found.strip().lower() if isinstance(found, str) else None
    return label if label in SENTIMENTS else None


def _in_prose(text: str) -> Verdict:
    labels = {found.lower() for found in _LABEL.findall(text)}
    if not labels:
        return Verdict(None, REFUSED if _REFUSAL.search(text) else "no label in the answer")
    if len(labels) > 1:
        return Verdict(None, "several labels in the answer")
    if any(_LABEL.search(clause) and _DENIAL.search(clause) for clause in _CLAUSE_END.split(text)):
        return Verdict(None, "label denied in the answer")
    return Verdict(labels.pop())
