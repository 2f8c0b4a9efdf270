"""The one table of emotion names: those of corpora and people, and the network's own.

Inside, emotions have MELD's nouns. Every other name is translated here, at the edge, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

EMOTIONS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")

ALIASES: dict[str, tuple[str, ...]] = {
    "neutral": ("calm", "bored", "boredom", "peaceful", "neu"),
    "joy": ("joyful", "happy", "happiness", "excited", "excitement", "hap", "exc"),
    "surprise": ("surprised", "sur"),
    "anger": ("angry", "mad", "ang"),
    "sadness": ("sad",),
    "disgust": ("disgusted", "dis"),
    "fear": ("fearful", "afraid", "scared", "anxiety", "fea"),
}

AFFECT: dict[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "joy": (0.76, 0.48),
    "surprise": (0.40, 0.67),
    "anger": (-0.51, 0.59),
    "sadness": (-0.63, -0.27),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
}
"""Valence and arousal of each, how pleasant and how aroused it is, -1 to 1: as people rated "joyful", "surprised",
"angry", "sad", "disgusted" and "fearful" (Russell and Mehrabian 1977, doi:10.1016/0092-6566(77)90037-X); neutral is the
middle."""

_EMOTION_OF = {emotion: emotion for emotion in EMOTIONS} | {
    alias: emotion for emotion, aliases in ALIASES.items() for alias in aliases
}


def affect_of(labels: Sequence[str]) -> list[tuple[float, float]] | None:
    """Valence and arousal of each label; None where one is no emotion that has them."""
    found = [AFFECT.get(canonical(label) or "") for label in labels]
    return None if None in found else [place for place in found if place is not None]


def canonical(name: str) -> str | None:
    """The network's name for an emotion, or None when it has no counterpart (EmoryNLP's "powerful", say).

    >>> canonical("Happiness"), canonical("powerful")
    ('joy', None)
    """
    return _EMOTION_OF.get(name.strip().lower())
