"""A language model's answer -> a verdict. An answer that could be read in two ways is set aside.

Models that think aloud put their thoughts before the answer, between marks of many kinds, of which a chat template may
have swallowed the first. What counts is said after the last of them. Every expression here takes time in proportion to
the text.
"""

from __future__ import annotations

import json
import re
from typing import Any

from emotrack.train.pretraining.annotating.annotators import SENTIMENTS, Verdict
from emotrack.train.pretraining.annotating.prompt import FIELD

_MARK = r"(?:seed:)?(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad)"
_THOUGHTS = re.compile(
    # Where they begin: tags (DeepSeek, Qwen, Seed), marks of Magistral, Kimi and Cohere, channels of gpt-oss, ...
    rf"(?P<begin><\|?{_MARK}\|?>|\[think(?:ing)?\]|◁think▷|<\|(?:start|begin)_(?:of_)?{_MARK}\|>"
    r"|<\|channel\|>\s{0,9}(?:analysis|commentary)|(?-i:\A\s*analysis(?=[A-Z])))"  # ... also without special tokens;
    # and where they end.
    rf"|</{_MARK}>|<\|/{_MARK}\|>|\[/think(?:ing)?\]|◁/think▷|<\|end_(?:of_)?{_MARK}\|>"
    r"|<\|channel\|>\s{0,9}final[^<]{0,40}(?:<\|constrain\|>[^<]{0,40})?<\|message\|>|(?-i:assistantfinal)",
    re.IGNORECASE,
)
_SPECIAL = re.compile(r"<\|\w{1,40}\|>|</?s>")  # tokens that a server should have kept to itself
_OBJECT = re.compile(r"\{[^{}]*\}")
_QUOTE = re.compile(r'"[^"\n]*"|“[^“”\n]*”')
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
    text = spoken(answer)
    if not text:
        return Verdict(None, "empty answer")
    if (label := _in_json(text)) is not None:
        return Verdict(label)
    text = _last_object(text)
    if (label := _in_json(text)) is not None:
        return Verdict(label)
    if text.startswith("{") and not _LABEL.search(text):
        return Verdict(None, "answer cut off")
    return _in_prose(_QUOTE.sub(_without_sentences, text))


def spoken(answer: str) -> str:
    """An answer without the thoughts before it and what fences it in; empty if it is all thoughts."""
    said = [""]
    begin: int | None = 0  # of what is being said; None in the middle of thoughts
    for mark in _THOUGHTS.finditer(answer):
        if mark["begin"] is None:
            # An end without a beginning: everything before it were thoughts.
            said = said if begin is None else [""]
            begin = mark.end()
        elif begin is not None:
            said.append(answer[begin : mark.start()])
            begin = None
    if begin is not None:
        said.append(answer[begin:])
    texts = (_unfenced(_SPECIAL.sub(" ", text)) for text in reversed(said))
    return next((text for text in texts if text), "")


def _unfenced(text: str) -> str:
    return text.strip().strip("`").removeprefix("json").strip()


def _in_json(text: str) -> str | None:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        found = found.get(FIELD)
    label = found.strip().lower() if isinstance(found, str) else None
    return label if label in SENTIMENTS else None


def _last_object(text: str) -> str:
    """The last object in a text that names the field, even one that is cut off; the text where there is none."""
    before, brace, rest = text.rpartition("{")
    if brace and FIELD in rest and "}" not in rest:
        return text[len(before) :]
    return next((found for found in reversed(_OBJECT.findall(text)) if FIELD in found), text)


def _without_sentences(quote: re.Match[str]) -> str:
    """A quotation of several words is the sentence, repeated; one word may be the label."""
    return " " if len(quote[0].split()) > 1 else quote[0]


def _in_prose(text: str) -> Verdict:
    labels = {found.lower() for found in _LABEL.findall(text)}
    if not labels:
        return Verdict(None, REFUSED if _REFUSAL.search(text) else "no label in the answer")
    if len(labels) > 1:
        return Verdict(None, "several labels in the answer")
    if any(_LABEL.search(clause) and _DENIAL.search(clause) for clause in _CLAUSE_END.split(text)):
        return Verdict(None, "label denied in the answer")
    return Verdict(labels.pop())
