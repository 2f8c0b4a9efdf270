"""What was heard so far: sums that can be added in any order, moved, merged, and do not grow without bound."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from hypothesis import given
from hypothesis import strategies as st

from emotrack.models.baseline import MAX_SPEAKERS, Baseline, VoiceSums

NOTHING = VoiceSums.nothing(3, 2, torch.device("cpu"))
TURNS = st.lists(st.tuples(st.sampled_from(["Ana", "Ben", "Cyd", None]), st.integers(-9, 9)), max_size=12)


def heard(value: float) -> VoiceSums:
    voice, believed = torch.tensor([value, 2.0 * value, 1.0]), torch.tensor([0.25, 0.75])
    return VoiceSums(torch.ones(()), believed[:, None] * voice, voice.square(), believed)


def same(one: Baseline, other: Baseline) -> bool:
    """Of whole numbers, sums are exact."""
    return equal(one.room, other.room) and {name: values(each) for name, each in one.speakers.items()} == {
        name: values(each) for name, each in other.speakers.items()
    }


def equal(one: VoiceSums, other: VoiceSums) -> bool:
    return values(one) == values(other)


def values(sums: VoiceSums) -> list[object]:
    return [tensor.tolist() for tensor in sums.tensors().values()]


def baseline(turns: Sequence[tuple[str | None, int]]) -> Baseline:
    return Baseline.of(NOTHING, [(speaker, heard(value)) for speaker, value in turns])


def test_the_room_hears_everybody_and_each_speaker_themselves() -> None:
    found = baseline([("Ana", 1), ("Ben", 2), (None, 4), ("Ana", 8)])
    total = [[3.75, 7.5, 1.0], [11.25, 22.5, 3.0]]
    assert values(found.room) == [4.0, total, [85.0, 340.0, 4.0], [1.0, 3.0]]
    assert {name: float(each.turns) for name, each in found.speakers.items()} == {"Ben": 1.0, "Ana": 2.0}
    assert found.speaker("Ana").total.sum(dim=0).tolist() == [9.0, 18.0, 2.0]  # type: ignore[union-attr]
    assert found.speaker(None) is found.speaker("Eve") is None


@given(TURNS, st.randoms(use_true_random=False))
def test_the_order_of_turns_does_not_matter(turns: list[tuple[str | None, int]], chance: object) -> None:
    shuffled = list(turns)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert same(baseline(turns), baseline(shuffled))


@given(TURNS)
def test_two_who_are_one_are_as_if_they_had_always_been(turns: list[tuple[str | None, int]]) -> None:
    found = baseline(turns).merged("Ana", "Ben")
    assert same(found, baseline([("Ben" if speaker == "Ana" else speaker, value) for speaker, value in turns]))
    one, other = found.merged("Cyd", "Ben"), baseline(turns).merged("Cyd", "Ana").merged("Ana", "Ben")
    assert same(one, other)
    assert same(found.merged("Ben", "Ben"), found)


@given(TURNS, st.data())
def test_a_turn_that_is_anothers_is_as_if_it_had_always_been(
    turns: list[tuple[str | None, int]], data: st.DataObject
) -> None:
    turns = [*turns, ("Ana", 3)]
    place = data.draw(st.integers(0, len(turns) - 1))
    to = data.draw(st.sampled_from(["Ana", "Ben", None]))
    speaker, value = turns[place]
    moved = baseline(turns).moved(heard(value), speaker, to)
    assert same(moved, baseline([*turns[:place], (to, value), *turns[place + 1 :]]))


def test_of_many_speakers_those_heard_last_are_kept_and_those_that_are_needed() -> None:
    said = [(f"speaker {number}", 1) for number in range(MAX_SPEAKERS)] + [("speaker 0", 1), ("Eve", 1)]
    found = baseline(said).bounded({None, "Eve"})
    assert len(found.speakers) == MAX_SPEAKERS
    assert found.speaker("speaker 1") is None
    assert {"speaker 0", "Eve"} <= set(found.speakers)
    assert float(found.room.turns) == MAX_SPEAKERS + 2
    everybody = baseline(said).bounded([speaker for speaker, _ in said])
    assert len(everybody.speakers) == MAX_SPEAKERS + 1
    assert same(found.bounded({"Ana"}), found)
