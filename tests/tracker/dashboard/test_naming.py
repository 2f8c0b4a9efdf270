"""Naming a speaker with the keyboard: whom, which name, and how to leave it."""

from __future__ import annotations

import pytest

from emotrack.tracker.dashboard.naming import MAX_CHOICES, Naming, NewName, Speaker
from emotrack.tracker.dashboard.state import MAX_SPEAKERS, DashboardState
from emotrack.tracker.session.controls import MAX_NAME
from tests.tracker.dashboard.made_up import turn

ANA, BEN = Speaker("Ana", "Ana"), Speaker("Ben", "Ben")


def after(asked: Naming | NewName | None, *keys: str) -> Naming | NewName | None:
    for key in keys:
        assert isinstance(asked, Naming)
        asked = asked.press(key)
    return asked


def asked(*speakers: str) -> Naming | None:
    state = DashboardState()
    for number, speaker in enumerate(speakers, 1):
        state.apply(turn(number, speaker=speaker or None))
    state.ask_for_name()
    return state.naming


def test_a_number_chooses_a_speaker_and_enter_the_latest() -> None:
    question = Naming((ANA, BEN), BEN)
    assert after(question, "1", "C", "l", "e", "o", "space", "2", "enter") == NewName("Ana", "Cleo 2")
    assert after(question, "enter", "C", "enter") == NewName("Ben", "C")
    assert after(question, "0", "3", "x", "left", "²") == question


def test_a_name_can_be_mended_and_left() -> None:
    question = Naming((ANA,), ANA, chosen=ANA)
    assert after(question, "backspace", "A", "b", "backspace", "space", "left", "enter") == NewName("Ana", "A")
    assert after(question, "A", "escape") is None
    assert after(Naming((ANA,), ANA), "escape") is None
    assert after(question, "space", "enter") is None, "no name is none"
    assert after(question, *"x" * (MAX_NAME + 1), "enter") == NewName("Ana", "x" * MAX_NAME)


@pytest.mark.parametrize(("name", "makes_one"), [("Ben", True), (" Ben ", True), ("Be", False), ("Ana", False)])
def test_the_name_of_somebody_else_makes_the_two_one(name: str, makes_one: bool) -> None:
    asked = after(Naming((ANA, BEN), BEN, chosen=ANA), *("space" if key == " " else key for key in name))
    assert isinstance(asked, Naming)
    assert asked.makes_one == makes_one


def test_those_who_spoke_last_can_be_named_in_the_order_of_their_rows() -> None:
    question = asked("speaker 1", "speaker 2", "", "speaker 1")
    assert question is not None
    assert [speaker.named for speaker in question.speakers] == ["speaker 1", "speaker 2"]
    assert (question.latest.named, question.chosen) == ("speaker 1", None)
    many = asked(*(f"speaker {number}" for number in range(1, MAX_SPEAKERS + 6)))
    assert many is not None
    assert len(many.speakers) == MAX_CHOICES
    assert many.latest.named == f"speaker {MAX_SPEAKERS + 5}"


def test_one_alone_is_chosen_as_one_of_several_is_and_nobody_cannot_be() -> None:
    question = asked("speaker 1", "speaker 1")
    assert after(question, "1", "A", "n", "a", "enter") == NewName("speaker 1", "Ana")
    assert after(question, "enter", "A", "enter") == NewName("speaker 1", "A")
    assert asked("", "") is None


def test_a_name_that_cannot_be_shown_is_asked_for_as_it_is() -> None:
    name = "A\x1b[2J" + "n" * 60
    question = asked(name)
    assert question is not None
    assert question.latest.shown != name
    assert after(question, "enter", "B", "enter") == NewName(name, "B")
