"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from emotrack.train.learning.losses import UNLABELLED, Loss, LossOptions, distributions, supervised_contrastive

EQUAL = torch.ones(2)
# Probabilities 3/4 and 1/4 of two labels.
SCORES = torch.tensor([[math.log(3.0), 0.0]])


def test_the_default_is_cross_entropy() -> None:
    scores = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 2, 1, 1, 0])
    loss = Loss(LossOptions(), torch.tensor([7.0, 2.0, 1.0]))
    assert float(loss(scores, labels)) == pytest.approx(float(nn.functional.cross_entropy(scores, labels)))
    smoothed = Loss(LossOptions(smoothing=0.1), torch.ones(3))
    expected = nn.functional.cross_entropy(scores, labels, label_smoothing=0.1)
    assert float(smoothed(scores, labels)) == pytest.approx(float(expected))


def test_focal_loss() -> None:
    loss = Loss(LossOptions(focal=2.0), EQUAL)
    assert float(loss(SCORES, torch.tensor([0]))) == pytest.approx(0.25**2 * math.log(4 / 3))
    assert float(loss(SCORES, torch.tensor([1]))) == pytest.approx(0.75**2 * math.log(4))


def test_focal_loss_of_a_certain_turn_has_a_finite_gradient() -> None:
    scores = torch.tensor([[100.0, 0.0]], requires_grad=True)
    Loss(LossOptions(focal=0.5), EQUAL)(scores, torch.tensor([0])).backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_rare_labels_weigh_more_when_balanced() -> None:
    scores, labels = SCORES.repeat(2, 1), torch.tensor([0, 1])
    loss = Loss(LossOptions(balance=1.0), torch.tensor([30.0, 10.0]))  # weights 4/3 and 4
    expected = (4 / 3 * math.log(4 / 3) + 4 * math.log(4)) / (4 / 3 + 4)
    assert float(loss(scores, labels)) == pytest.approx(expected)
    half = Loss(LossOptions(balance=0.5), torch.tensor([30.0, 10.0]))
    one, other = math.sqrt(4 / 3), 2.0
    assert float(half(scores, labels)) == pytest.approx((one * math.log(4 / 3) + other * math.log(4)) / (one + other))


def test_logit_adjustment_adds_the_log_frequencies() -> None:
    loss = Loss(LossOptions(adjustment=1.0), torch.tensor([10.0, 30.0]))
    assert float(loss(SCORES, torch.tensor([1]))) == pytest.approx(math.log(2))  # 3/4 * 1/4 against 1/4 * 3/4


def test_soft_targets() -> None:
    targets = torch.tensor([[0.5, 0.5]])
    assert float(Loss(LossOptions(), EQUAL)(SCORES, targets)) == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_padded_and_unlabelled_turns_have_no_part() -> None:
    loss = Loss(LossOptions(focal=1.0, smoothing=0.1, contrastive=1.0), EQUAL)
    scores = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))  # (B, T, C)
    embeddings = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))  # (B, T, E)
    labels = torch.tensor([[0, 1, UNLABELLED], [1, UNLABELLED, UNLABELLED]])  # (B, T)
    alone = loss(scores[labels >= 0], labels[labels >= 0], embeddings[labels >= 0])
    assert float(loss(scores, labels, embeddings)) == pytest.approx(float(alone))
    scores[labels < 0] = 1e6
    embeddings[labels < 0] = 1e6
    assert float(loss(scores, labels, embeddings)) == pytest.approx(float(alone))
    assert float(loss(scores, distributions(labels, 2), embeddings)) == pytest.approx(float(alone))


def test_no_labelled_turn_is_no_loss_and_no_gradient() -> None:
    scores = torch.randn(2, 2, requires_grad=True)
    loss = Loss(LossOptions(), EQUAL)(scores, torch.full((2,), UNLABELLED))
    loss.backward()
    assert loss.item() == 0.0
    assert scores.grad is not None
    assert not scores.grad.any()


def test_supervised_contrastive() -> None:
    # Two turns in one direction, one at a right angle: similarities 1 and 0.
    embeddings = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    same = float(supervised_contrastive(embeddings, torch.tensor([0, 0, 1]), 1.0))
    assert same == pytest.approx(math.log(1 + math.exp(-1.0)))  # the third has no other of its label
    sharp = float(supervised_contrastive(embeddings, torch.tensor([0, 0, 1]), 0.5))
    assert sharp == pytest.approx(math.log(1 + math.exp(-2.0)))
    apart = float(supervised_contrastive(embeddings, torch.tensor([0, 1, 0]), 1.0))
    assert apart == pytest.approx((math.log(1 + math.e) + math.log(2)) / 2)
    assert float(supervised_contrastive(embeddings, torch.tensor([0, 1, 2]), 1.0)) == 0.0


def test_the_contrastive_term_is_added_with_its_weight() -> None:
    embeddings, labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1])
    scores = SCORES.repeat(3, 1)
    plain = float(Loss(LossOptions(), EQUAL)(scores, labels))
    both = float(Loss(LossOptions(contrastive=2.0), EQUAL)(scores, labels, embeddings))
    assert both == pytest.approx(plain + 2 * math.log(1 + math.exp(-1.0)))
    taught = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])  # a teacher has its opinion of the labels
    plain = float(Loss(LossOptions(), EQUAL)(scores, taught))
    both = float(Loss(LossOptions(contrastive=2.0), EQUAL)(scores, taught, embeddings))
    assert both == pytest.approx(plain + 2 * math.log(1 + math.exp(-1.0)))
    torn = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])  # nobody shares the second one's label any more
    assert float(Loss(LossOptions(contrastive=2.0), EQUAL)(scores, torn, embeddings)) == pytest.approx(
        float(Loss(LossOptions(), EQUAL)(scores, torn))
    )
    with pytest.raises(ValueError, match="needs embeddings"):
        Loss(LossOptions(contrastive=2.0), EQUAL)(scores, labels)


@pytest.mark.parametrize("options", [{"focal": -1.0}, {"temperature": 0.0}, {"smoothing": 1.0}, {"balance": -0.1}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"(?s){next(iter(options))}.*Input should be"):
        LossOptions(**options)
