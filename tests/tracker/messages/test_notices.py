"""How a line is said, and how long it holds."""

from __future__ import annotations

import logging

from emotrack.tracker.messages.notices import (
    MAX_LASTING,
    MAX_TOLD,
    MAX_UNREAD,
    PASSING_S,
    Notice,
    NoticeBoard,
    lasting,
    notices_to,
    over,
)


def test_news_pass_and_what_lasts_comes_back_until_it_is_over() -> None:
    board = NoticeBoard()
    assert board.line(0.0) is None
    board.put(Notice("the broker is away", about="broker"), 0.0)
    board.put(Notice("the models are late", about="overload"), 1.0)
    board.put(Notice("a file was damaged"), 2.0)
    assert board.line(2.0 + PASSING_S - 0.1) == "a file was damaged"
    assert board.line(2.0 + PASSING_S) == "the models are late"
    board.put(Notice("the models keep up again", about="overload", holds=False), 50.0)
    assert board.line(51.0) == "the models keep up again"
    assert board.line(50.0 + PASSING_S) == "the broker is away"
    board.put(Notice("the broker is still away", about="broker"), 100.0)
    assert board.line(500.0) == "the broker is still away"
    board.put(Notice("connected", about="broker", holds=False), 600.0)
    assert board.line(600.0 + PASSING_S) is None
    assert board.unread()[:2] == ["the broker is away", "the models are late"]
    assert board.unread() == []


def test_a_new_condition_is_shown_at_once() -> None:
    board = NoticeBoard()
    board.put(Notice("ready"), 0.0)
    board.put(Notice("muted?", about="muted"), 1.0)
    assert board.line(2.0) == "muted?"


def test_a_board_is_bounded() -> None:
    board = NoticeBoard()
    for number in range(1000):
        board.put(Notice(f"line {number}", about=f"thing {number}"), 0.0)
    assert len(board._lasting) == MAX_LASTING
    assert len(board.unread()) == MAX_UNREAD
    assert board.line(9.0) == "line 999"


def test_what_is_logged_is_told_within_the_block_and_to_the_host_program_before_and_after() -> None:
    log, inner, outer = logging.getLogger("emotrack.tracker.somewhere"), list[Notice](), list[Notice]()
    handlers = list(logging.getLogger("emotrack").handlers)
    with notices_to(outer.append):
        log.info("one %s", "line")
        with notices_to(inner.append):
            log.warning("the broker is away", extra=lasting("broker"))
            log.info("connected", extra=over("broker"))
            log.debug("not for people")
        log.info("the last")
    assert inner == [Notice("the broker is away", "broker"), Notice("connected", "broker", holds=False)]
    assert outer == [Notice("one line"), Notice("the last")]
    assert logging.getLogger("emotrack").handlers == handlers
    assert logging.getLogger("emotrack").propagate


def test_a_line_that_many_say_at_once_is_told_once() -> None:
    log, told = logging.getLogger("emotrack.tracker.somewhere"), list[Notice]()
    with notices_to(told.append):
        for _ in range(3):
            log.info("the broker is away")
        for number in range(MAX_TOLD + 1):
            log.info("line %d", number)
        log.info("the broker is away")  # so many lines later it is forgotten
    assert len(told) == 1 + MAX_TOLD + 1 + 1
