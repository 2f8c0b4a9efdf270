"""How long a line holds."""

from __future__ import annotations

from emotrack.tracker.messages.notices import MAX_LASTING, MAX_UNREAD, PASSING_S, Notice, NoticeBoard


def test_news_pass_and_what_lasts_comes_back_until_it_is_over() -> None:
    board = NoticeBoard()
    assert board.line(0.0) is None
    board.put(Notice("the broker is away", about="broker"), 0.0)
    board.put(Notice("the models are late", about="overload"), 1.0)
    board.put("a file was damaged", 2.0)
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
    board.put("ready", 0.0)
    board.put(Notice("muted?", about="muted"), 1.0)
    assert board.line(2.0) == "muted?"


def test_a_board_is_bounded() -> None:
    board = NoticeBoard()
    for number in range(1000):
        board.put(Notice(f"line {number}", about=f"thing {number}"), 0.0)
    assert len(board._lasting) == MAX_LASTING
    assert len(board.unread()) == MAX_UNREAD
    assert board.line(9.0) == "line 999"
