"""`emotrack` with a fusion of one's own in stage III: a gate weighs words against voice, in the place of co-attention.

python examples/own_fusion.py train table --recipe paper/meld --seed 0 1 2 --data meld=MELD --out gated
python examples/own_fusion.py evaluate --bundle gated/paper-meld/staged/seed-0/bundle --corpus meld --data MELD

A bundle that is made so is read by this program; `emotrack` itself says that its weights do not fit.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

from emotrack.command_line import main
from emotrack.models import network
from emotrack.models.co_attention import CoAttention
from emotrack.models.context_network import ContextConfig


class GatedFusion(CoAttention):
    """The classifier on both modalities, without the blocks before it. K turns of D numbers each."""

    def __init__(self, width: int, labels: int, config: ContextConfig) -> None:
        super().__init__(width, labels, config)
        self.blocks = nn.ModuleList()
        self.gate = nn.Linear(2 * width, width)

    def forward(self, text: Tensor, speech: Tensor, text_missing: Tensor, speech_missing: Tensor) -> Tensor:
        """(B, K, D), (B, K, D), (B, K), (B, K) True where a turn lacks the modality -> (B, K, D)."""
        gate = self.gate(torch.cat([text, speech], dim=-1)).sigmoid()  # (B, K, D)
        gate = gate.masked_fill(text_missing.unsqueeze(-1), 0.0).masked_fill(speech_missing.unsqueeze(-1), 1.0)
        return super().forward(gate * text, (1.0 - gate) * speech, text_missing, speech_missing)


network.CoAttention = GatedFusion  # here and not below, so that the processes of --jobs have it, too

if __name__ == "__main__":
    sys.exit(main())
