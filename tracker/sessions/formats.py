"""The formats in which a session can be exported, for the command line, which loads none of them to name them."""

from __future__ import annotations

from typing import Final, Literal, get_args

FormatName = Literal["csv", "srt", "vtt", "emotionml", "rttm", "audacity"]
FORMAT_NAMES: Final[tuple[FormatName, ...]] = get_args(FormatName)
