"""Groups of voice prints are linked: who is how alike, and what is known of each, by made similarities."""

from __future__ import annotations

import numpy as np
import pytest

from emotrack.tracker.speakers.linkage import Evidence, linked

Pairs = list[tuple[int, int]]


def groups(
    alike: dict[tuple[int, int], float],
    weights: list[float],
    *,
    overlap: Pairs | None = None,
    others: Pairs | None = None,
    silent: tuple[int, ...] = (),
) -> Evidence:
    """One for each of the ``weights``; their similarity is 0 where ``alike`` does not tell another."""
    gram = np.eye(len(weights))
    for (one, other), similarity in alike.items():
        gram[one, other] = gram[other, one] = similarity

    def matrix(pairs: Pairs | None) -> np.ndarray:
        found = np.zeros(gram.shape, dtype=bool)
        for one, other in pairs or []:
            found[one, other] = found[other, one] = True
        return found

    seconds = np.array(weights, dtype=np.float32)
    return Evidence(
        sums=(np.linalg.cholesky(gram) * seconds[:, None]).astype(np.float32),
        weights=seconds,
        heard=np.array([place not in silent for place in range(len(weights))]),
        overlap=matrix(overlap),
        others=matrix(others),
    )


@pytest.mark.parametrize(
    ("alike", "weights", "together"),
    [
        (0.26, [2.0, 2.0], True),
        (0.24, [2.0, 2.0], False),
        (0.21, [2.0, 15.0], False),
        (0.21, [2.0, 16.0], True),
        (0.21, [16.0, 2.0], True),
        (0.19, [2.0, 16.0], False),
        (0.24, [16.0, 16.0], False),
        (0.26, [16.0, 16.0], True),
    ],
)
def test_who_has_said_little_is_sooner_taken_for_a_known_voice(
    alike: float, weights: list[float], together: bool
) -> None:
    assert linked(groups({(0, 1): alike}, weights), 32, 2.0) == ([[0, 1]] if together else [[0], [1]])


@pytest.mark.parametrize(
    ("alike", "known_s", "together"),
    [(0.35, 15.0, False), (0.37, 15.0, True), (0.29, 16.0, False), (0.31, 16.0, True)],
)
def test_who_overlap_are_one_only_if_they_are_more_alike(alike: float, known_s: float, together: bool) -> None:
    evidence = groups({(0, 1): alike}, [2.0, known_s], overlap=[(0, 1)])
    assert (len(linked(evidence, 32, 2.0)) == 1) is together


def test_an_overlap_counts_for_all_that_is_linked() -> None:
    """The third overlaps the first alone, and is as like the second as those are who are one."""
    alike = {(0, 1): 0.8, (0, 2): 0.2, (1, 2): 0.3}
    assert linked(groups(alike, [4.0, 4.0, 4.0]), 32, 2.0) == [[0, 1, 2]]
    assert linked(groups(alike, [4.0, 4.0, 4.0], overlap=[(0, 2)]), 32, 2.0) == [[0, 1], [2]]
    assert linked(groups(alike, [4.0, 4.0, 4.0], others=[(0, 2)]), 32, 2.0) == [[0, 1], [2]]


def test_those_who_are_surely_two_stay_two_for_want_of_room_too() -> None:
    evidence = groups({(0, 1): 0.9}, [20.0, 4.0], others=[(0, 1)])
    assert linked(evidence, 1, 2.0) == [[0], [1]]


def test_the_most_alike_are_one_where_there_are_too_many_who_said_enough() -> None:
    alike = {(0, 1): 0.1, (1, 2): 0.15, (0, 2): 0.05}
    assert linked(groups(alike, [4.0, 4.0, 4.0]), 2, 2.0) == [[0], [1, 2]]
    assert linked(groups(alike, [4.0, 1.0, 4.0]), 2, 2.0) == [[0], [1], [2]]


def test_who_was_not_heard_takes_in_only_who_is_alike() -> None:
    """A voice that is known, whose person may not be here."""
    assert linked(groups({(0, 1): 0.24}, [20.0, 4.0], silent=(0,)), 1, 2.0) == [[0], [1]]
    assert linked(groups({(0, 1): 0.26}, [20.0, 4.0], silent=(0,)), 1, 2.0) == [[0, 1]]
    alike = {(0, 1): 0.3, (0, 2): 0.2, (1, 2): 0.22}
    assert linked(groups(alike, [12.0, 4.0, 4.0], silent=(0,)), 32, 2.0) == [[0, 1, 2]], "heard since, and known"


def test_groups_are_compared_by_the_mean_of_all_their_prints() -> None:
    """The third is like the second, and less so, by its weight, to both."""
    alike = {(0, 1): 0.5, (1, 2): 0.4}
    assert linked(groups(alike, [4.0, 4.0, 4.0]), 32, 2.0) == [[0, 1], [2]]
    assert linked(groups(alike, [1.0, 4.0, 4.0]), 32, 2.0) == [[0, 1, 2]]


def test_one_group_is_one_person() -> None:
    assert linked(groups({}, [0.5]), 1, 2.0) == [[0]]
