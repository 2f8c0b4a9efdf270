"""Where the page is, and who may come."""

from __future__ import annotations

import argparse
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from emotrack.errors import UsageError
from emotrack.tracker.command_line.page import live_page
from emotrack.tracker.messages.notices import Notice, NoticeBoard
from emotrack.tracker.session.controls import Controls
from emotrack.tracker.session.status import LiveStatus
from emotrack.tracker.web.address import TOKEN_VARIABLE, WebAddress, bind
from emotrack.tracker.web.microphone import WebMicrophone
from tests.tracker.mqtt.certificates import Authority

Taking = Callable[..., WebAddress]


@pytest.fixture
def bound() -> Iterator[Taking]:
    """What takes an address, and gives it back after the test."""
    with ExitStack() as taken:

        def bound(argument: str, **options: Path) -> WebAddress:
            address = bind(argument, **options)
            taken.enter_context(address.bound)
            return address

        yield bound


@pytest.mark.parametrize("argument", ["localhost:0", "127.0.0.1:0", ":0"])
def test_this_computer_alone_needs_no_token(bound: Taking, argument: str) -> None:
    address = bound(argument)
    assert address.token is None
    assert address.role(None) == address.role("anything") == "takes part"
    (line,) = address.lines()
    assert re.search(rf"http://[\w.]+:{address.port}/ and can be opened on this computer alone", line)


def test_elsewhere_a_token_lets_in_and_another_one_lets_look(bound: Taking) -> None:
    address = bound("0.0.0.0:0")
    assert address.token is not None
    assert len(address.token) >= 43
    assert address.token != bound("0.0.0.0:0").token, "made anew each time"
    part, look, plain = address.lines()
    page = f"http://{socket.gethostname()}:{address.port}/#"
    assert part.endswith(page + address.token)
    assert look.endswith(f"{page}{address.looking_token}")
    assert "--web-cert" in plain
    assert address.role(address.token) == "takes part"
    assert address.role(address.looking_token) == "looks on"
    for wrong in (None, "", "x", address.token[:-1], address.token + "x", "\ud800"):
        assert address.role(wrong) is None
    assert address.token not in repr(address)


def test_a_token_of_ones_own_stays(bound: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "a-token-of-ones-own-for-a-tablet")
    first, second = bound("0.0.0.0:0"), bound("0.0.0.0:0")
    assert first.token == second.token == "a-token-of-ones-own-for-a-tablet"
    assert first.looking_token == second.looking_token
    for bad in ("short", "with blanks in it, and long enough", "x" * 300):
        monkeypatch.setenv(TOKEN_VARIABLE, bad)
        with pytest.raises(UsageError, match=TOKEN_VARIABLE):
            bind("0.0.0.0:0")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8717", "127.0.0.1:1", "[::1]:8717", "192.168.1.7:80", socket.gethostname()]
)
def test_names_that_nobody_else_can_make_up_are_known(bound: Taking, host: str) -> None:
    assert bound("localhost:0").knows(host)


@pytest.mark.parametrize("host", ["", "example.org", "localhost.example.org:8717", "127.0.0.1.nip.io", "kitchen.local"])
def test_a_name_that_was_pointed_here_is_not(bound: Taking, host: str) -> None:
    assert not bound("localhost:0").knows(host)


@pytest.mark.parametrize(
    "argument", ["", "http://localhost:1", "localhost:99999", "localhost:x", "a b", "mqtt://host/"]
)
def test_what_is_no_address_is_refused(argument: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        bind(argument)


def test_what_cannot_be_had_is_one_line(bound: Taking, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen at 127.0.0.1:{port}: Address already in use"):
            bind(f"127.0.0.1:{port}")
    certificate, key = Authority(tmp_path).sign("page")
    assert bound("localhost:0", certificate=certificate, key=key).lines()[0].startswith("the page is https://")
    with pytest.raises(UsageError, match="no certificate with its key"):
        bind("localhost:0", certificate=certificate)
    with pytest.raises(UsageError, match="No such file"):
        bind("localhost:0", certificate=tmp_path / "none.pem")
    with pytest.raises(UsageError, match="--web-key goes with --web-cert"):
        bind("localhost:0", key=key)


def test_who_looks_on_is_not_told_the_link_of_who_takes_part(bound: Taking, capsys: pytest.CaptureFixture[str]) -> None:
    address = bound("0.0.0.0:0")
    controls = Controls(LiveStatus(), ("joy",))
    board = NoticeBoard()
    arguments = argparse.Namespace(save=None, keep_audio=False)
    site, _ = live_page(arguments, address, controls, WebMicrophone(), board)
    assert address.token
    assert capsys.readouterr().err.count(address.token) == 1
    board.put(Notice("cannot write to /home/ana/talk.jsonl: the disk is full"), time.monotonic())
    site.refresh()
    (figures,) = site.feed(None)[1].since(0)
    assert address.token not in figures
    assert "cannot write to talk.jsonl: the disk is full" in figures, "nor where files lie here"
