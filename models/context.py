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
from emotrack.models.baseline import MAX_SPEAKERS, Baseline, VoiceSums
from emotrack.models.bounds import MAX_CONTEXT
from emotrack.models.conversation import TurnEmbedding

Part = Literal["speech", "text", "context"]  # the parts on which an estimate rests

SNAPSHOT_VERSION = 2
MAX_SNAPSHOT_BYTES = 1 << 20
MAX_EMBEDDING = 1e6  # of its numbers; beyond, the context network would overflow
MAX_HEARD = 2.0**24  # turns of a baseline; beyond, a sum of that precision stands still
MAX_SUM = MAX_HEARD * MAX_EMBEDDING**2  # of a baseline's
ROUNDED = 1e-4  # of the room's sums, by which those of a speaker may be less than nothing
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
    valence: float | None = None  # how pleasant it sounds, -1 to 1; None where the labels do not tell
    arousal: float | None = None  # how aroused, -1 to 1; None where the labels do not tell


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

    def __init__(self, turns: int, fingerprint: str, baseline: Baseline | None = None) -> None:
        if turns < 1:
            raise ValueError(f"a context holds 1 or more turns, not {turns}")
        self.fingerprint = fingerprint  # of the bundle whose embeddings these are
        self._turns: deque[TurnEmbedding] = deque(maxlen=turns)
        self._published: deque[str] = deque(maxlen=turns)
        self._heard: deque[VoiceSums | None] = deque(maxlen=turns)
        self.baseline = baseline
        """Of the whole conversation, also of turns that it no longer holds; None where voices are not measured so."""

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

    def append(self, turn: TurnEmbedding, published: str, heard: VoiceSums | None = None) -> None:
        """Remember a turn, and forget the oldest when full; what was ``heard`` in it becomes part of the baseline."""
        self._turns.append(turn)
        self._published.append(published)
        self._heard.append(heard)
        if self.baseline is not None and heard is not None:
            self.baseline = self.baseline.with_turn(turn.speaker, heard)
        self._bound()

    def republish(self, place: int, emotion: str) -> None:
        """Note that the turn at ``place``, from the oldest, was revised."""
        self._published[place] = emotion

    def attribute(self, speakers: Sequence[str | None]) -> None:
        """Note who says the newest turns, oldest first, as it is known now."""
        for turns_ago, speaker in enumerate(reversed(speakers[-len(self._turns) :]), start=1):
            turn, heard = self._turns[-turns_ago], self._heard[-turns_ago]
            if speaker == turn.speaker:
                continue
            self._turns[-turns_ago] = replace(turn, speaker=speaker)
            if self.baseline is not None and heard is not None:
                self.baseline = self.baseline.moved(heard, turn.speaker, speaker)
        self._bound()

    def merge(self, speaker: str, into: str) -> None:
        """Note that a speaker is another one, or is called so from now on, in turns of any age."""
        for place, turn in enumerate(self._turns):
            if turn.speaker == speaker:
                self._turns[place] = replace(turn, speaker=into)
        if self.baseline is not None:
            self.baseline = self.baseline.merged(speaker, into)
        self._bound()

    def _bound(self) -> None:
        if self.baseline is not None:
            self.baseline = self.baseline.bounded({turn.speaker for turn in self._turns})

    def copy(self) -> RollingContext:
        """The same as it is now, whatever becomes of this one."""
        found = RollingContext(self.size, self.fingerprint, self.baseline)
        found._turns, found._published = self._turns.copy(), self._published.copy()
        found._heard = self._heard.copy()
        return found

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
        names: list[str] | None = None
        if self.baseline is not None:
            kept = self.baseline.bounded(())  # of the others the turns that are remembered tell what they were like
            names = [name[:MAX_SPEAKER_LENGTH] for name in kept.speakers]
            sums = VoiceSums.stacked([kept.room, *kept.speakers.values()])
            tensors |= {f"heard.{name}": tensor.cpu().clone() for name, tensor in sums.tensors().items()}
        facts = {
            "version": SNAPSHOT_VERSION,
            "fingerprint": self.fingerprint,
            "turns": self._turns.maxlen,
            "speakers": [turn.speaker and turn.speaker[:MAX_SPEAKER_LENGTH] for turn in self._turns],
            "words": [turn.words and turn.words[:MAX_WORDS_LENGTH] if with_words else None for turn in self._turns],
            "published": list(self._published),
        } | ({} if names is None else {"heard": names})
        return save(tensors, metadata={"context": json.dumps(facts)})

    def note(self, heard: Sequence[VoiceSums | None]) -> None:
        """Remember what was heard in each turn, oldest first, as part of the baseline that there is.

        Whoever has none begins with these turns.
        """
        self._heard = deque(heard, maxlen=self.size)
        if self.baseline is None:
            return
        known = set(self.baseline.speakers)
        for turn, sums in zip(self._turns, heard, strict=True):
            if sums is not None and turn.speaker not in known:
                self.baseline = self.baseline.moved(sums, None, turn.speaker)

    @classmethod
    def from_bytes(
        cls,
        snapshot: bytes,
        fingerprint: str,
        widths: tuple[int, int],
        labels: Sequence[str],
        device: torch.device,
        no_baseline: Baseline | None = None,
    ) -> RollingContext:
        """Restore a snapshot, for a bundle with this fingerprint, these widths (text, speech) and labels.

        ``no_baseline`` is that of a new conversation. What was heard in each turn is to be noted again.

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
            names = [str(name) for name in facts["heard"]] if no_baseline is not None else []
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
        baseline = None if no_baseline is None else _baseline(tensors, names, no_baseline.room, device)
        context = cls(turns, fingerprint)
        for place in range(len(published)):
            text, speech = (
                _embedding(tensors.get(f"{place}.{part}"), width, device)
                for part, width in zip(("text", "speech"), widths, strict=True)
            )
            if text is None and speech is None:
                raise SnapshotError("a snapshot with a turn of which nothing was heard")
            context.append(TurnEmbedding(speech, text, speakers[place], words[place]), published[place])
        context.baseline = baseline
        return context


def _embedding(tensor: Tensor | None, width: int, device: torch.device) -> Tensor | None:
    if tensor is None:
        return None
    if tensor.dtype != torch.float32 or tensor.shape != (width,) or not (tensor.abs() <= MAX_EMBEDDING).all():
        raise SnapshotError("a snapshot with embeddings of another shape, or that are not finite or too large")
    return tensor.to(device)


def _baseline(tensors: dict[str, Tensor], names: list[str], nothing: VoiceSums, device: torch.device) -> Baseline:
    rows = 1 + len(names)  # the first is the room's
    found = {}
    for name, none in nothing.tensors().items():
        tensor = tensors.get(f"heard.{name}")
        is_one = tensor is not None and tensor.dtype == torch.float32 and tensor.shape == (rows, *none.shape)
        if tensor is None or not is_one or not (tensor.abs() <= MAX_SUM).all():
            raise SnapshotError("a snapshot with a baseline of another shape, or that is not finite or too large")
        found[name] = tensor.to(device)
    sums = VoiceSums(**found)
    if len(names) > MAX_SPEAKERS or len(set(names)) < len(names) or not _can_be(sums):
        raise SnapshotError("a snapshot with a baseline that cannot be")
    room, *speakers = sums.rows()
    return Baseline(room, dict(zip(names, speakers, strict=True)))


def _can_be(sums: VoiceSums) -> bool:
    """Whether some turns have these sums, a row of which is the room's, but for rounding.

    What was believed of the labels sums to the turns, and no label's total of a number is larger than what was believed
    and the squares allow (Cauchy-Schwarz). Of millions of turns, rounding makes one up to twice the other.
    """
    turns, total, squares, believed = (each.double() for each in (sums.turns, sums.total, sums.squares, sums.believed))
    least = -ROUNDED * turns[0]
    are_some = (turns >= 0.0).all() & (turns <= MAX_HEARD).all() & (believed >= least).all()
    sounded, rounding = believed.sum(dim=1), 1e-3 * (1.0 + turns[0])  # (S,), ()
    agree = ((sounded >= turns / 2.0 - rounding) & (sounded <= 2.0 * turns + rounding)).all()
    slack = ROUNDED * squares[0].clamp(min=0.0)  # (V,)
    most = (believed - least).unsqueeze(-1) * (squares.clamp(min=0.0) + slack).unsqueeze(-2)  # (S, C, V)
    return bool(are_some & agree & (squares >= -slack).all() & (total.square() <= 4.0 * most + 1e-6).all())


def _metadata(snapshot: bytes) -> dict[str, str]:
    """The free-form part of a safetensors header."""
    length = int.from_bytes(snapshot[:8], "little")
    header = json.loads(snapshot[8 : 8 + length])
    metadata: dict[str, str] = header["__metadata__"]
    return metadata
