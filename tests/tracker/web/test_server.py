"""The page's server, with viewers that come with another library."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from emotrack.tracker.events import Correction, Mark
from emotrack.tracker.session.controls import RenameSpeaker
from emotrack.tracker.web import app, server, viewer
from emotrack.tracker.web.address import bind
from emotrack.tracker.web.app import POLICY
from emotrack.tracker.web.server import MAX_MESSAGE
from tests.tracker.dashboard.made_up import ended, lost, provisional, renamed, started, turn
from tests.tracker.kitchen_table import EXAMPLES
from tests.tracker.mqtt.certificates import Authority
from tests.tracker.mqtt.waiting import until
from tests.tracker.test_event_loop import LONGEST_S, watched
from tests.tracker.web.served import Message, ServedPage, hear, hear_events, say

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def http(page: ServedPage, path: str = "/", **headers: str) -> tuple[int, dict[str, str], str]:
    """The status, the headers and the text of an answer."""
    reader, writer = await asyncio.open_connection(*page.host.split(":"))
    wanted = {"Host": page.host, "Connection": "close", **headers}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    first, *rest = head.split("\r\n")
    return (
        int(first.split()[1]),
        {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)},
        body,
    )


async def closing(connection: Any) -> tuple[int, str]:
    """Why a connection is closed."""

    async def read() -> None:
        while True:
            await connection.recv()

    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(read(), 10)
    assert closed.value.rcvd
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_the_page_comes_from_here_alone() -> None:
    async with ServedPage() as page:
        status, headers, body = await http(page)
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert headers["content-security-policy"] == POLICY
        assert "'unsafe" not in POLICY
        assert {"server", "set-cookie"}.isdisjoint(headers)
        assert "http" not in body.replace("https, or", ""), "it asks no other host"
        assert "style=" not in body
        for path in ("/page.js", "/page.css", "/look.css", "/samples.js", "/words.js"):
            assert (await http(page, path))[0] == 200
        for path in ("/site.py", "/../site.py", "/page/", "/index.html", "/%2e%2e/site.py"):
            assert (await http(page, path))[0] == 404


async def test_who_comes_in_the_middle_sees_the_conversation_and_what_follows() -> None:
    async with ServedPage() as page:
        await page.emit([started(notice_given=True), turn(1), turn(2, "anger")])
        async with page.entered() as connection:
            welcome = await hear(connection, "welcome")
            assert welcome["site"] == "kitchen"
            assert set(welcome["may"]) == {"rename", "correct", "mark", "pause", "stop"}
            assert not welcome["microphone"]
            figures = await hear(connection, "figures")
            assert figures["turns"] == 2
            assert [look["letter"] for look in figures["labels"]] == list("NJUASDF")
            assert figures["kept"] == "Nothing is recorded."
            assert figures["told"] is True
            events, _ = await hear_events(connection, 3)
            assert [event["type"] for event in events] == ["session_started", "turn", "turn"]
            await page.emit([provisional(9.0, 9.5)])
            assert (await hear(connection, "passing"))["event"]["at_s"] == 9.5
            await page.emit([lost(12.0), ended(2)])
            events, _ = await hear_events(connection, 2)
            assert [event["type"] for event in events] == ["source_lost", "session_ended"]


async def test_who_was_away_goes_on_where_they_were() -> None:
    async with ServedPage() as page:
        await page.emit([started(), turn(1)])
        async with page.entered() as connection:
            _, last = await hear_events(connection, 2)
        await page.emit([turn(2), renamed("Ana", "Bea")])
        async with page.entered(last_event=last) as connection:
            assert (await hear(connection, "welcome"))["goes_on"]
            events, _ = await hear_events(connection, 2)
            assert [event["type"] for event in events] == ["turn", "speaker_renamed"]
    async with ServedPage() as page:
        await page.emit([started()])
        async with page.entered(last_event=last) as connection:
            assert not (await hear(connection, "welcome"))["goes_on"], "of before a restart"
            assert (await hear_events(connection, 1))[0][0]["type"] == "session_started"


async def test_wishes_reach_the_session() -> None:
    async with ServedPage() as page:
        page.status.turns_heard = 3
        page.status.tally.speakers["Ana"] = 3
        async with page.entered() as connection:
            await say(connection, type="rename", speaker="Ana", name="  Bea ")
            await say(connection, type="correct", turn_id=3, emotion="joy")
            await say(connection, type="mark")
            await say(connection, type="pause", paused=True)
            assert (await hear(connection, lambda each: each.get("paused")))["doing"] == "‖ paused"
            wished = page.controls.commands()
            rename, correction, mark = [await anext(wished) for _ in range(3)]
            assert rename == RenameSpeaker("Ana", "Bea")
            assert isinstance(correction, Correction)
            assert (correction.turn_id, correction.emotion) == (3, "joy")
            assert isinstance(mark, Mark)
            await say(connection, type="stop")
            await until(lambda: page.controls.stop_reason == "quit")


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"type": "rename", "speaker": "Nobody", "name": "Bea"}, "there is no speaker Nobody"),
        ({"type": "correct", "turn_id": 9, "emotion": "joy"}, "there is no turn 9"),
        ({"type": "correct", "turn_id": 0, "emotion": "joy"}, "greater than or equal to 1"),
        ({"type": "dance"}, "does not match any of the expected tags"),
        ({"type": "mark", "more": 1}, "Extra inputs are not permitted"),
        ({"type": "mark", "more": "x" * 5000}, "at most 4096 characters"),
        ([], "object"),
    ],
)
async def test_what_cannot_be_done_is_told_and_costs_nothing_else(wish: Any, why: str) -> None:
    async with ServedPage() as page, page.entered() as connection:
        await connection.send(json.dumps(wish))
        assert why in (await hear(connection, "refused"))["why"]
        await page.emit([started()])
        await hear_events(connection, 1)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "emotrack.example.org"},
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
    ],
)
async def test_no_other_page_gets_anything(headers: dict[str, str]) -> None:
    async with ServedPage() as page:
        if "Host" in headers:
            assert (await http(page, **headers))[0] == 421
        status, _, _ = await http(
            page,
            "/events",
            **{
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                **headers,
            },
        )
        assert status == 403
        async with page.viewer(origin=f"http://{page.host}") as connection:
            await say(connection, type="enter")
            await hear(connection, "welcome")


async def test_elsewhere_a_token_is_needed_and_who_looks_on_does_nothing() -> None:
    address = bind("0.0.0.0:0")
    async with ServedPage(address=address) as page:
        for wrong in (None, "wrong"):
            async with page.entered(token=wrong) as connection:
                assert (await closing(connection))[0] == viewer.NOT_ALLOWED
            async with page.viewer("audio") as connection:
                await say(connection, type="audio", rate=16_000, token=wrong)
                assert (await closing(connection))[0] == viewer.NOT_ALLOWED
        async with page.entered(token=address.looking_token) as connection:
            assert (await hear(connection, "welcome"))["may"] == []
            await say(connection, type="stop")
            assert "look on only" in (await hear(connection, "refused"))["why"]
            assert not page.controls.is_stopping
        async with page.viewer("audio") as connection:
            await say(connection, type="audio", rate=16_000, token=address.looking_token)
            assert (await closing(connection))[0] == viewer.NOT_ALLOWED
        async with page.entered(token=address.token) as connection:
            assert "stop" in (await hear(connection, "welcome"))["may"]


async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trusted = ssl.create_default_context(cafile=authority.path)
    async with ServedPage(address=bind("127.0.0.1:0", *authority.sign("page"))) as page:
        await page.emit([started()])
        async with page.viewer(ssl=trusted) as connection:
            await say(connection, type="enter")
            await hear_events(connection, 1)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{}", viewer.BAD_MESSAGE),
        ("not JSON", viewer.BAD_MESSAGE),
        (b"\x00" * 10, viewer.BAD_MESSAGE),
        ('{"type":"enter","site":"' + "x" * 2000 + '"}', viewer.BAD_MESSAGE),
        ("[" * 4000, viewer.BAD_MESSAGE),
        ("x" * (MAX_MESSAGE + 1), 1009),
    ],
)
async def test_who_says_nothing_sensible_is_turned_away(message: str | bytes, code: int) -> None:
    async with ServedPage() as page:
        for path in ("events", "audio"):
            async with page.viewer(path) as connection:
                await connection.send(message)
                assert (await closing(connection))[0] == code


async def test_who_wishes_too_often_is_turned_away() -> None:
    async with ServedPage() as page, page.entered() as connection:
        for _ in range(viewer.WISHES_AT_ONCE + 5):
            await say(connection, type="dance")
        assert (await closing(connection))[0] == viewer.TOO_MANY


async def test_only_so_many_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_VIEWERS", 1)
    async with ServedPage() as page, page.entered() as first:
        await hear(first, "welcome")
        async with page.viewer() as second:
            assert (await closing(second))[0] == viewer.TOO_MANY
        await page.emit([started()])
        await hear_events(first, 1)


async def test_who_says_nothing_at_all_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "ENTER_S", 0.05)
    async with ServedPage() as page, page.viewer() as connection:
        assert (await closing(connection)) == (viewer.BAD_MESSAGE, "nothing was said")


async def test_who_asks_for_nothing_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_HTTP_S", 0.2)
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    async with ServedPage() as page, page.entered() as viewer_:
        await hear(viewer_, "welcome")
        host, port = page.host.split(":")
        waiting, _ = await asyncio.open_connection(host, port)
        one_too_many, _ = await asyncio.open_connection(host, port)
        for reader in (one_too_many, waiting):
            with suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
        await asyncio.sleep(0.2)
        await page.emit([started()])
        await hear_events(viewer_, 1)


async def test_a_viewer_who_does_not_read_slows_nobody_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ServedPage() as page:
        page.site._feed._keep = 50
        async with page.entered() as quick, page.viewer(max_queue=1, close_timeout=0.1) as slow:
            await say(slow, type="enter")  # and then reads no more than fits into its buffers
            heard = list[Message]()
            for number in range(1, 501):
                await page.emit([turn(number, text="x" * 20_000)])
                heard += (await hear_events(quick, 1))[0]
            assert [event["turn_id"] for event in heard] == list(range(1, 501))
            assert (await hear(slow, "lost"))["events"] > 100
            await hear(slow, lambda each: each["type"] == "events" and each["events"][-1]["turn_id"] == 500)


async def test_who_reads_a_long_conversation_does_not_hold_the_event_loop_up() -> None:
    async with ServedPage() as page:
        await page.emit([started(), *(turn(number, text="x" * 200) for number in range(1, 4_001))])
        with watched() as costs:
            async with page.entered() as connection:
                events, _ = await hear_events(connection, 4_001)
    assert events[-1]["turn_id"] == 4_000
    assert max(costs) < LONGEST_S


async def test_a_fault_with_one_viewer_ends_neither_the_session_nor_the_page() -> None:
    page = ServedPage()
    async with page:
        follow = page.site.follow
        page.site.follow = lambda site, wish: 1 / 0  # type: ignore[method-assign,assignment]
        async with page.entered() as connection:
            await say(connection, type="mark")
            assert (await closing(connection))[0] == 1011
        page.site.follow = follow  # type: ignore[method-assign]
        assert page.notices == ["the page failed for a viewer: ZeroDivisionError: division by zero"]
        page.notices.clear()
        async with page.entered() as connection:
            await hear(connection, "welcome")


async def test_the_example_follows() -> None:
    async with ServedPage() as page:
        await page.emit([started(), turn(1)])
        example = await asyncio.create_subprocess_exec(
            *(sys.executable, EXAMPLES / "follow_page.py", f"ws://{page.host}/"), stdout=subprocess.PIPE
        )
        assert example.stdout
        assert await asyncio.wait_for(example.stdout.readline(), 20) == b"    3.0 s  Ana: joy\n"
        await page.emit([turn(1, "anger", revision=1), turn(2, "fear")])
        assert await asyncio.wait_for(example.stdout.readline(), 20) == b"    6.0 s  Ana: fear\n"
        example.kill()
        await example.wait()


async def test_at_the_end_the_last_event_still_comes() -> None:
    page = ServedPage()
    async with page:
        await page.emit([started()])
        connecting = page.entered()
        connection = await connecting.__aenter__()
        await hear_events(connection, 1)
        await page.emit([ended(0)])
        await page.site.close()
    assert (await hear_events(connection, 1))[0][0]["type"] == "session_ended"
    assert (await closing(connection))[0] == 1012
    await connecting.__aexit__(None, None, None)
    with pytest.raises((OSError, InvalidStatus)):
        async with page.viewer():
            pass
