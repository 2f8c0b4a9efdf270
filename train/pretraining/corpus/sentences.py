"""What is annotated: the words of turns, in stretches of a thousand rows, whatever they come from.

A stretch is the unit of work, the same for all annotators, so that the shards of their tables answer to each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from emotrack.train.corpora import READERS, read_text_corpus
from emotrack.train.errors import TrainError
from emotrack.train.pretraining.corpus.rows import TurnRow
from emotrack.train.pretraining.corpus.table import Table, address

ROWS = 1000  # of a stretch: what a progress bar moves by


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of one turn."""

    turn_id: str
    text: str


class RowBlock(Protocol):
    """A few hundred rows."""

    @property
    def key(self) -> str:
        """Content address: what it is made of."""

    @property
    def size(self) -> int:
        """How many rows it has, those without words included."""

    def read(self) -> list[Sentence]:
        """The rows that have words. Raises ``TrainError``."""


@dataclass(frozen=True, slots=True)
class ShardStretch:
    """Rows of one shard of turns, which stay on disk until they are read."""

    shard: Path
    start: int
    size: int
    key: str

    def read(self) -> list[Sentence]:
        """The rows that have words. Raises ``TrainError``."""
        found: list[Sentence] = []
        passed = 0
        try:
            with self.shard.open("rb") as file:
                for batch in pq.ParquetFile(file).iter_batches(ROWS, columns=["turn_id", "text"]):
                    first, last = max(self.start - passed, 0), min(self.start + self.size - passed, batch.num_rows)
                    passed += batch.num_rows
                    if first < last:
                        columns = (column.to_pylist() for column in batch.slice(first, last - first).columns)
                        found += [Sentence(*row) for row in zip(*columns, strict=True) if row[1] and row[1].strip()]
                    if passed >= self.start + self.size:
                        break
        except (OSError, pa.ArrowException) as error:
            raise TrainError(f"{self.shard} cannot be read, remove it to make it anew: {error}") from error
        return found


@dataclass(frozen=True, slots=True)
class PlainStretch:
    """Sentences that are in memory."""

    sentences: tuple[Sentence, ...]
    key: str

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.sentences)

    def read(self) -> list[Sentence]:
        """The sentences."""
        return list(self.sentences)


def read_stretches(corpora: Sequence[str]) -> Iterator[RowBlock]:
    """The stretches of corpora: folders with ``turns``, or ``NAME=DIR`` for a text corpus's training sentences.

    Raises:
        TrainError: there is nothing, or it cannot be read.
    """
    for corpus in corpora:
        name, _, folder = corpus.partition("=")
        if folder and name in READERS:
            yield from _of_a_text_corpus(name, Path(folder))
        elif folder and not Path(corpus).is_dir():
            raise TrainError(f"no text corpus {name!r}: there are {', '.join(READERS)}")
        else:
            yield from _of_turns(Path(corpus))


def _of_turns(corpus: Path) -> Iterator[ShardStretch]:
    shards = Table(corpus / "turns", TurnRow).shards()
    if not shards:
        raise TrainError(f"{corpus / 'turns'}: no turns there; `emotrack train transcribe --out {corpus}` makes them")
    for shard in shards:
        with shard.open("rb") as file:
            footer = pq.read_metadata(file)
        made = hashlib.sha256(footer.metadata[b"emotrack"]).hexdigest()  # from what, and how
        for start in range(0, footer.num_rows, ROWS):
            size = min(ROWS, footer.num_rows - start)
            yield ShardStretch(shard, start, size, address(shard.name, made, str(start), str(size)))


def _of_a_text_corpus(name: str, folder: Path) -> Iterator[PlainStretch]:
    sentences = [
        Sentence(address(name, utterance.dialogue, str(number), utterance.text), utterance.text)
        for number, utterance in enumerate(read_text_corpus(name, folder, "train").labelled)
    ]
    for start in range(0, len(sentences), ROWS):
        stretch = tuple(sentences[start : start + ROWS])
        yield PlainStretch(stretch, address(*(sentence.turn_id for sentence in stretch)))
