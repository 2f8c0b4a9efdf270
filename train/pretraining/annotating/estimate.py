"""The cost of asking a language model and the time it will take, before it is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from emotrack.train.pretraining.annotating.answer_cache import AnswerCache
from emotrack.train.pretraining.annotating.makers import LlmMaker
from emotrack.train.pretraining.annotating.prompt import prompt

CHARACTERS_PER_TOKEN = 4  # of English, a rule of thumb
ANSWER_TOKENS = 10  # {"sentiment": "neutral"}
ANSWER_S = 1.0  # where nothing has been measured


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens; a server of one's own costs nothing."""

    sent: float = 0.0
    received: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of what is still to be asked."""

    questions: int
    tokens_sent: int
    tokens_received: int
    dollars: float

    def to_text(self) -> str:
        """In one line."""
        return (
            f"{self.questions:,} questions (no text twice), about {self.tokens_sent:,} tokens sent and "
            f"{self.tokens_received:,} received, ${self.dollars:,.2f}"
        )

    def duration(self, answer_s: float, concurrency: int) -> str:
        """How long it takes, where an answer takes so long."""
        seconds = self.questions * answer_s / concurrency
        if seconds < 90:
            return f"{seconds:.0f} s"
        return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def measure(maker: LlmMaker, texts: Iterable[str]) -> float | None:
    """Seconds an answer takes, from really asking the first few questions; the answers are kept.

    None when there was none to ask. Raises ``TrainError``.
    """
    cache = AnswerCache(maker.cache, maker.model)
    first = list(islice((text for text in texts if cache.get(text) is None), maker.concurrency))
    cache.close()
    llm = maker.make()
    llm.judge(first)
    return llm.answer_s


def estimate(maker: LlmMaker, texts: Iterable[str], prices: Prices) -> Estimate:
    """What asking about texts comes to, without those that have an answer. Raises ``TrainError``."""
    cache = AnswerCache(maker.cache if maker.cache.exists() else Path(":memory:"), maker.model)
    questions, characters = cache.unanswered(texts)
    cache.close()
    sent = (questions * len(prompt("")) + characters) // CHARACTERS_PER_TOKEN
    received = questions * ANSWER_TOKENS
    return Estimate(questions, sent, received, (sent * prices.sent + received * prices.received) / 1e6)
