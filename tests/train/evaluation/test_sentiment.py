"""CMU-MOSI's figures, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from emotrack.models.labels import EMOTIONS
from emotrack.train.corpora.mosi import DEGREES, LABELS
from emotrack.train.evaluation.sentiment import score_sentiment


def certain(*degrees: str) -> np.ndarray:
    return np.eye(7)[[DEGREES.index(each) for each in degrees]]


def test_seven_labels_by_hand() -> None:
    """Said 2, 0, -1 and .5 of true 2.4, -.2, 0 and -3."""
    probabilities = np.vstack([certain("2", "0", "-1"), (certain("0") + certain("1")) / 2])
    found = score_sentiment(probabilities, [2.4, -0.2, 0.0, -3.0], DEGREES)
    assert found is not None
    assert found.mae == pytest.approx((0.4 + 0.2 + 1.0 + 3.5) / 4)
    assert found.corr == pytest.approx(np.corrcoef([2, 0, -1, 0.5], [2.4, -0.2, 0, -3])[0, 1])
    assert found.acc_7 == 2 / 4  # 2 and 2; 0 and -0; .5 is 0, as half goes to even
    assert found.has0_acc_2 == 1 / 4  # said + + - +, true + - + -
    assert found.has0_f1 == pytest.approx((2 * (2 * 1 / (3 + 2)) + 2 * 0.0) / 4)
    assert found.non0_acc_2 == 2 / 3  # said + - +, as 0 is not positive here; true + - -
    assert found.non0_f1 == pytest.approx((1 * (2 * 1 / (2 + 1)) + 2 * (2 * 1 / (1 + 2))) / 3)


def test_the_order_of_labels_is_the_network_s() -> None:
    backwards = score_sentiment(certain("3", "-2")[:, ::-1], [3.0, -2.0], DEGREES[::-1])
    assert backwards is not None
    assert (backwards.mae, backwards.acc_7) == (0.0, 1.0)


def test_two_labels_tell_a_direction_alone() -> None:
    probabilities = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    found = score_sentiment(probabilities, [2.0, 1.0, -1.0], LABELS)
    assert found is not None
    assert (found.mae, found.acc_7) == (None, None)
    assert found.corr == pytest.approx(np.corrcoef([0.8, 0.5, 0.1], [2.0, 1.0, -1.0])[0, 1])
    assert (found.has0_acc_2, found.non0_acc_2) == (1.0, 2 / 3)  # undecided is 0


def test_figures_that_there_are_not() -> None:
    found = score_sentiment(certain("1", "1"), [0.0, 0.0], DEGREES)
    assert found is not None
    assert (found.corr, found.non0_acc_2, found.non0_f1) == (None, None, None)
    assert score_sentiment(certain("1", "1"), [None, None], DEGREES) is None
    one = score_sentiment(certain("1", "3"), [None, 3.0], DEGREES)
    assert one is not None
    assert one.mae == 0.0
    assert score_sentiment(np.eye(7), [0.0] * 7, EMOTIONS) is None
