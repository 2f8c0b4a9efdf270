from __future__ import annotations

import pytest

from emotrack.models.labels import AFFECT, ALIASES, EMOTIONS, affect_of, canonical


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("happy", "joy"),
        ("Happiness", "joy"),
        ("angry", "anger"),
        ("mad", "anger"),
        ("sad", "sadness"),
        ("fearful", "fear"),
        ("scared", "fear"),
        ("surprised", "surprise"),
        ("calm", "neutral"),
        ("bored", "neutral"),
        (" disgust ", "disgust"),
        ("powerful", None),
        ("", None),
    ],
)
def test_every_corpus_speaks_the_networks_language(name: str, emotion: str | None) -> None:
    assert canonical(name) == emotion


def test_a_label_is_its_own_name() -> None:
    assert [canonical(emotion) for emotion in EMOTIONS] == list(EMOTIONS)


def test_no_alias_stands_for_two_emotions() -> None:
    aliases = [alias for group in ALIASES.values() for alias in group]
    assert len(aliases) == len(set(aliases))
    assert set(ALIASES) == set(EMOTIONS)


def test_emotions_have_valence_and_arousal_and_what_is_none_has_not() -> None:
    assert set(AFFECT) == set(EMOTIONS)
    assert affect_of(["angry", "neutral"]) == [AFFECT["anger"], (0.0, 0.0)]
    assert affect_of(["neutral", "positive"]) is None
