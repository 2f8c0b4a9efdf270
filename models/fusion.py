"""Late fusion: what voice, words and earlier turns say of one turn, put together.

If voice, words and past depended on nothing but the emotion, Bayes' rule would read

    log p(emotion | voice, words, past) = prior + voice evidence + words evidence + past + constant,

where a modality's evidence is the log probability its classifier gives minus the log prior it was trained with. So a
sentence that a sitcom-trained classifier calls neutral only because most sentences are, does not drown an angry voice.
The prior is the mean of the log priors of the modalities that are there, trusted in part, since a live conversation has
other proportions than a corpus. Learned is only how the emotions of earlier turns shift the next one.

Notation: B batch, C labels, K earlier turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one modality's classifier says, and what it would say of an unseen turn."""

    log_probabilities: Tensor  # (B, C)
    log_prior: Tensor  # (C,)

    def silenced(self) -> Opinion:
        """The opinion of the same classifier on a turn that it has not met."""
        return Opinion(self.log_prior.expand_as(self.log_probabilities), self.log_prior)


class LateFusion(nn.Module):
    """Opinions of the modalities and estimates of earlier turns -> log probabilities."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.same_speaker = nn.Linear(labels, labels, bias=False)
        self.other_speaker = nn.Linear(labels, labels, bias=False)
        self.log_memory = nn.Parameter(torch.zeros(()))  # log of the number of turns after which 1/e is left of a turn
        nn.init.zeros_(self.same_speaker.weight)
        nn.init.zeros_(self.other_speaker.weight)

    def past(self, history: Tensor, same: Tensor, known: Tensor) -> Tensor:
        """How earlier turns shift the next one.

        Args:
            history: (B, K, C) estimates of earlier turns, newest first.
            same: (B, K) 1 where the speaker is the same, 0 where not, .5 where unknown.
            known: (B, K) True where there was a turn.

        Returns:
            (B, C) additions to the log probabilities.
        """
        age = torch.arange(history.shape[1], device=history.device)  # (K,)
        weight = torch.exp(-age / self.log_memory.exp()) * known  # (B, K)
        own = (weight * same).unsqueeze(1) @ history  # (B, 1, C)
        others = (weight * (1.0 - same)).unsqueeze(1) @ history  # (B, 1, C)
        shift: Tensor = self.same_speaker(own) + self.other_speaker(others)  # (B, 1, C)
        return shift.squeeze(1)

    def forward(self, opinions: Sequence[Opinion], past: Tensor | None, prior_trust: float) -> Tensor:
        """Put together what is known of a turn.

        Args:
            opinions: one or more, (B, C) each.
            past: (B, C) shift, if there were earlier turns.
            prior_trust: 1 believes the corpora's proportions of emotions, 0 that all are as likely.

        Returns:
            (B, C) log probabilities.
        """
        prior = torch.stack([opinion.log_prior for opinion in opinions]).mean(dim=0)  # (C,)
        logits = prior_trust * prior + sum(
            opinion.log_probabilities - opinion.log_prior for opinion in opinions
        )  # (B, C)
        if past is not None:
            logits = logits + past  # (B, C)
        return logits.log_softmax(dim=-1)  # (B, C)
