"""Kappas against published examples, and the vote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emotrack.train.pretraining.annotating.agreement import (
    Agreement,
    agreement,
    cohen_kappa,
    fleiss_kappa,
    majority,
    shared,
    vote,
)
from emotrack.train.pretraining.corpus.rows import LabelRow
from emotrack.train.pretraining.corpus.table import Answer, Table
from emotrack.train.pretraining.corpus.work import run_plainly

Labels = list[str | None]


def table(folder: Path, annotator: str, *stretches: Labels) -> Table[LabelRow]:
    made: Table[LabelRow] = Table(folder / annotator, LabelRow, annotator)
    for number, labels in enumerate(stretches):
        rows = [
            LabelRow(f"{number}-{row}", "words", annotator, label, None if label else "refused")
            for row, label in enumerate(labels)
        ]
        made.write([Answer(f"stretch {number}", rows)])
    return made


def test_cohen_s_kappa() -> None:
    assert cohen_kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)  # observed .7, expected .5
    assert cohen_kappa(np.array([[5, 0], [0, 5]])) == 1.0
    assert cohen_kappa(np.zeros((3, 3), dtype=np.int64)) is None
    assert cohen_kappa(np.array([[5, 0], [0, 0]])) is None  # nothing to tell from chance


def test_fleiss_kappa() -> None:
    """The worked example of Fleiss (1971) as encyclopaedias give it: 14 annotators, 10 subjects, 5 categories."""
    ratings: dict[tuple[int, ...], int] = {
        (0, 0, 0, 0, 14): 1,
        (0, 2, 6, 4, 2): 1,
        (0, 0, 3, 5, 6): 1,
        (0, 3, 9, 2, 0): 1,
        (2, 2, 8, 1, 1): 1,
        (7, 7, 0, 0, 0): 1,
        (3, 2, 6, 3, 0): 1,
        (2, 5, 3, 2, 2): 1,
        (6, 5, 2, 1, 0): 1,
        (0, 2, 2, 3, 7): 1,
    }
    assert fleiss_kappa(ratings) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa({(3, 0, 0): 4, (0, 3, 0): 6}) == pytest.approx(1.0)
    assert fleiss_kappa({}) is None


def test_two_annotators_by_both_kappas(tmp_path: Path) -> None:
    """With two, and as many of each label from both, Fleiss' is Cohen's."""
    one: Labels = ["positive", "positive", "negative", "neutral"]
    other: Labels = ["positive", "negative", "positive", "neutral"]
    found = agreement({"one": table(tmp_path, "one", one), "other": table(tmp_path, "other", other)})
    (pair,) = found.pairs
    assert pair[:3] == ("one", "other", 4)
    assert pair[3] == pytest.approx((0.5 - 0.375) / (1 - 0.375))
    assert found.fleiss == pytest.approx(pair[3])


def test_what_is_set_aside_or_not_done_by_all_is_not_compared(tmp_path: Path) -> None:
    tables = {
        "a": table(tmp_path, "a", ["positive", None, "neutral"], ["negative"]),
        "b": table(tmp_path, "b", ["positive", "positive", "neutral"], ["negative"]),
        "c": table(tmp_path, "c", ["neutral", "positive", "neutral"]),  # the second stretch is still to do
    }
    found = agreement(tables)
    assert found.sentences == 2
    assert [pair[:3] for pair in found.pairs] == [("a", "b", 2), ("a", "c", 2), ("b", "c", 3)]
    assert found.to_dict()["all"]["annotators"] == ["a", "b", "c"]
    assert "| a, b, c | 2 | Fleiss's |" in found.to_markdown()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["positive", "positive", "negative"], ("positive", None)),
        (["positive", "negative"], (None, "tie")),
        (["positive", "negative", "neutral"], (None, "tie")),
        (["positive", None, None], ("positive", None)),
        ([None, None], (None, "no label")),
    ],
)
def test_majority(labels: Labels, expected: tuple[str | None, str | None]) -> None:
    assert majority(labels) == expected


def test_the_vote_is_a_table_like_others(tmp_path: Path) -> None:
    tables = {
        "a": table(tmp_path, "a", ["positive", "neutral"]),
        "b": table(tmp_path, "b", ["positive", "negative"]),
    }
    votes: Table[LabelRow] = Table(tmp_path / "vote", LabelRow, "vote")
    run_plainly(vote(votes), [[stretch] for stretch in shared(tables)], lambda _: None)
    assert list(votes.rows()) == [
        LabelRow("0-0", "words", "vote", "positive", None),
        LabelRow("0-1", "words", "vote", None, "tie"),
    ]


def test_fleiss_kappa_by_hand() -> None:
    """Three annotators, ten sentences. Of six everything agrees; of four 2 of the 3 * 2 ordered pairs do."""
    found = fleiss_kappa({(3, 0): 4, (0, 3): 2, (2, 1): 1, (1, 2): 3})
    observed = (6 * 1 + 4 * (2 / 6)) / 10
    shares = ((3 * 4 + 2 * 1 + 1 * 3) / 30, (3 * 2 + 1 * 1 + 2 * 3) / 30)
    expected = shares[0] ** 2 + shares[1] ** 2
    assert found == pytest.approx((observed - expected) / (1 - expected))


def test_cohen_s_kappa_below_chance_is_negative() -> None:
    assert cohen_kappa(np.array([[0, 5], [5, 0]])) == pytest.approx(-1.0)  # observed 0, expected .5


def test_a_kappa_is_written_with_four_digits_and_none_as_a_dash() -> None:
    made = Agreement(("a", "b"), 1_234, 1 / 3, (("a", "b", 2_345, None),))
    assert made.to_dict() == {
        "all": {"annotators": ["a", "b"], "sentences": 1_234, "fleiss_kappa": 0.3333},
        "pairs": [{"annotators": ["a", "b"], "sentences": 2_345, "cohen_kappa": None}],
    }
    assert made.to_markdown().splitlines()[2:] == [
        "| a, b | 2,345 | Cohen's | - |",
        "| a, b | 1,234 | Fleiss's | 0.333 |",
    ]
