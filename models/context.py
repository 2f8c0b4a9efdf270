"""A conversation as the network remembers it while it goes on: the last K turns, in fixed memory."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from emotrack.errors import EmotrackError
from emotrack.models.bounds import MAX_CONTEXT
from emotrack.models.conversation import TurnEmbedding

Part = Literal["speech", "text", "context"]  # the parts on which an estimate rests

SNAPSHOT_VERSION = 1
MAX_SNAPSHOT_BYTES = 1 << 20
MAX_EMBEDDING = 1e6  # of its numbers; beyond, the context network would overflow
MAX_SPEAKER_LENGTH = 100  # characters; longer names are cut in a snapshot
MAX_WORDS_LENGTH = 500  # characters of a turn's words; nothing reads more of an earlier turn


class SnapshotError(EmotrackError, ValueError):
    """A snapshot that cannot be restored; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class EmotionEstimate:
    """The network's estimate of one turn; ``probabilities`` are in the order of ``labels`` and sum to 1."""

    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    emotion: str  # the likeliest label
    confidence: float  # its probability
    uncertain: bool  # the confidence lies below the bundle's threshold
    why: dict[Part, float]  # the confidence with it, less the probability without it; empty when it was not asked


@dataclass(frozen=True, slots=True)
class Revision:
    """A new estimate of an earlier turn."""

    turns_ago: int  # 1 is the turn before the newest
    estimate: EmotionEstimate


class RollingContext:
    """The last ``turns`` turns of one conversation, oldest first, and the emotion last published for each.

    Raises:
        ValueError: it could not hold even the newest turn.
    """

    def __init__(self, turns: int, fingerprint: str) -> None:
        if turns < 1:
            raise ValueError(f"a context holds 1 or more turns, not {turns}")
        self.fingerprint = fingerprint  # of the bundle whose embeddings these are
        self._turns: deque[TurnEmbedding] = deque(maxlen=turns)
        self._published: deque[str] = deque(maxlen=turns)

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def size(self) -> int:
        """How many turns it holds when full."""
        return self._turns.maxlen or 0

    @property
    def turns(self) -> list[TurnEmbedding]:
        """The remembered turns, oldest first."""
        return list(self._turns)

    @property
    def words(self) -> list[str | None]:
        """The words of each turn, oldest first."""
        return [turn.words for turn in self._turns]

    @property
    def published(self) -> list[str]:
        """The emotion last published for each turn, oldest first."""
        return list(self._published)

    def append(self, turn: TurnEmbedding, published: str) -> None:
        """Remember a turn, and forget the oldest when full."""
        self._turns.append(turn)
        self._published.append(published)

    def republish(self, place: int, emotion: str) -> None:
        """Note that the turn at ``place``, from the oldest, was revised."""
        self._published[place] = emotion

    def attribute(self, speakers: Sequence[str | None]) -> None:
        """Note who says the newest turns, oldest first, as it is known now."""
        for turns_ago, speaker in enumerate(reversed(speakers[-len(self._turns) :]), start=1):
            self._turns[-turns_ago] = replace(self._turns[-turns_ago], speaker=speaker)

    def to_bytes(self, *, with_words: bool = True) -> bytes:
        """The state, so that another process can go on from here (``ConversationScorer.restore_context``).

        Without words, the next turns are read without the words before them.
        """
        tensors: dict[str, Tensor] = {}
        for place, turn in enumerate(self._turns):
            tensors |= {
                f"{place}.{part}": embedding.detach().cpu().clone()
                for part, embedding in (("text", turn.text), ("speech", turn.speech))
                if embedding is not None
            }
        facts = {
            "version": SNAPSHOT_VERSION,
            "fingerprint": self.fingerprint,
            "turns": self._turns.maxlen,
            "speakers": [turn.speaker and turn.speaker[:MAX_SPEAKER_LENGTH] for turn in self._turns],
            "words": [turn.words and turn.words[:MAX_WORDS_LENGTH] if with_words else None for turn in self._turns],
            "published": list(self._published),
        }
        return save(tensors, metadata={"context": json.dumps(facts)})

    @classmethod
    def from_bytes(
        cls, snapshot: bytes, fingerprint: str, widths: tuple[int, int], labels: Sequence[str], device: torch.device
    ) -> RollingContext:
        """Restore a snapshot, for a bundle with this fingerprint, these widths (text, speech) and labels.

        Raises:
            SnapshotError: it is none, is too large, is of another version or bundle, or does not fit together.
        """
        if len(snapshot) > MAX_SNAPSHOT_BYTES:
            raise SnapshotError(f"a snapshot of {len(snapshot)} bytes; at most {MAX_SNAPSHOT_BYTES} are read")
        try:
            facts = json.loads(_metadata(snapshot)["context"])
            version, bundle = facts["version"], facts["fingerprint"]
            turns, published = int(facts["turns"]), [str(emotion) for emotion in facts["published"]]
            speakers, words = ([each and str(each) for each in facts[name]] for name in ("speakers", "words"))
            tensors = load(snapshot)
        except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise SnapshotError(f"not a snapshot of a conversation: {reason}") from error
        if version != SNAPSHOT_VERSION:
            raise SnapshotError(f"a snapshot of version {version!r}; this one reads {SNAPSHOT_VERSION}")
        if bundle != fingerprint:
            raise SnapshotError(f"a snapshot of bundle {bundle!r}, not of {fingerprint!r}")
        if not 1 <= turns <= MAX_CONTEXT or set(published) - set(labels):
            raise SnapshotError("a snapshot of another length or with other labels")
        if not len(speakers) == len(words) == len(published) <= turns:
            raise SnapshotError("a snapshot whose parts do not fit together")
        context = cls(turns, fingerprint)
        for place in range(len(published)):
            text, speech = (
                _embedding(tensors.get(f"{place}.{part}"), width, device)
                for part, width in zip(("text", "speech"), widths, strict=True)
            )
            if text is None and speech is None:
                raise SnapshotError("a snapshot with a turn of which nothing was heard")
            context.append(TurnEmbedding(speech, text, speakers[place], words[place]), published[place])
        return context


def _embedding(tensor: Tensor | None, width: int, device: torch.device) -> Tensor | None:
    if tensor is None:
        return None
    if tensor.dtype != torch.float32 or tensor.shape != (width,) or not (tensor.abs() <= MAX_EMBEDDING).all():
        raise SnapshotError("a snapshot with embeddings of another shape, or that are not finite or too large")
    return tensor.to(device)


def _metadata(snapshot: bytes) -> dict[str, str]:
    """The free-form part of a safetensors header."""
    length = int.from_bytes(snapshot[:8], "little")
    header = json.loads(snapshot[8 : 8 + length])
    metadata: dict[str, str] = header["__metadata__"]
    return metadata
