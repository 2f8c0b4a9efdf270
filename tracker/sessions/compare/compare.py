"""How far two runs over the same conversation agree: two bundles, two recognisers, two microphones.

Turns are matched by time. Pairs that overlap by at least half of the shorter turn are taken one after the other, the
longest overlap first, those of the same speaker before all others; a turn is in one pair at most. Where a turn overlaps
more than ``MAX_NEAR`` others, as none does when people talk, those are considered that begin nearest to it.

What the runs estimated is compared; corrections are what is true.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from emotrack.models.labels import canonical
from emotrack.tracker.events import Correction, Turn
from emotrack.tracker.sessions.reading.reader import Session, SessionError

MIN_OVERLAP = 0.5  # of the shorter of two turns
MAX_SHOWN = 10  # turns that disagree most

MAX_NEAR = 128  # turns that one turn is held against
_MAX_RIVALS = 8  # pairs that one turn is considered for; in a real conversation there are two or three
_MIN_SECONDS = 0.001  # a turn of no length still matches itself


class Stretch(NamedTuple):
    """A stretch of stream time that has an emotion."""

    start_s: float
    end_s: float
    speaker: str | None
    emotion: str


@dataclass(frozen=True, slots=True)
class Pair:
    """The same stretch of speech in both runs."""

    a: Turn
    b: Turn
    difference: float
    """Half the sum of the differences of their probabilities: 0 when they are the same, 1 when nothing is shared."""


@dataclass(frozen=True, slots=True)
class Score:
    """One run against the truth."""

    weighted_f1: float
    """Per emotion, weighted by how often it is true; a turn that the run has not found counts as wrong."""
    missed: int
    """True turns that the run has not found."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far run ``a`` and run ``b`` agree, on the emotions that both know."""

    a: Session
    b: Session
    labels: tuple[str, ...]
    """The emotions that both know; all numbers are about these."""
    only_labels_a: tuple[str, ...]
    only_labels_b: tuple[str, ...]
    pairs: int
    uncommon: int
    """Pairs left out because one run gave an emotion that the other does not know."""
    only_a: tuple[int, ...]
    """Ids of the turns that have no counterpart."""
    only_b: tuple[int, ...]
    agreement: float | None
    """Share of the pairs with the same emotion; None without any pair."""
    kappa: float | None
    """Cohen's kappa: agreement beyond chance; None where chance alone would agree always."""
    confusion: dict[str, dict[str, int]]
    """Pairs by the emotion in ``a``, then in ``b``."""
    mean_difference: float | None
    """Mean absolute difference of the probabilities over pairs and emotions."""
    disagreements: tuple[Pair, ...]
    """Pairs with different emotions, the most different ones first; at most ``MAX_SHOWN``."""
    truth: Literal["file", "corrections"] | None
    truth_turns: int
    score_a: Score | None
    score_b: Score | None

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON can carry them; no words and no names."""
        return {
            "a": self.a.name,
            "b": self.b.name,
            "labels": list(self.labels),
            "only_labels": {"a": list(self.only_labels_a), "b": list(self.only_labels_b)},
            "pairs": self.pairs,
            "pairs_with_uncommon_labels": self.uncommon,
            "only_turns": {"a": list(self.only_a), "b": list(self.only_b)},
            "agreement": self.agreement,
            "kappa": self.kappa,
            "confusion": self.confusion,
            "mean_difference": self.mean_difference,
            "disagreements": [
                {
                    "a": {"turn_id": pair.a.turn_id, "emotion": pair.a.emotion, "confidence": pair.a.confidence},
                    "b": {"turn_id": pair.b.turn_id, "emotion": pair.b.emotion, "confidence": pair.b.confidence},
                    "start_s": pair.a.start_s,
                    "difference": pair.difference,
                }
                for pair in self.disagreements
            ],
            "truth": {"from": self.truth, "turns": self.truth_turns},
            "scores": {
                name: {"weighted_f1": score.weighted_f1, "missed": score.missed} if score else None
                for name, score in (("a", self.score_a), ("b", self.score_b))
            },
        }


class _TruthTurn(BaseModel):
    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)
    emotion: str
    speaker: str | None = None


class _TruthFile(BaseModel):
    turns: list[_TruthTurn]


def read_truth(path: Path) -> list[Stretch]:
    """What a JSON file says is true: ``{"turns": [{"start", "end", "emotion"}]}``, times in seconds.

    A ``speaker``, where one is given, helps to match turns that overlap. Raises ``SessionError``.
    """
    try:
        turns = _TruthFile.model_validate_json(path.read_bytes()).turns
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SessionError(f"{path}: not the truth about a conversation: {where or 'JSON'}: {first['msg']}") from error
    if any(turn.end <= turn.start for turn in turns):
        raise SessionError(f"{path}: not the truth about a conversation: a turn ends before it starts")
    return [Stretch(turn.start, turn.end, turn.speaker, turn.emotion) for turn in turns]


def compare(a: Session, b: Session, truth: Sequence[Stretch] | None = None) -> Comparison:
    """Compare two runs; both are also measured against ``truth``, or else against the corrections in either."""
    labels = tuple(dict.fromkeys(label for label in a.labels if label in b.labels))
    said_a, said_b = [_estimate(turn) for turn in a.turns], [_estimate(turn) for turn in b.turns]
    matched = _match(said_a, said_b)
    found = [_pair(a.turns[i], b.turns[j], labels) for i, j in matched]
    pairs = [pair for pair in found if pair.a.emotion in labels and pair.b.emotion in labels]
    cells = Counter((pair.a.emotion, pair.b.emotion) for pair in pairs)
    differing = sorted((pair for pair in pairs if pair.a.emotion != pair.b.emotion), key=lambda p: -p.difference)
    known = list(truth) if truth is not None else _corrected(a, b)
    true = [turn for turn in (_renamed(turn, labels) for turn in known) if turn.emotion in labels]
    paired_a, paired_b = {i for i, _ in matched}, {j for _, j in matched}
    return Comparison(
        a=a,
        b=b,
        labels=labels,
        only_labels_a=tuple(label for label in a.labels if label not in labels),
        only_labels_b=tuple(label for label in b.labels if label not in labels),
        pairs=len(pairs),
        uncommon=len(found) - len(pairs),
        only_a=tuple(turn.turn_id for i, turn in enumerate(a.turns) if i not in paired_a),
        only_b=tuple(turn.turn_id for j, turn in enumerate(b.turns) if j not in paired_b),
        agreement=sum(cells[x, x] for x in labels) / len(pairs) if pairs else None,
        kappa=_kappa(cells, labels),
        confusion={x: {y: cells[x, y] for y in labels} for x in labels},
        mean_difference=2 * sum(p.difference for p in pairs) / (len(labels) * len(pairs)) if pairs else None,
        disagreements=tuple(differing[:MAX_SHOWN]),
        truth=None if not true else "corrections" if truth is None else "file",
        truth_turns=len(true),
        score_a=_score(true, said_a),
        score_b=_score(true, said_b),
    )


def _estimate(turn: Turn) -> Stretch:
    return Stretch(turn.start_s, turn.end_s, turn.speaker, turn.emotion)


def _match(a: Sequence[Stretch], b: Sequence[Stretch]) -> list[tuple[int, int]]:
    """Pairs of positions in ``a`` and ``b``, in the order of ``a``."""
    order = sorted(range(len(b)), key=lambda j: (b[j].start_s, b[j].end_s))
    begins = [(b[j].start_s, b[j].end_s) for j in order]
    ends = [_end_s(b[j]) for j in order]
    latest = list(accumulate(ends, max))  # the latest end so far: non-decreasing
    alike = Counter[tuple[float, float]]()
    rivals: list[tuple[bool, float, int, int]] = []
    for i, one in enumerate(a):
        start_s, end_s, speaker = one.start_s, _end_s(one), one.speaker
        nearest = bisect_left(begins, one[:2]) + alike[one[:2]]  # of several that are alike, the first to the first
        alike[one[:2]] += 1
        first = max(bisect_left(latest, start_s), nearest - MAX_NEAR // 2)
        last = min(bisect_left(begins, (end_s,)), nearest + MAX_NEAR // 2)
        near = []
        for place in range(first, last):
            overlap = min(end_s, ends[place]) - max(start_s, begins[place][0])
            if overlap >= MIN_OVERLAP * min(end_s - start_s, ends[place] - begins[place][0]):
                j = order[place]
                near.append((speaker is not None and speaker == b[j].speaker, overlap, -i, -j))
        rivals += heapq.nlargest(_MAX_RIVALS, near)
    found: dict[int, int] = {}
    taken: set[int] = set()
    for *_, i, j in sorted(rivals, reverse=True):
        if -i not in found and -j not in taken:
            found[-i] = -j
            taken.add(-j)
    return sorted(found.items())


def _end_s(stretch: Stretch) -> float:
    return max(stretch.end_s, stretch.start_s + _MIN_SECONDS)


def _pair(a: Turn, b: Turn, labels: Sequence[str]) -> Pair:
    p, q = _shares(a.probabilities, labels), _shares(b.probabilities, labels)
    return Pair(a, b, sum(abs(x - y) for x, y in zip(p, q, strict=True)) / 2)


def _shares(probabilities: Mapping[str, float], labels: Sequence[str]) -> list[float]:
    """The probabilities of ``labels``, summing to 1 where they are only some of the run's labels."""
    known = [probabilities.get(label, 0.0) for label in labels]
    total = sum(known)
    return [x / total for x in known] if total else known


