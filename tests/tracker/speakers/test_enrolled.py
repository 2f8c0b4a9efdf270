"""Voices that are known from the beginning, and those that are not, among the speakers of a conversation."""

from __future__ import annotations

import numpy as np
import pytest

from emotrack.tracker.speakers.clusters import Identified, Speakers
from emotrack.tracker.speakers.networks import VoicePrint, of_length_one
from emotrack.tracker.speakers.pieces import TurnPrint

ANA, BEN, CARA, DORA = np.eye(8, dtype=np.float32)[:4]


def like(voice: VoicePrint, other: VoicePrint, share: float) -> VoicePrint:
    """A print between two voices."""
    return of_length_one(voice + np.float32(share) * other)


class Talk:
    """Turns, one after the other."""

    def __init__(self, speakers: Speakers) -> None:
        self.speakers = speakers
        self._turns = 0

    def hear(self, voice: VoicePrint, clean_s: float) -> Identified:
        self._turns += 1
        return self.speakers.hear(self._turns, TurnPrint(voice), clean_s, like=None, apart=())

    def said_by(self, voice: VoicePrint, clean_s: float = 2.0) -> str | None:
        return self.hear(voice, clean_s).speaker


def knowing(count: int | None = None, **voices: VoicePrint) -> Talk:
    speakers = Speakers(count)
    for name, voice in voices.items():
        speakers.enroll(name, voice)
    return Talk(speakers)


@pytest.mark.parametrize("clean_s", [0.3, 0.8, 3.0])
def test_a_known_voice_has_its_name_from_the_first_turn_however_short(clean_s: float) -> None:
    talk = knowing(Ana=ANA, Cara=CARA)
    assert talk.said_by(like(CARA, DORA, 0.5), clean_s) == "Cara"
    assert talk.said_by(ANA, clean_s) == "Ana"


@pytest.mark.parametrize("clean_s", [0.3, 0.8])
def test_a_few_words_of_a_stranger_are_not_put_into_the_mouth_of_one_who_is_known_and_silent(clean_s: float) -> None:
    talk = knowing(Ana=ANA)
    assert talk.said_by(like(BEN, ANA, 0.2), clean_s) is None, "too little for a new speaker"
    found = talk.hear(BEN, 3.0)
    assert (found.speaker, dict(found.revised)) == ("speaker 1", {1: "speaker 1"})


def test_who_is_known_and_silent_does_not_count_and_takes_nobody_in() -> None:
    talk = knowing(2, Ana=ANA, Cara=CARA, Dora=DORA)
    told = [talk.said_by(voice) for voice in (BEN, ANA, like(BEN, DORA, 0.2), ANA)]
    assert told == ["speaker 1", "Ana", "speaker 1", "Ana"]
    third = like(np.eye(8, dtype=np.float32)[5], DORA, 0.25)  # most like Dora of all, and not like her
    assert talk.said_by(third) in {"speaker 1", "Ana"}, "a third of two is one of these"


def test_a_print_that_is_a_mean_asks_for_as_much_likeness_as_its_prints() -> None:
    varied = np.float32(0.5) * like(ANA, CARA, 1.0) + np.float32(0.5) * like(ANA, CARA, -1.0)
    assert np.linalg.norm(varied) == pytest.approx(2**-0.5)
    stranger = like(BEN, ANA, 0.33)  # its likeness to the direction is .31, to the prints .22
    assert knowing(Ana=varied).said_by(stranger) == "speaker 1"
    assert knowing(Ana=of_length_one(varied)).said_by(stranger) == "Ana", "which is why the direction is not kept"


def test_who_is_known_is_forgotten_by_nobody_and_stays_in_a_long_talk() -> None:
    talk = knowing(Ana=ANA)
    for _ in range(120):
        assert talk.said_by(BEN) == "speaker 1"
    assert talk.said_by(ANA) == "Ana"
