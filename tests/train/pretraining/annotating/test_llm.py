"""Questions to a real server that misbehaves."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotrack.train.errors import TrainError
from emotrack.train.pretraining.annotating.llm import FAILURES_IN_A_ROW
from emotrack.train.pretraining.annotating.makers import LlmMaker
from tests.train.pretraining.llm_server import ANSWERS, LlmServer


@pytest.fixture
def maker_for(tmp_path: Path) -> Callable[..., LlmMaker]:
    """An impatient annotator."""

    def make(url: str, **options: Any) -> LlmMaker:
        quick = {"concurrency": 4, "timeout_s": 0.8, "attempts": 3, "first_wait_s": 0.02}
        return LlmMaker(url, "toy", tmp_path / "answers.sqlite", **quick | options)

    return make


Make = Callable[..., LlmMaker]

OUTCOMES = {  # the sentence -> label or reason, how often it is asked
    "so good": ("positive", 1),
    "so bad": ("negative", 1),
    "so so": ("neutral", 1),
    "throttled but good": ("positive", 2),
    "dated but bad": ("negative", 2),
    "faulty but good": ("positive", 3),
    "reset but good": ("positive", 2),
    "severed but good": ("positive", 2),
    "halved but good": ("positive", 2),
    "strange but good": ("positive", 2),
    "slow but good": ("positive", 1),
    "prose": ("positive", 1),
    "fenced": ("negative", 1),
    "hopeless": ("server: HTTP 500", 3),
    "forbidden": ("server: HTTP 400", 3),  # once in each way of asking
    "silent": ("server: no answer in 0.8 s", 3),
    "refused": ("refused", 1),
    "short": ("answer cut off", 1),
    "torn": ("several labels in the answer", 1),
    "chatty": ("no label in the answer", 1),
    "musing": ("negative", 1),
    "streamed": ("positive", 1),
    "parted": ("positive", 1),
    "inward": ("positive", 1),
    "overloaded": ("server: an error: the model is overloaded", 3),
    "empty": ("server: empty answer", 3),  # once in each way of asking
    "unfinished": ("server: empty answer", 3),
}


def test_no_sentence_is_lost(maker_for: Make) -> None:
    texts = [*OUTCOMES, *OUTCOMES]  # each twice, asked once
    with LlmServer() as server:
        maker = maker_for(server.url)
        verdicts = maker.make().judge(texts)
        assert [verdict.label or verdict.set_aside for verdict in verdicts] == [OUTCOMES[text][0] for text in texts]
        assert dict(server.asked) == {text: count for text, (_, count) in OUTCOMES.items()}
        assert server.busiest <= 4
        assert server.keys == {"Bearer none"}
        server.asked.clear()
        verdicts = maker.make().judge(texts)  # another process, another day: only what has no answer
        assert [verdict.label or verdict.set_aside for verdict in verdicts] == [OUTCOMES[text][0] for text in texts]
        assert set(server.asked) == {"hopeless", "forbidden", "silent", "overloaded", "empty", "unfinished"}


def test_what_is_asked(maker_for: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    with LlmServer() as server:
        maker_for(server.url).make().judge(["so good"])
        (request,) = server.requests
        assert server.keys == {"Bearer a-key"}
    assert request["model"] == "toy"
    assert request["messages"] == [
        {
            "role": "user",
            "content": "You are a sentiment classification bot. Given the [sentence], classify as positive, negative "
            "or neutral sentiment. Please give the sentiment and no extra text as output.\n\n[sentence]: so good",
        }
    ]
    schema = request["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["sentiment"]["enum"] == ["positive", "negative", "neutral"]


def test_throttling_is_waited_out_as_the_server_asks(maker_for: Make) -> None:
    with LlmServer() as server:
        began = time.monotonic()
        assert maker_for(server.url).make().judge(["throttled"])[0].label == "neutral"
        assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("status", [400, 404, 422, 500, 501])
@pytest.mark.parametrize(("disliked", "left"), [("response_format", "max_tokens"), ("max_tokens", None)])
def test_a_server_that_takes_fewer_options(maker_for: Make, disliked: str, left: str | None, status: int) -> None:
    """It is asked in plainer words, and after the first answers in these alone."""
    with LlmServer(lambda body: status if disliked in body else None) as server:
        llm = maker_for(server.url, concurrency=1).make()
        assert [verdict.label for verdict in llm.judge(["so good", "so bad"])] == ["positive", "negative"]
        assert llm.judge(["so so"])[0].label == "neutral"
        assert server.asked["so good"] > 1
        assert server.asked["so bad"] == server.asked["so so"] == 1
        assert left is None or left in server.requests[-1]


def test_a_server_that_stumbles_later_is_asked_in_the_same_way(maker_for: Make) -> None:
    with LlmServer() as server:
        llm = maker_for(server.url, concurrency=1).make()
        assert [verdict.label for verdict in llm.judge(["so good", "faulty but good"])] == ["positive", "positive"]
        assert all("response_format" in request for request in server.requests)


def test_thoughts_that_find_no_room_get_some(maker_for: Make) -> None:
    """A model whose thoughts are cut off is asked without a bound, and from then on not in vain."""
    with LlmServer() as server:
        llm = maker_for(server.url, concurrency=1).make()
        assert [verdict.label for verdict in llm.judge(["pensive but good", "so bad"])] == ["positive", "negative"]
        assert [request.get("max_tokens") for request in server.requests] == [512, 512, None, None]


def test_empty_answers_are_asked_for_again_once_the_server_is_mended(
    maker_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LlmServer() as server:
        llm = maker_for(server.url).make()
        assert llm.judge(["empty", "so good"])[0].set_aside == "server: empty answer"
        monkeypatch.setitem(ANSWERS, "empty", "neutral")
        assert llm.judge(["empty"])[0].label == "neutral"


def test_a_server_that_answers_nothing_ends_the_run(maker_for: Make) -> None:
    with LlmServer() as server:
        with pytest.raises(TrainError, match="not one answer: empty answer"):
            maker_for(server.url).make().judge(["empty"])
        with pytest.raises(TrainError, match="no answer 16 times in a row: empty answer"):
            maker_for(server.url).make().judge([f"empty {number}" for number in range(100)])
        with pytest.raises(TrainError, match="not one answer: an error: the model is overloaded"):
            maker_for(server.url).make().judge(["overloaded"])


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"HTTP 401, it does not take the key in OPENAI_API_KEY \(.*no, 401"),
        (403, r"no answer 16 times in a row: HTTP 403"),
        (404, r"HTTP 404, it does not know the model, or the address"),
    ],
)
def test_a_server_that_turns_everyone_away_ends_the_run(maker_for: Make, status: int, message: str) -> None:
    with LlmServer(lambda _: status) as server:
        maker = maker_for(server.url)
        with pytest.raises(TrainError, match=message) as caught:
            maker.make().judge([f"sentence {number}" for number in range(100)])
        assert "\n" not in str(caught.value)
        assert server.requests
        assert len(server.requests) <= FAILURES_IN_A_ROW + maker.concurrency
        with pytest.raises(TrainError, match=f"HTTP {status}"):  # also where there are fewer sentences than that
            maker.make().judge(["one", "two"])


def test_a_server_that_only_fails_ends_the_run(maker_for: Make) -> None:
    with LlmServer() as server, pytest.raises(TrainError, match="no answer 16 times in a row: HTTP 500"):
        maker_for(server.url, attempts=2).make().judge([f"hopeless {number}" for number in range(100)])


def test_a_server_that_cannot_be_reached_ends_the_run_at_once(maker_for: Make) -> None:
    with LlmServer() as server:
        url = server.url
    began = time.monotonic()
    with pytest.raises(TrainError, match=f"toy at {url}: stopped: cannot be reached"):
        maker_for(url, first_wait_s=10.0).make().judge(["so good"])
    assert time.monotonic() - began < 5.0


def test_a_server_that_goes_away_ends_the_run_and_answers_are_kept(maker_for: Make) -> None:
    with LlmServer() as server:
        llm = maker_for(server.url).make()
        llm.judge(["so good"])
    with pytest.raises(TrainError, match="cannot be reached"):
        llm.judge(["so good", "so bad"])
    assert llm.judge(["so good"])[0].label == "positive"


def test_nobody_else_is_spoken_to(maker_for: Make) -> None:
    seen: set[tuple[str, Any]] = set()
    listening = True

    def audit(event: str, arguments: tuple[Any, ...]) -> None:  # cannot be taken away again
        if listening and event in {"socket.connect", "socket.getaddrinfo"}:
            seen.add((event, arguments[1] if event == "socket.connect" else arguments[0]))

    with LlmServer() as server:
        port = int(server.url.split(":")[2].split("/")[0])
        sys.addaudithook(audit)
        maker_for(server.url).make().judge(["so good", "faulty", "reset"])
        listening = False
    connections = {address for event, address in seen if event == "socket.connect"}
    assert connections == {("127.0.0.1", port)}
    assert {host for event, host in seen if event == "socket.getaddrinfo"} <= {"127.0.0.1"}


def test_an_answer_file_that_is_none(maker_for: Make, tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").write_text("no database, but words, and more than a header's worth of them" * 20)
    with pytest.raises(TrainError, match=r"answers\.sqlite cannot be used"):
        maker_for("http://127.0.0.1:1/v1").make()
