"""Outside words on a terminal: nothing in them can move the cursor, hide, or take another width than measured."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from emotrack.tracker.dashboard.frame import Row, bar, crop, wrap
from emotrack.tracker.plain import plain


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("plain words", "plain words"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;http://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("bell\x07 and\x08 back", "bell and back"),
        ("two\nlines\tand\r\nmore  spaces", "two lines and more spaces"),
        ("[bold red]markup[/]", "[bold red]markup[/]"),
        ("right\u202eto left", "rightto left"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("👩‍👩‍👧 ❤️ 👍🏽", "👩👩👧 ❤ 👍"),
        ("🇵🇹", "PT"),
        ("Z" + "\u0301" * 20, "Ź\u0301"),
        ("e\u0301", "é"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("田中さん", "田中さん"),
        ("", ""),
    ],
)
def test_words_are_made_harmless(given_text: str, shown: str) -> None:
    assert plain(given_text) == shown


@given(st.text(st.characters(), max_size=200))
def test_nothing_but_visible_characters_and_single_spaces_is_left(text: str) -> None:
    shown = plain(text)
    assert all(char == " " or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in shown)
    assert "  " not in shown
    assert plain(shown) == shown
    shown.encode()


def test_long_text_is_bounded_with_an_ellipsis() -> None:
    shown = plain("word " * 100_000)
    assert len(shown) <= 600
    assert shown.endswith("…")


@given(st.text(max_size=80).map(plain), st.integers(0, 40))
def test_cropped_text_fits(text: str, width: int) -> None:
    cropped = crop(text, width)
    assert cell_len(cropped) <= width
    assert cropped == text or width == 0 or cropped.endswith("…")


@given(st.text("ab 田🎉", max_size=80).map(plain), st.integers(1, 30), st.integers(1, 4))
def test_wrapped_lines_fit_and_lose_no_word_before_the_last_line(text: str, width: int, most: int) -> None:
    lines = wrap(text, width, most)
    assert 1 <= len(lines) <= most
    assert all(cell_len(line) <= max(2, width) for line in lines)
    if not lines[-1].endswith("…"):
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(
    st.lists(st.tuples(st.text(max_size=30).map(plain), st.none() | st.integers(0, 20)), max_size=8), st.integers(0, 60)
)
def test_a_row_is_exactly_as_wide_as_asked(fields: list[tuple[str, int | None]], width: int) -> None:
    row = Row(width)
    for text, field in fields:
        row.add(text, width=field).gap()
    assert sum(cell_len(segment.text) for segment in row.line()) == width


@given(st.floats(-1, 2), st.integers(0, 50))
def test_a_bar_stays_within_its_width(fraction: float, width: int) -> None:
    assert len(bar(fraction, width)) <= width
