# ruff: noqa: RUF001  # other scripts are what is tried
"""Outside words on a terminal: nothing in them can move the cursor, hide, or take another width than measured."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from emotrack.tracker.dashboard.frame import Row, bar, crop, wrap
from emotrack.tracker.messages.plain import plain, plain_document, plain_line, plain_text, unicode

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ORDINARY = [
    "Grüße aus Köln, naïve café – 100 % “quoted” … №5",
    "Ελληνικά и русский текст",
    "שָׁלוֹם עוֹלָם",
    "مرحبا بالعالم",
    "می\u200cخواهم",  # Persian needs the non-joiner
    "हिन्दी क्\u200dष श्री",
    "தமிழ் ภาษาไทย น้ำ",
    "မြန်မာ ကြွေး မြို့",
    "བསྒྲུབས",
    "田中さん、元気？ 한국어 中文",
    "Tiếng Việt \u0065\u0302\u0301",
    "👩\u200d👩\u200d👧 ❤\ufe0f 👍🏽 🇵🇹 1\ufe0f\u20e3 🏳\ufe0f\u200d🌈",
    "[bold]no markup[/] C:\\path\\name 'a' \"b\"",
    "two\nlines\tand  more   spaces",
]
HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            BIDI + "\x1b\x9b\x9d\x07\r\n\t[]0;mJ\x7f\x85\u200b\u200c\u200d\ufeff\u0301\u20dd\ufe0f\ud800\udcff"
        ),
    ),
    max_size=60,
)


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


@pytest.mark.parametrize("words", ORDINARY)
def test_words_of_every_script_reach_a_terminal_unchanged(words: str) -> None:
    assert plain_text(words) == words


@given(HOSTILE)
def test_nothing_that_reaches_a_terminal_is_obeyed_or_hides(text: str) -> None:
    shown = plain_text(text)
    shown.encode()  # no lone surrogates
    categories = [unicodedata.category(char) for char in shown]
    assert all(char in "\n\t" for char, kind in zip(shown, categories, strict=True) if kind == "Cc")
    assert not set(shown) & set(BIDI + "\u200b\u2060\ufeff\u034f\u3164\u00ad\u2028\u2029\x1b\x9b")
    assert not re.search("[\U000e0000-\U000e0fff]", shown)
    assert "mmmmm" not in "".join("m" if kind in {"Mn", "Me"} else "." for kind in categories)
    assert "\u200c\u200c" not in shown
    assert "\u200d\u200d" not in shown
    assert plain_text(shown) == shown


@given(HOSTILE)
def test_a_line_is_one_line_and_bounded(text: str) -> None:
    line = plain_line(text, 20)
    assert len(line) <= 20
    assert "\n" not in line
    assert "\t" not in line
    assert line == plain_text(line)


@pytest.mark.parametrize("piece", ["\x1b]", "\x9d", "\x1b[0", "\x9b;", "\u0301", "\u200d", "ü"])
def test_long_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    """Quadratic, this would take many minutes."""
    plain_text(piece * (200_000 // len(piece)))


@given(HOSTILE)
def test_a_document_holds_what_every_format_can(text: str) -> None:
    document = plain_document(text)
    document.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]", document)
    assert plain_document(document) == document


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"])))
def test_a_document_keeps_all_that_is_text(text: str) -> None:
    assert plain_document(text) == text


@given(st.binary(max_size=20))
def test_the_name_of_a_file_becomes_utf_8(name: bytes) -> None:
    given_name = name.decode("utf-8", "surrogateescape")
    unicode(given_name).encode()
    assert len(unicode(given_name)) == len(given_name)


def test_what_is_utf_8_stays() -> None:
    assert unicode("Köln \ud800\udcff") == "Köln \ufffd\ufffd"
