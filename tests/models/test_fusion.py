from __future__ import annotations

import pytest
import torch

from emotrack.models.context import RollingContext, TurnEmbedding
from emotrack.models.fusion import LateFusion, Opinion

PRIOR = torch.tensor([0.7, 0.2, 0.1])


def opinion(*probabilities: float, prior: torch.Tensor = PRIOR) -> Opinion:
    return Opinion(torch.tensor([probabilities]).log(), prior.log())


def test_one_opinion_alone_is_believed() -> None:
    fused = LateFusion(3)([opinion(0.5, 0.3, 0.2)], None, 1.0).exp()
    torch.testing.assert_close(fused, torch.tensor([[0.5, 0.3, 0.2]]))


def test_an_opinion_that_only_repeats_its_prior_says_nothing() -> None:
    voice = opinion(0.1, 0.8, 0.1, prior=PRIOR)
    fused = LateFusion(3)([voice, opinion(*PRIOR.tolist())], None, 1.0).exp()
    torch.testing.assert_close(fused, torch.tensor([[0.1, 0.8, 0.1]]))


def test_an_angry_voice_is_not_drowned_by_a_sentence_that_is_neutral_like_most() -> None:
    voice = opinion(0.1, 0.1, 0.8, prior=torch.full((3,), 1 / 3))
    words = opinion(0.75, 0.15, 0.10)
    assert LateFusion(3)([voice, words], None, 1.0).argmax() == 2


def test_a_prior_that_is_not_trusted_makes_rare_emotions_likelier() -> None:
    words = opinion(0.7, 0.2, 0.1)  # nothing but the prior
    fused = LateFusion(3)([words], None, 0.0).exp()
    torch.testing.assert_close(fused, torch.full((1, 3), 1 / 3))


def test_padding_in_the_past_is_not_heard() -> None:
    fusion = LateFusion(3)
    torch.nn.init.normal_(fusion.same_speaker.weight)
    torch.nn.init.normal_(fusion.other_speaker.weight)
    history, same = torch.rand(1, 4, 3), torch.rand(1, 4)
    known = torch.tensor([[True, True, False, False]])
    torch.testing.assert_close(
        fusion.past(history, same, known), fusion.past(history[:, :2], same[:, :2], known[:, :2])
    )


def test_a_context_forgets_what_is_older_than_its_length() -> None:
    context = RollingContext(2)
    for turn in range(5):
        context.append(torch.full((3,), float(turn)), "Ana")
    past = context.history("Ana")
    assert past is not None
    assert len(context) == 2
    assert past[0][:, 0].tolist() == [4.0, 3.0]  # newest first


def test_an_unknown_speaker_is_half_the_same() -> None:
    context = RollingContext(3)
    for speaker in ("Ana", "Ben", None):
        context.append(torch.zeros(3), speaker)
    past = context.history("Ana")
    assert past is not None
    assert past[1].tolist() == [0.5, 0.0, 1.0]


def test_a_context_of_no_turns_remembers_nothing() -> None:
    context = RollingContext(0)
    context.append(torch.zeros(3), None)
    assert context.history(None) is None


def test_a_negative_context_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        RollingContext(-1)


def test_a_turn_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="speech, text or both"):
        TurnEmbedding(speech=None, text=None, speaker="Ana")
