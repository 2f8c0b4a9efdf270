"""The colours of a bar: an emotion's colour, laid on more or less strongly, with a letter that can be read on it."""

from __future__ import annotations

STEPS = (0.30, 0.48, 0.66, 0.83, 1.0)
"""How much of the colour each of five steps of confidence shows; the rest is the lane below."""
LIGHT_LANE, DARK_LANE = "#f1f4f6", "#1b242d"
DARK_LETTER, LIGHT_LETTER = "#000", "#fff"


def letters(colour: str, lane: str) -> tuple[str, ...]:
    """For every step, black or white, whichever has more contrast: one of them always has at least 4.58 to 1."""
    return tuple(_letter(_mixed(_parts(colour), _parts(lane), step)) for step in STEPS)


def _letter(colour: tuple[float, float, float]) -> str:
    red, green, blue = (_linear(part) for part in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # as WCAG 2 defines it
    return DARK_LETTER if (luminance + 0.05) ** 2 > 1.05 * 0.05 else LIGHT_LETTER


def _parts(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def _mixed(
    colour: tuple[float, float, float], lane: tuple[float, float, float], share: float
) -> tuple[float, float, float]:
    red, green, blue = (share * c + (1 - share) * below for c, below in zip(colour, lane, strict=True))
    return red, green, blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
