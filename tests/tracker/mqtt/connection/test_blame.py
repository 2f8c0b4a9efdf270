"""Which message or subscription is given up after losses of the connection."""

from __future__ import annotations

import pytest

from emotrack.tracker.mqtt.connection.blame import Blame, Cause


def hang_up(blame: Blame, *causes: Cause) -> list[Cause]:
    """The connection breaks while ``causes`` await an answer; what is given up."""
    for cause in causes:
        with pytest.raises(ConnectionError), blame.on(cause):
            raise ConnectionError
    return blame.lost()


def test_at_the_second_loss_running_it_is_given_up() -> None:
    blame = Blame()
    assert not hang_up(blame, 7)
    assert hang_up(blame, 7) == [7]
    assert not hang_up(blame, 7), "it is counted anew"


def test_an_answer_clears_it() -> None:
    blame = Blame()
    assert not hang_up(blame, "emotrack/#")
    with blame.on("emotrack/#"):
        pass
    assert not hang_up(blame, "emotrack/#")


def test_each_of_several_is_counted_by_itself() -> None:
    blame = Blame()
    assert not hang_up(blame, 1, "a/+")
    assert hang_up(blame, 2, "a/+") == ["a/+"]
    assert hang_up(blame, 2) == [2]


def test_a_loss_while_nothing_awaits_an_answer_is_nobodys_fault() -> None:
    blame = Blame()
    assert not hang_up(blame, 7)
    assert not blame.lost()
    assert hang_up(blame, 7) == [7]
