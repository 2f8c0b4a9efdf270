"""Stage III: voice and words of a conversation attend to each other (Fig. 2 of the paper, right).

Notation: B batch, K turns, D width of each modality, C labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emotrack.models.attention import TurnAttention
from emotrack.models.context_network import ContextConfig, classifier
from emotrack.models.conversation import where_heard


class CoAttentionBlock(nn.Module):
    """A cross-attention sub-block, both directions from the same inputs, then a self-attention sub-block."""

    def __init__(self, width: int, config: ContextConfig) -> None:
        super().__init__()
        shape = (width, config.heads, config.head_width)
        self.text_to_speech = TurnAttention(*shape)
        self.speech_to_text = TurnAttention(*shape)
        self.text_to_text = TurnAttention(*shape)
        self.speech_to_speech = TurnAttention(*shape)

    def forward(
        self, text: Tensor, speech: Tensor, text_missing: Tensor, speech_missing: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, K, D), (B, K, D), (B, K), (B, K) True where a turn lacks the modality -> (B, K, D), (B, K, D)."""
        heard = self.text_to_speech(text, speech, speech_missing)  # (B, K, D)
        read = self.speech_to_text(speech, text, text_missing)  # (B, K, D)
        return self.text_to_text(heard, heard, text_missing), self.speech_to_speech(read, read, speech_missing)


class CoAttention(nn.Module):
    """Co-attention blocks and the classifier of every turn."""

    def __init__(self, width: int, labels: int, config: ContextConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([CoAttentionBlock(width, config) for _ in range(config.blocks)])
        self.norm = nn.LayerNorm(2 * width)
        self.reduce = nn.Linear(2 * width, width)
        self.classify = classifier(width, labels, config)
        self.residual = config.residual  # a turn with one modality keeps the scores of Stage II

    def forward(self, text: Tensor, speech: Tensor, text_missing: Tensor, speech_missing: Tensor) -> Tensor:
        """Contextual turns of both modalities, as the blocks take them -> (B, K, D), the input of ``classify``."""
        for block in self.blocks:
            text, speech = block(text, speech, text_missing, speech_missing)  # (B, K, D), (B, K, D)
        joined = self.norm(torch.cat([text, speech], dim=-1))  # (B, K, 2 D)
        return torch.relu(self.reduce(joined))  # (B, K, D)

    def scores(self, states: Tensor, evidence: Tensor, alone: Tensor) -> Tensor:
        """The scores of both modalities together -> (B, K, C).

        Args:
            states: (B, K, D) of the turns, as ``forward`` gives them.
            evidence: (B, K, C) log probabilities of the modalities, added up. With ``residual`` the scores add to them.
            alone: (B, K) True where Stage II has said all there is to say, as there is one modality: of the turn with
                ``residual``, and of its whole conversation without.
        """
        scores: Tensor = self.classify(states)  # (B, K, C)
        if self.residual:
            return evidence + where_heard(scores, alone)
        return torch.where(alone.unsqueeze(-1), evidence, scores)  # (B, K, C)


class NoFusion(nn.Module):
    """In the place of Stage III, where a network has none: the evidence of both modalities is added up."""

    residual = True

    def forward(self, text: Tensor, *_: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, 0): there is no state."""
        return text[..., :0]

    def scores(self, _: Tensor, evidence: Tensor, alone: Tensor) -> Tensor:  # noqa: ARG002
        """(B, K, C) -> (B, K, C)."""
        return evidence