def _kappa(cells: Counter[tuple[str, str]], labels: Sequence[str]) -> float | None:
    total = cells.total()
    if not total:
        return None
    observed = sum(cells[x, x] for x in labels) / total
    of_a, of_b = Counter[str](), Counter[str]()
    for (x, y), count in cells.items():
        of_a[x] += count
        of_b[y] += count
    chance = sum(of_a[x] * of_b[x] for x in labels) / total**2
    return (observed - chance) / (1 - chance) if chance < 1 else None


def _corrected(a: Session, b: Session) -> list[Stretch]:
    """What people said in either session; where both speak of the same turn, the later word."""
    of_a, of_b = _corrections(a), _corrections(b)
    pairs = dict(_match([turn for turn, _ in of_a], [turn for turn, _ in of_b]))
    said = []
    for i, one in enumerate(of_a):
        other = of_b[pairs[i]] if i in pairs else one
        said.append(max(one, other, key=lambda word: word[1].time)[0])
    paired = set(pairs.values())
    return said + [turn for j, (turn, _) in enumerate(of_b) if j not in paired]


def _corrections(session: Session) -> list[tuple[Stretch, Correction]]:
    found = ((turn, session.corrections.get(turn.turn_id)) for turn in session.turns)
    return [
        (_estimate(turn)._replace(emotion=correction.emotion), correction) for turn, correction in found if correction
    ]


def _renamed(turn: Stretch, labels: Sequence[str]) -> Stretch:
    """A truth that says "happy" means the runs' "joy"."""
    if turn.emotion in labels:
        return turn
    return turn._replace(emotion=canonical(turn.emotion) or turn.emotion)


def _score(truth: Sequence[Stretch], said: Sequence[Stretch]) -> Score | None:
    if not truth:
        return None
    matched = dict(_match(truth, said))
    pairs = [(turn.emotion, said[matched[i]].emotion if i in matched else None) for i, turn in enumerate(truth)]
    is_true = Counter(x for x, _ in pairs)
    is_said = Counter(y for _, y in pairs)
    is_right = Counter(x for x, y in pairs if x == y)
    f1 = sum(count * 2 * is_right[x] / (count + is_said[x]) for x, count in is_true.items()) / len(pairs)
    return Score(f1, len(truth) - len(matched))
