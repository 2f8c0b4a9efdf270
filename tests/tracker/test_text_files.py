"""Text of unknown encoding: every letter is there, or it is said that one is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotrack.tracker.text_files import decode

CURLY = "caf\u00e9\nit\u2019s \u20ac5 \u2013\nplain\n"


@pytest.mark.parametrize(
    ("raw", "text", "remark"),
    [
        (b"", "", None),
        (CURLY.encode(), CURLY, None),
        (CURLY.encode("utf-8-sig"), CURLY, None),
        (CURLY.encode("utf-16"), CURLY, None),
        (CURLY.encode("utf-32"), CURLY, None),
        (CURLY.encode("utf-16-be"), CURLY, None),
        (b"abcdefgh\0\0", "abcdefgh\0\0", None),
        ("\ufffd".encode(), "\ufffd", None),  # another program has lost that one
        (CURLY.encode("cp1252"), CURLY, "2 lines from line 1 on are not UTF-8 but read as Windows-1252"),
        (CURLY.encode() + b"\xe9", f"{CURLY}\u00e9", "line 4 is not UTF-8 but read as Windows-1252"),
        (
            b"\x81\xe9",
            "\ufffd\u00e9",
            "line 1 is not UTF-8 but read as Windows-1252, which has no letter for 1 of the bytes",
        ),
        (b"\xff\xfea\0b", "a\ufffd", "1 of the letters cannot be read"),
    ],
)
def test_encodings(raw: bytes, text: str, remark: str | None) -> None:
    decoded = decode(raw)
    assert (decoded.text, decoded.remark) == (text, remark)


@given(st.binary(max_size=300))
def test_any_bytes_are_text_that_can_be_written_again(raw: bytes) -> None:
    decoded = decode(raw)
    assert decoded.text.encode().decode() == decoded.text
    assert decoded.remark is None or "\n" not in decoded.remark
