"""How each emotion looks: a colour and a letter, so that nothing hangs on colour alone.

The colours are those of Okabe and Ito (the blue a little lighter, to be read on a dark ground), which people with
any of the common kinds of colour blindness can tell apart. Labels of one meaning in different sets share a look.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

from rich.style import Style

ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILLION, PURPLE, GREY = "#1f7fd1", "#d55e00", "#cc79a7", "#a3a3a3"
_YELLOW_INK = "#d0b000"  # a thin yellow letter would vanish on a light ground

_KNOWN: dict[str, tuple[str, str]] = {
    "neutral": ("N", GREY),
    "joy": ("J", YELLOW),
    "happy": ("H", YELLOW),
    "happiness": ("H", YELLOW),
    "surprise": ("U", SKY),
    "surprised": ("U", SKY),
    "anger": ("A", VERMILLION),
    "angry": ("A", VERMILLION),
    "sadness": ("S", BLUE),
    "sad": ("S", BLUE),
    "disgust": ("D", GREEN),
    "disgusted": ("D", GREEN),
    "fear": ("F", PURPLE),
    "fearful": ("F", PURPLE),
    "excited": ("E", ORANGE),
    "frustrated": ("R", PURPLE),
    "frustration": ("R", PURPLE),
    "calm": ("C", "#88ccee"),
    "positive": ("P", SKY),
    "negative": ("G", VERMILLION),
}
_OTHER_COLOURS = ("#44aa99", "#ddcc77", "#aa4499", "#88ccee", "#999933", "#cc6677")  # Tol's muted set, for the rest

QUIET = Style(dim=True)
STRONG = Style(bold=True)
FAINT_LINE = Style(color="#6c7a86")  # frames: visible on dark and on light grounds
TITLE = Style(color="#8fa3b0", bold=True)
BAR = Style(color="#f2f2f2", bgcolor="#22333f")  # the header's ground
BAR_STRONG = BAR + STRONG
ALARM = Style(color="#000000", bgcolor=VERMILLION, bold=True)
WARNING = Style(color=ORANGE, bold=True)


@dataclass(frozen=True, slots=True)
class Look:
    """The look of one emotion."""

    letter: str
    block: Style
    """A filled cell: a dark letter on the emotion's colour."""
    ink: Style
    """A letter in the emotion's colour on the terminal's own ground, dark or light."""
    fill: Style
    """A bar in the emotion's colour."""


@lru_cache(maxsize=128)
def look(emotion: str) -> Look:
    """The look of a label; one that is not in the table gets its first letter and always the same colour."""
    known = _KNOWN.get(emotion.lower())
    if known is None:
        first = next((c for c in emotion if c.isascii() and c.isalnum()), "•")
        known = first.upper(), _OTHER_COLOURS[zlib.crc32(emotion.encode()) % len(_OTHER_COLOURS)]
    letter, colour = known
    return Look(
        letter=letter,
        block=Style(color="#000000", bgcolor=colour, bold=True),
        ink=Style(color=_YELLOW_INK if colour == YELLOW else colour),
        fill=Style(color=colour),
    )
