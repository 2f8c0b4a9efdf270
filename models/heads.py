"""Stage I: one classifier a modality, utterance by utterance (system of the paper, Sec. III-B).

The input of a head's classifier is the embedding that Stage II reads.

Notation: B batch, L layers of the speech encoder, F features a layer, S features of its summary, H hidden, E embedding,
C labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emotrack.models.care import SpeechFeatures


class TextHead(nn.Module):
    """A fully connected layer on the text encoder's embedding."""

    def __init__(self, width: int, labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.embedding = width
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(width, labels)

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, E) -> (B, C) scores."""
        scores: Tensor = self.classify(self.dropout(embedding))  # (B, C)
        return scores


class SpeechHead(nn.Module):
    """A learned mix of the encoder's layers, and two fully connected layers to the embedding."""

    def __init__(
        self,
        layers: int,
        features: int,
        summary: int,
        labels: int,
        *,
        hidden: int,
        embedding: int,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.embedding = self.voice = embedding
        first_guess = torch.zeros(layers)  # (L,)
        first_guess[-1] = 2.0  # the last layer counts most, until the head knows better
        self.layer_weights = nn.Parameter(first_guess)  # (L,) before the softmax
        self.reduce = nn.Linear(features + summary, hidden)
        self.project = nn.Linear(hidden, embedding)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(embedding, labels)

    def embed(self, features: SpeechFeatures) -> Tensor:
        """(B, L, F) and (B, S) -> (B, E)."""
        shares = self.layer_weights.softmax(dim=0)  # (L,)
        mixed = (features.layers * shares[:, None]).sum(dim=1)  # (B, F)
        if features.summary is not None:
            mixed = torch.cat([mixed, features.summary], dim=1)  # (B, F + S)
        reduced = nn.functional.gelu(self.reduce(mixed))  # (B, H) without a bend, two linear layers would be one
        embedding: Tensor = self.project(self.dropout(reduced))  # (B, E)
        return embedding

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, E) -> (B, C) scores."""
        scores: Tensor = self.classify(self.dropout(embedding))  # (B, C)
        return scores
