"""A real HTTP server that speaks OpenAI's chat completions, and misbehaves where a sentence names how."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

SLOW_S = 0.3
SILENT_S = 3.0

ANSWERS = {  # word in a sentence -> the model's whole answer
    "prose": "I'd say it's positive!",
    "dotted": "Positive.",
    "shouted": "NEGATIVE",
    "fenced": '```json\n{"sentiment": "negative"}\n```',
    "short": '{"sentiment": "neg',
    "torn": "Either positive or negative",
    "chatty": "Let me tell you about my day.",
    "empty": "",
    "musing": 'Is it positive? Not quite.</think>{"sentiment": "negative"}',
    "unfinished": "<think>It may be positive, or",
}
GOOD = '{"sentiment": "positive"}'
STREAM = (
    *(json.dumps({"choices": [{"delta": {"content": part}}]}) for part in ("Po", "siti", "ve")),
    json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
    json.dumps({"choices": [], "usage": {"total_tokens": 9}}),
    "[DONE]",
)
REPLIES = {  # word in a sentence -> a reply of status 200
    "streamed": ": keep-alive\r\n\r\n" + "".join(f"data: {event}\r\n\r\n" for event in STREAM),
    "parted": json.dumps({"choices": [{"message": {"content": [{"type": "text", "text": GOOD}]}}]}),
    "inward": json.dumps({"choices": [{"message": {"content": None, "reasoning_content": GOOD}}]}),
    "overloaded": json.dumps({"error": {"message": "the model is overloaded", "code": 503}}),
}
LABELS = {"good": "positive", "bad": "negative"}


class LlmServer:
    """Use it as a context manager; ``url`` is what ``--llm`` takes before the #."""

    def __init__(self, reject: Callable[[dict[str, Any]], int | None] | None = None, delay_s: float = 0.0) -> None:
        """``reject`` gives the status of an error for some requests; every answer takes ``delay_s``."""
        self.asked: Counter[str] = Counter()  # sentence -> requests
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.busiest = 0
        self.reject = reject
        self.delay_s = delay_s
        self._busy = 0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def came_in(self, body: dict[str, Any], key: str) -> tuple[str, int]:
        """-> the sentence, and how often it has been asked with this one."""
        sentence = body["messages"][-1]["content"].partition("[sentence]: ")[2]
        with self.lock:
            self.keys.add(key)
            self.requests.append(body)
            self.asked[sentence] += 1
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            return sentence, self.asked[sentence]

    def went_out(self) -> None:
        with self.lock:
            self._busy -= 1


def _handler(llm: LlmServer) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one misdeed after the other
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            if not sent:
                return  # the client has gone away
            body = json.loads(sent)
            sentence, time_asked = llm.came_in(body, self.headers["Authorization"])
            try:
                if llm.reject and (status := llm.reject(body)):
                    self.fail(status)
                else:
                    time.sleep(llm.delay_s)
                    self.answer(sentence, time_asked, "max_tokens" in body)
            finally:
                llm.went_out()

        def answer(self, sentence: str, time_asked: int, is_bounded: bool) -> None:  # noqa: C901 - as above
            first, second = time_asked == 1, time_asked <= 2
            if "throttled" in sentence and first:
                self.fail(429, {"Retry-After": "1"})
            elif "dated" in sentence and first:
                self.fail(429, {"Retry-After": formatdate(time.time() + 1, usegmt=True)})
            elif ("faulty" in sentence and second) or "hopeless" in sentence:
                self.fail(500)
            elif "forbidden" in sentence:
                self.fail(400)
            elif "reset" in sentence and first:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            elif "severed" in sentence and first:
                self.send(json.dumps(completion("neutral")).encode(), promise=1000)
            elif "halved" in sentence and first:
                self.send(json.dumps(completion("neutral")).encode()[:40])
            elif "strange" in sentence and first:
                self.send(b'{"choices": []}')
            elif reply := next((REPLIES[word] for word in REPLIES if word in sentence.split()), None):
                kind = "application/json" if reply.startswith("{") else "text/event-stream"
                self.send(reply.encode(), headers={"Content-Type": kind})
            elif "refused" in sentence:
                self.send(json.dumps(completion(None, "I'm sorry, but I can't help with that.")).encode())
            else:
                time.sleep(SLOW_S if "slow" in sentence else SILENT_S if "silent" in sentence else 0.0)
                words = {"unfinished" if word == "pensive" and is_bounded else word for word in sentence.split()}
                odd = next((ANSWERS[word] for word in ANSWERS if word in words), None)
                label = next((LABELS[word] for word in LABELS if word in words), "neutral")
                self.send(json.dumps(completion(json.dumps({"sentiment": label}) if odd is None else odd)).encode())

        def fail(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send(json.dumps({"error": {"message": f"no, {status}"}}).encode(), status, headers)

        def send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None, promise: int = 0) -> None:
            """``promise``: more bytes than come, as of a connection that breaks off."""
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + promise))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or promise > 0

        def handle(self) -> None:
            with suppress(OSError):  # the client has gone away, or was told to
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def completion(content: str | None, refusal: str | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}
