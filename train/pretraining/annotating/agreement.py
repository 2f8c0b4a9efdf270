"""Several annotators of the same sentences: how far they agree, and the label that most of them give.

Their tables are walked shard by shard, side by side, so that memory does not grow with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from emotrack.train.errors import TrainError
from emotrack.train.pretraining.annotating.annotators import SENTIMENTS
from emotrack.train.pretraining.corpus.rows import LabelRow
from emotrack.train.pretraining.corpus.table import Answer, Table, address, read_shard
from emotrack.train.pretraining.corpus.work import Job, Step, Worker

VOTE = "vote"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far annotators agree beyond chance: 1 is always, 0 what chance gives; None where there is nothing to say."""

    annotators: tuple[str, ...]
    sentences: int
    """That all have labelled; Fleiss' kappa is of these."""
    fleiss: float | None
    pairs: tuple[tuple[str, str, int, float | None], ...]
    """Two annotators, the sentences that both have labelled, and Cohen's kappa."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        pairs = [
            {"annotators": [one, other], "sentences": count, "cohen_kappa": _rounded(kappa)}
            for one, other, count, kappa in self.pairs
        ]
        everyone = {"annotators": list(self.annotators), "sentences": self.sentences}
        return {"all": everyone | {"fleiss_kappa": _rounded(self.fleiss)}, "pairs": pairs}

    def to_markdown(self) -> str:
        """As a table."""
        rows = [(f"{one}, {other}", "Cohen", count, kappa) for one, other, count, kappa in self.pairs]
        rows.append((", ".join(self.annotators), "Fleiss", self.sentences, self.fleiss))
        lines = [
            f"| {names} | {count:,} | {name}'s | {'-' if kappa is None else f'{kappa:.3f}'} |"
            for names, name, count, kappa in rows
        ]
        return "\n".join(["| annotators | sentences | kappa | |", "|---|---:|---|---:|", *lines, ""])


def agreement(tables: Mapping[str, Table[LabelRow]]) -> Agreement:
    """How far annotators, two or more, agree on what all their tables have. Raises ``TrainError``."""
    names = tuple(tables)
    pairs = {pair: np.zeros((3, 3), dtype=np.int64) for pair in combinations(range(len(names)), 2)}  # (C, C)
    ratings: Counter[tuple[int, ...]] = Counter()  # how many chose each label -> how often that was so
    for stretch in shared(tables):
        labels = np.stack([_labels(shard) for shard in stretch.shards])  # (annotators, sentences), -1 where set aside
        for (one, other), confusion in pairs.items():
            both = (labels[[one, other]] >= 0).all(axis=0)
            np.add.at(confusion, (labels[one, both], labels[other, both]), 1)
        complete = labels[:, (labels >= 0).all(axis=0)]
        ratings.update(zip(*((complete == label).sum(axis=0).tolist() for label in range(3)), strict=True))
    return Agreement(
        annotators=names,
        sentences=ratings.total(),
        fleiss=fleiss_kappa(ratings),
        pairs=tuple(
            (names[one], names[other], int(confusion.sum()), cohen_kappa(confusion))
            for (one, other), confusion in pairs.items()
        ),
    )


def cohen_kappa(confusion: NDArray[np.int64]) -> float | None:
    """Agreement of two annotators beyond chance (Cohen 1960), from (C, C) counts; None where there is no chance."""
    total = int(confusion.sum())
    if total == 0:
        return None
    observed = float(confusion.trace()) / total
    expected = float((confusion.sum(axis=0) * confusion.sum(axis=1)).sum()) / total**2
    return _beyond_chance(observed, expected)


def fleiss_kappa(ratings: Mapping[tuple[int, ...], int]) -> float | None:
    """Agreement of several annotators beyond chance (Fleiss 1971).

    Takes how many annotators chose each label -> of how many sentences that is true.
    """
    if not ratings:
        return None
    chosen = np.array(list(ratings))  # (kinds, C)
    times = np.array(list(ratings.values()))  # (kinds,)
    annotators = chosen[0].sum()
    agreeing = (chosen * (chosen - 1)).sum(axis=1) / (annotators * (annotators - 1))  # (kinds,)
    shares = (chosen * times[:, None]).sum(axis=0) / (times.sum() * annotators)  # (C,)
    return _beyond_chance(float((agreeing * times).sum() / times.sum()), float((shares**2).sum()))


@dataclass(frozen=True, slots=True)
class SharedStretch:
    """Several annotators' labels of one stretch: a shard of each."""

    key: str
    shards: tuple[Path, ...]
    size: int = 1


def shared(tables: Mapping[str, Table[LabelRow]]) -> Iterator[SharedStretch]:
    """The stretches that all annotators have done."""
    first, *others = ({shard.name: shard for shard in table.shards()} for table in tables.values())
    for name, shard in first.items():
        if all(name in other for other in others):
            yield SharedStretch(address(VOTE, name), (shard, *(other[name] for other in others)))


def vote(table: Table[LabelRow]) -> Job[LabelRow]:
    """The job that fills a table with what most annotators say; its items are shared stretches."""
    return Job(VOTE, (Worker(_step),), table, "stretches")


def majority(labels: Sequence[str | None]) -> tuple[str | None, str | None]:
    """The label that most annotators gave, or None and why there is no such label."""
    ranking = Counter(label for label in labels if label is not None).most_common(2)
    if not ranking:
        return None, "no label"
    if len(ranking) == 2 and ranking[0][1] == ranking[1][1]:
        return None, "tie"
    return ranking[0][0], None


def _step() -> Step:
    def count(stretches: Sequence[SharedStretch]) -> list[Answer[LabelRow]]:
        return [Answer(stretch.key, _votes(stretch)) for stretch in stretches]

    return count


def _votes(stretch: SharedStretch) -> list[LabelRow]:
    rows = zip(*(read_shard(shard, LabelRow) for shard in stretch.shards), strict=True)
    return [LabelRow(row[0].turn_id, row[0].text, VOTE, *majority([each.label for each in row])) for row in rows]


def _labels(shard: Path) -> NDArray[np.int64]:
    """(sentences,) indices of labels, -1 where set aside."""
    try:
        with shard.open("rb") as file:  # PyArrow takes no name that is not UTF-8
            column = pq.read_table(file, columns=["label"]).column("label").to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise TrainError(f"{shard} cannot be read, remove it to make it anew: {error}") from error
    return np.array([-1 if label is None else SENTIMENTS.index(label) for label in column], dtype=np.int64)


def _beyond_chance(observed: float, expected: float) -> float | None:
    return None if expected == 1.0 else (observed - expected) / (1.0 - expected)


def _rounded(kappa: float | None) -> float | None:
    return None if kappa is None else round(kappa, 4)
