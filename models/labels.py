"""The one table of emotion names: those of corpora and people, and the network's own.

Inside, emotions have MELD's nouns. Every other name is translated here, at the edge, and nowhere else.
"""

from __future__ import annotations

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

_EMOTION_OF = {emotion: emotion for emotion in EMOTIONS} | {
    alias: emotion for emotion, aliases in ALIASES.items() for alias in aliases
}


def canonical(name: str) -> str | None:
    """The network's name for an emotion, or None when it has no counterpart (EmoryNLP's "powerful", say).

    >>> canonical("Happiness"), canonical("powerful")
    ('joy', None)
    """
    return _EMOTION_OF.get(name.strip().lower())
