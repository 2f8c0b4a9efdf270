from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from emotrack.train.evaluation.calibration import fit_temperature, uncertain_threshold
from emotrack.train.evaluation.metrics import calibration_error_by_chance, expected_calibration_error, score

LABELS = ("a", "b", "c")


def test_scores_of_a_known_confusion() -> None:
    truth = np.array([0, 0, 0, 1, 1, 0])
    predicted = np.array([0, 0, 1, 1, 0, 0])
    scores = score(np.eye(3)[predicted], truth, LABELS)
    assert scores.confusion == ((3, 1, 0), (1, 1, 0), (0, 0, 0))
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.uar == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert scores.f1 == pytest.approx((0.75, 0.5, 0.0))
    assert scores.weighted_f1 == pytest.approx((0.75 * 4 + 0.5 * 2) / 6)
    assert scores.macro_f1 == pytest.approx(0.625)  # "c" is never true and has no part in it


def test_one_answer_to_everything_is_collapse_unless_it_is_always_right() -> None:
    answers = np.eye(3)[[1, 1, 1]]
    assert score(answers, np.array([1, 0, 1]), LABELS).collapsed == "every dev item is called b"
    assert score(answers, np.array([1, 1, 1]), LABELS).collapsed is None
    assert score(np.eye(3)[[1, 1, 2]], np.array([1, 0, 1]), LABELS).collapsed is None


def test_nothing_cannot_be_scored() -> None:
    with pytest.raises(ValueError, match="nothing to score"):
        score(np.zeros((0, 3)), np.zeros(0, int), LABELS)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probabilities = np.tile([0.9, 0.1], (10, 1))
    assert expected_calibration_error(probabilities, np.array([0] * 9 + [1])) == pytest.approx(0.0)
    assert expected_calibration_error(probabilities, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.4)


def test_right_probabilities_have_the_calibration_error_of_chance() -> None:
    noise = np.random.default_rng(0)
    probabilities = noise.dirichlet(np.ones(3), size=200)  # (N, C)
    wholes = probabilities.cumsum(axis=1)  # (N, C)
    errors = [
        expected_calibration_error(probabilities, (noise.random((200, 1)) > wholes).sum(axis=1)) for _ in range(300)
    ]
    assert np.mean(errors) > 0.05
    assert calibration_error_by_chance(probabilities) == pytest.approx(np.mean(errors), rel=0.05)


def test_the_calibration_error_of_chance_vanishes_with_many_items() -> None:
    probabilities = np.tile([0.6, 0.4], (100, 1))
    assert calibration_error_by_chance(np.tile(probabilities, (100, 1))) == pytest.approx(
        calibration_error_by_chance(probabilities) / 10
    )


def test_an_overconfident_classifier_is_cooled_down() -> None:
    noise = torch.Generator().manual_seed(0)
    honest = torch.randn(4000, 3, generator=noise).softmax(dim=1)
    truth = torch.multinomial(honest, 1, generator=noise).squeeze(1)
    assert fit_temperature(honest, truth) == pytest.approx(1.0, abs=0.15)
    assert fit_temperature((honest.log() * 3).softmax(dim=1), truth) == pytest.approx(3.0, abs=0.4)


def test_the_threshold_is_the_lowest_that_is_right_often_enough() -> None:
    confidence = torch.linspace(0.95, 0.55, 100)
    probabilities = torch.stack([confidence, 1 - confidence - 0.01, torch.full((100,), 0.01)], dim=1)
    truth = (torch.arange(100) >= 60).long()  # the 60 most confident are right
    threshold = uncertain_threshold(probabilities, truth, wanted=0.75)
    assert threshold == pytest.approx(float(confidence[79]), abs=0.02)


def test_a_share_out_of_reach_leaves_at_least_a_tenth_certain() -> None:
    probabilities = torch.rand(100, 3, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    threshold = uncertain_threshold(probabilities, probabilities.argmin(dim=1), wanted=0.9)
    assert (probabilities.max(dim=1).values >= threshold).sum() >= 10


def test_confidences_within_a_bin_make_up_for_each_other_and_across_its_edge_they_do_not() -> None:
    """By hand: bins are a fifteenth wide, and .6 and 14/15 are the lower edges of two. An item that is wrong has its
    confidence for a gap, one that is right what its confidence lacks of 1.
    """

    def error(wrong: float, right: float) -> float:
        return expected_calibration_error(np.array([[wrong, 1 - wrong], [right, 1 - right]]), np.array([1, 0]))

    assert error(0.60, 0.65) == pytest.approx((0.60 - (1 - 0.65)) / 2)
    assert error(0.65, 0.60) == pytest.approx((0.65 - (1 - 0.60)) / 2)
    assert error(0.59, 0.60) == pytest.approx((0.59 + (1 - 0.60)) / 2)
    assert error(14 / 15, 1.0) == pytest.approx((14 / 15 - 0.0) / 2)
    assert error(1.0, 0.95) == pytest.approx((1.0 - (1 - 0.95)) / 2), "certainty is in the last bin"
    assert error(0.93, 0.94) == pytest.approx((0.93 + (1 - 0.94)) / 2)


def test_the_calibration_error_of_chance_by_hand() -> None:
    """The mean distance of a normal distribution from its mean is its standard deviation times sqrt(2 / pi)."""
    one_bin = np.tile([0.6, 0.4], (100, 1))
    deviation = math.sqrt(100 * 0.6 * 0.4)
    assert calibration_error_by_chance(one_bin) == pytest.approx(deviation * math.sqrt(2 / math.pi) / 100)


@pytest.mark.parametrize(
    ("right", "wanted", "certain"),
    [
        ("11" + 18 * "0", 0.9, 2),
        ("11" + 18 * "0", 0.5, 4),  # two of four
        ("10" + 18 * "0", 0.9, 2),  # one of two is the best share that leaves a tenth of twenty
        ("011" + 17 * "0", 0.9, 3),
        (20 * "1", 0.9, 20),
        (9 * "1" + "0" + 10 * "1", 0.9, 20),
        ("1" + 8 * "0", 0.9, 1),  # of fewer than ten a tenth is none: one may do
    ],
)
def test_the_threshold_by_hand(right: str, wanted: float, certain: int) -> None:
    """The confidence of the last that is certain, of predictions in the order of their confidence."""
    confidence = torch.linspace(0.99, 0.51, len(right))
    probabilities = torch.stack([1 - confidence, confidence], dim=1)
    truth = torch.tensor([int(each) for each in right])
    shuffled = torch.randperm(len(right), generator=torch.Generator().manual_seed(0))
    threshold = uncertain_threshold(probabilities[shuffled], truth[shuffled], wanted)
    assert threshold == pytest.approx(float(confidence[certain - 1]))
