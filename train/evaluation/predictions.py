"""What a network says of every turn of a corpus, as a table that other programs read: CSV or Parquet, by its ending.

corpus, split, mode, modalities   what was scored
words                             whose words were read: the corpus's, or a recogniser's
dialogue, turn, speaker           which turn, as the corpus counts or calls it
truth, predicted                  labels of the bundle
p_LABEL                           the probability of each of them
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotrack.errors import UsageError
from emotrack.models.files import whole_file
from emotrack.train.corpora import read_table
from emotrack.train.errors import TrainError
from emotrack.train.running.parquet import pyarrow, read_parquet

ENDINGS = (".csv", ".parquet")
READ = "words"
COLUMNS = ("corpus", "split", "mode", "modalities", "dialogue", "turn", "speaker", "truth", "predicted")
PROBABILITY = "p_"


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a network says of N turns."""

    labels: tuple[str, ...]
    turns: list[tuple[str, str, str]]  # N: dialogue, turn, speaker or nothing
    truth: NDArray[np.int64]  # (N,) label indices
    probabilities: NDArray[np.float32]  # (N, C)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) label indices."""
        found: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return found


def check_place(path: Path) -> None:
    """Whether a table can be written there, before hours are spent. Raises ``UsageError``."""
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise UsageError(f"{path}: {'is a folder' if path.is_dir() else 'its folder is not there'}")
    check_ending(path)


def check_ending(path: Path) -> None:
    """Whether its ending is that of a table, and what reads and writes such is installed. Raises ``UsageError``."""
    if path.suffix not in ENDINGS:
        raise UsageError(f"{path}: predictions are written as {' or '.join(ENDINGS)}")
    if path.suffix == ".parquet":
        pyarrow()


def write_predictions(found: Iterable[tuple[str, Predictions]], scored: dict[str, str], path: Path) -> None:
    """Write the predictions of each modality, one row a turn and modality.

    Args:
        found: what was heard, and the predictions from it.
        scored: the corpus, split, mode and words.
        path: of the table; one that is there is replaced.

    Raises:
        UsageError: an ending that stands for no kind of table, or a package for it that is missing.
    """
    check_ending(path)
    rows = [row for modalities, each in found for row in _rows(each, {**scored, "modalities": modalities})]
    with whole_file(path) as unfinished:
        if path.suffix == ".parquet":
            arrow = pyarrow()
            arrow.parquet.write_table(arrow.Table.from_pylist(rows), unfinished)
            return
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _rows(found: Predictions, scored: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            **{name: scored[name] for name in COLUMNS[:4]},
            READ: scored[READ],
            "dialogue": dialogue,
            "turn": turn,
            "speaker": speaker,
            "truth": found.labels[truth],
            "predicted": found.labels[predicted],
            **{f"{PROBABILITY}{label}": round(float(p), 6) for label, p in zip(found.labels, each, strict=True)},
        }
        for (dialogue, turn, speaker), truth, predicted, each in zip(
            found.turns, found.truth.tolist(), found.predicted.tolist(), found.probabilities, strict=True
        )
    ]


def read_predictions(path: Path) -> dict[str, Predictions]:
    """The predictions in a table, by what was heard, in its order.

    Raises:
        TrainError: it is missing, or is not such a table.
        UsageError: an ending that stands for no kind of table, or a package for it that is missing.
    """
    check_ending(path)
    rows = read_parquet(path).to_pylist() if path.suffix == ".parquet" else read_table(path, COLUMNS)
    if not rows:
        raise TrainError(f"{path}: no predictions in it")
    labels = tuple(name.removeprefix(PROBABILITY) for name in rows[0] if name.startswith(PROBABILITY))
    kinds: dict[str, list[dict[str, Any]]] = {}
    try:
        for row in rows:
            kinds.setdefault(row["modalities"], []).append(row)
        return {name: _predictions(labels, each) for name, each in kinds.items()}
    except (KeyError, ValueError, TypeError) as error:
        raise TrainError(f"{path}: not predictions of `emotrack evaluate`: {error}") from error


def _predictions(labels: tuple[str, ...], rows: Sequence[dict[str, Any]]) -> Predictions:
    if unknown := next((row["truth"] for row in rows if row["truth"] not in labels), None):
        raise ValueError(f"a truth is {unknown}, and there is no column {PROBABILITY}{unknown}")
    each = [[float(row[f"{PROBABILITY}{label}"]) for label in labels] for row in rows]
    for row, probabilities in zip(rows, each, strict=True):
        if not all(0.0 <= p <= 1.0 for p in probabilities):  # nor is NaN
            raise ValueError(f"turn {row['turn']} of dialogue {row['dialogue']} has a probability outside 0 to 1")
    return Predictions(
        labels,
        [(str(row["dialogue"]), str(row["turn"]), str(row["speaker"])) for row in rows],
        np.array([labels.index(row["truth"]) for row in rows]),
        np.array(each, dtype=np.float32),
    )
