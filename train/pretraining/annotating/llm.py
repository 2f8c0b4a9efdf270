"""A language model behind an OpenAI-compatible server as the annotator: many questions at a time, none asked twice.

A server may be slow, throttle, break off or talk nonsense. A failure that can pass is tried again, later and later. A
failure that one sentence brings about costs that sentence its label. A failure for which no sentence is to blame ends
the run, so that no sentence is set aside for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from statistics import median
from typing import Any

from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    AuthenticationError,
    NotFoundError,
)
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from emotrack.train.errors import TrainError
from emotrack.train.pretraining.annotating.annotators import Verdict
from emotrack.train.pretraining.annotating.answer_cache import AnswerCache
from emotrack.train.pretraining.annotating.answers import read_answer, spoken
from emotrack.train.pretraining.annotating.prompt import RESPONSE_FORMAT, prompt
from emotrack.train.pretraining.annotating.replies import (
    DeclinedError,
    EmptyError,
    ReplyError,
    UnreadableError,
    read_reply,
)
from emotrack.train.pretraining.annotating.server import Server

MAX_WAIT_S = 60.0  # between two attempts, also when the server asks for more
FAILURES_IN_A_ROW = 16  # sentences without an answer, one after the other: then the server is to blame

# How to ask; each server is asked in the first way that it answers.
_LENGTH = {"temperature": 0.0, "max_tokens": 512}  # room for a model that thinks aloud, an end for one that rambles
WAYS: tuple[dict[str, Any], ...] = (_LENGTH | {"response_format": RESPONSE_FORMAT}, _LENGTH, {})
_NOT_SO = {400, 422}  # how a server says that it does not take a way of asking,
_PERHAPS_NOT_SO = {404, 500, 501}  # and how some say it, which may mean something else


_Failure = APIError | TimeoutError | ReplyError


class Llm:
    """Asks a server."""

    def __init__(self, server: Server, key: str) -> None:
        """Nothing is asked yet. Raises ``TrainError`` when the cache cannot be used."""
        self._server = server
        self._key = key
        self._cache = AnswerCache(server.cache, server.model)
        self._backoff = wait_random_exponential(multiplier=server.first_wait_s, max=MAX_WAIT_S)
        self._way = 0  # of ``WAYS``, the first that may do
        self._way_does = False  # whether an answer has come so
        self._heard = False  # whether the server has ever answered
        self._failures = 0  # since it last did
        self._last_error = ""
        self._latest_s: deque[float] = deque(maxlen=100)

    @property
    def answer_s(self) -> float | None:
        """How long the server takes for an answer, as a rule; None before there is one."""
        return median(self._latest_s) if self._latest_s else None

    def judge(self, texts: Sequence[str]) -> list[Verdict]:
        """One verdict a text, in their order.

        Raises:
            TrainError: the server cannot be reached, does not know the key or the model, or answers nothing. The
                answers until then are kept.
        """
        known = {text: self._known(text) for text in dict.fromkeys(texts)}
        verdicts = {text: read_answer(answer) for text, answer in known.items() if answer is not None}
        missing = [text for text, answer in known.items() if answer is None]
        if missing:
            verdicts |= asyncio.run(self._ask_all(missing))
        if missing and len(missing) == len(known) and not self._heard:
            raise self._ended("not one answer")
        return [verdicts[text] for text in texts]

    async def _ask_all(self, texts: Sequence[str]) -> dict[str, Verdict]:
        verdicts: dict[str, Verdict] = {}
        waiting = iter(texts)  # the workers take turns

        async def work(client: AsyncOpenAI, texts: Iterator[str]) -> None:
            for text in texts:
                verdicts[text] = await self._ask(client, text)

        server = self._server
        async with AsyncOpenAI(
            base_url=server.url, api_key=self._key, timeout=server.timeout_s, max_retries=0
        ) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(server.concurrency, len(texts))):
                        group.create_task(work(client, waiting))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return verdicts

    async def _ask(self, client: AsyncOpenAI, text: str) -> Verdict:
        try:
            answer: str = await AsyncRetrying(
                retry=retry_if_exception(self._may_pass),
                wait=self._wait,
                stop=stop_after_attempt(self._server.attempts),
                reraise=True,
            )(self._answer, client, text)
        except (APIError, TimeoutError, ReplyError) as error:
            return self._failed(error)
        self._heard, self._failures = True, 0
        self._cache.put(text, answer)
        return read_answer(answer)

    def _known(self, text: str) -> str | None:
        """The answer that is kept; an empty one is none."""
        answer = self._cache.get(text)
        return answer if answer and spoken(answer) else None

    async def _answer(self, client: AsyncOpenAI, text: str) -> str:
        """The answer, asked for in each way until there is one."""
        *ways, last = range(self._way, len(WAYS))
        for way in ways:
            try:
                return await self._answer_in(way, client, text)
            except (APIStatusError, DeclinedError, EmptyError) as error:
                if not self._wants_another_way(error):
                    raise
        return await self._answer_in(last, client, text)

    async def _answer_in(self, way: int, client: AsyncOpenAI, text: str) -> str:
        messages: Any = [{"role": "user", "content": prompt(text)}]
        began = time.monotonic()
        async with asyncio.timeout(self._server.timeout_s):  # the client's own is of one packet
            response = await client.chat.completions.with_raw_response.create(
                model=self._server.model, messages=messages, **WAYS[way]
            )
        answer = read_reply(response.text)
        if not spoken(answer):
            raise EmptyError
        self._latest_s.append(time.monotonic() - began)
        if not self._way_does:
            self._way, self._way_does = way, True
        return answer

    def _wants_another_way(self, error: APIStatusError | DeclinedError | EmptyError) -> bool:
        """Whether it may be the way of asking that brought this about: that, or too little room to think."""
        if isinstance(error, APIStatusError):
            may_be = _NOT_SO if self._way_does else _NOT_SO | _PERHAPS_NOT_SO
            return error.status_code in may_be
        return isinstance(error, EmptyError) or not self._way_does

    def _may_pass(self, error: BaseException) -> bool:
        if isinstance(error, APIStatusError):
            return error.status_code in {408, 409, 429} or error.status_code >= 500
        if isinstance(error, APIConnectionError):
            return self._heard or not _unreachable(error)
        return isinstance(error, TimeoutError | UnreadableError | DeclinedError)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = _retry_after_s(error) if isinstance(error, APIStatusError) else None
        own = self._backoff(state)
        return own if asked is None else min(asked + own, MAX_WAIT_S)  # not all at the same moment

    def _failed(self, error: _Failure) -> Verdict:
        """One sentence goes without a label, unless it is not its fault."""
        reason = _reason(error, self._server.timeout_s)
        message = " ".join(str(error).split())[:200] if isinstance(error, APIStatusError) else ""
        self._last_error = f"{reason} ({message})" if message else reason
        self._failures += 1
        if isinstance(error, AuthenticationError | NotFoundError) or _unreachable(error):
            raise self._ended("stopped")
        if self._failures >= FAILURES_IN_A_ROW:
            raise self._ended(f"no answer {self._failures} times in a row")
        return Verdict(None, f"server: {reason}")

    def _ended(self, what: str) -> TrainError:
        return TrainError(f"{self._server.model} at {self._server.url}: {what}: {self._last_error}")


def _unreachable(error: Exception) -> bool:
    """Whether there was no connection at all. The name, as openai's versions use different HTTP clients."""
    return type(error.__cause__).__name__ == "ConnectError"


def _reason(error: _Failure, timeout_s: float) -> str:
    """Of few kinds, as they are counted, unless the server has words of its own."""
    match error:
        case AuthenticationError():
            return "HTTP 401, it does not take the key in OPENAI_API_KEY"
        case NotFoundError():
            return "HTTP 404, it does not know the model, or the address, which often ends in /v1"
        case APIStatusError():
            return f"HTTP {error.status_code}"
        case APITimeoutError() | TimeoutError():
            return f"no answer in {timeout_s:g} s"
        case APIConnectionError():
            return "cannot be reached" if _unreachable(error) else "connection broken"
    return str(error if isinstance(error, ReplyError) else UnreadableError())


def _retry_after_s(error: APIStatusError) -> float | None:
    """The wait that the header asks for: seconds or a date (RFC 9110, section 10.2.3)."""
    header = error.response.headers.get("retry-after", "")
    if header.isdecimal():
        return float(header)
    try:
        return max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
