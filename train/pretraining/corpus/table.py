"""A table on disk: a folder of Parquet shards that are written whole or not at all.

A shard holds the rows of one batch of items and is named by their keys, so the same work makes the same file. Its
footer says which items it answers, those without rows and those set aside included: the footers together are what
has been done, and nothing else has to be kept in step with them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, cast, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from emotrack.models.files import whole_file
from emotrack.tracker.messages.plain import unicode
from emotrack.train.errors import TrainError

_ROWS_AT_ONCE = 4096  # that are in memory while a table is read
_TYPES: dict[Any, pa.DataType] = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}


Row = TypeVar("Row")  # a dataclass of plain values that names its TABLE


@dataclass(frozen=True, slots=True)
class Answer(Generic[Row]):
    """The outcome of one item."""

    key: str
    """Content address of the item: what it is made of."""
    rows: list[Row]
    quarantined: str | None = None
    """Why the item cannot be used; then it has no rows."""


class Table(Generic[Row]):
    """The shards of one kind of row in one folder."""

    def __init__(self, folder: Path, row: type[Row], made_by: str | None = None) -> None:
        """Open ``folder``, which need not exist.

        Args:
            folder: where the shards are.
            row: the dataclass of the rows.
            made_by: how they are made; tables with rows made in another way are refused. None only to read.

        Raises:
            TrainError: it holds shards of another kind, version or making, or one that cannot be read.
        """
        self.folder = folder
        self.row = row
        self._name: str = vars(row)["TABLE"]
        self.made_by = made_by
        self.schema = _schema(row)
        self.quarantined: dict[str, str] = {}
        self.done: set[str] = set()
        self.count = 0
        for shard in self.shards():
            self._add(_footer(shard))

    def shards(self) -> list[Path]:
        """The shards' files, in the order of their names."""
        return sorted(self.folder.glob("*.parquet"))

    def write(self, answers: Sequence[Answer[Row]]) -> Path:
        """Keep the outcome of a batch: when this returns, it is on disk.

        Raises:
            TrainError: it cannot be written, as when the disk is full; the table is then as it was.
        """
        path = self.folder / f"{address(*(answer.key for answer in answers))}.parquet"
        rows = [row for answer in answers for row in answer.rows]
        footer = {
            "table": self._name,
            "made_by": self.made_by or "",
            "keys": [answer.key for answer in answers],
            "quarantined": {answer.key: answer.quarantined for answer in answers if answer.quarantined},
            "rows": len(rows),
        }
        columns = [pa.array([_value(row, field.name) for row in rows], field.type) for field in self.schema]
        table = pa.Table.from_arrays(columns, schema=self.schema.with_metadata({"emotrack": json.dumps(footer)}))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as unfinished, unfinished.open("wb") as file:  # a kill leaves all of it or nothing
                pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        except OSError as error:
            raise TrainError(f"{path} cannot be written: {error.strerror or error}") from error
        self._add(footer)
        return path

    def rows(self) -> Iterator[Row]:
        """All rows, shard by shard, with few of them in memory at a time. Raises ``TrainError``."""
        for shard in self.shards():
            yield from read_shard(shard, self.row)

    def _add(self, footer: dict[str, Any]) -> None:
        if footer["table"] != self._name:
            raise TrainError(f"{self.folder}: holds {footer['table']}, not {self._name}")
        if self.made_by is not None and footer["made_by"] != self.made_by:
            raise TrainError(
                f"{self.folder}: its rows were made by {footer['made_by']}, not {self.made_by}: choose another --out"
            )
        self.done |= set(footer["keys"])
        self.quarantined |= footer["quarantined"]
        self.count += footer["rows"]


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep other runs from filling the table in ``folder`` meanwhile, and clear away what a killed one left half done.

    Raises:
        TrainError: another run is at it, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise TrainError(f"{folder} cannot be made: {error.strerror}") from error
    with lock:  # the system lets go of it however the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainError(f"{folder}: another run is writing there") from error
        for partial in folder.glob("*.partial"):
            partial.unlink()
        yield


def read_shard(shard: Path, row: type[Row]) -> Iterator[Row]:
    """The rows of one shard. Raises ``TrainError`` where it cannot be read."""
    names = [field.name for field in fields(cast("Any", row))]
    try:
        with shard.open("rb") as file:  # PyArrow takes no name that is not UTF-8
            for batch in pq.ParquetFile(file, page_checksum_verification=True).iter_batches(
                _ROWS_AT_ONCE, columns=names
            ):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    yield row(*values)
    except (OSError, pa.ArrowException) as error:
        raise TrainError(f"{shard} cannot be read, remove it to make it anew: {error}") from error


def address(*parts: str) -> str:
    """A content address of several strings."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _footer(shard: Path) -> dict[str, Any]:
    try:
        with shard.open("rb") as file:
            found: dict[str, Any] = json.loads((pq.read_schema(file).metadata or {})[b"emotrack"])
    except (OSError, pa.ArrowException) as error:
        raise TrainError(f"{shard} cannot be read, remove it to make it anew: {error}") from error
    except (KeyError, ValueError) as error:
        raise TrainError(f"{shard} is no shard of emotrack's") from error
    return found


def _value(row: object, name: str) -> Any:
    value = getattr(row, name)
    return unicode(value) if isinstance(value, str) else value  # a file's name need not be


def _schema(row: type[Any]) -> pa.Schema:
    """A dataclass's fields as columns; those that may be None are nullable."""
    hints = get_type_hints(row)
    columns = []
    for field in fields(row):
        kinds = get_args(hints[field.name]) if get_origin(hints[field.name]) is UnionType else (hints[field.name],)
        (kind,) = (kind for kind in kinds if kind is not NoneType)
        columns.append(pa.field(field.name, _TYPES[kind], nullable=NoneType in kinds))
    return pa.schema(columns)
