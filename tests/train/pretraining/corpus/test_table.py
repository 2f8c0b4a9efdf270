"""Tables on disk: written whole or not at all, read in pieces, and nothing mixed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotrack.train.errors import TrainError
from emotrack.train.pretraining.corpus.table import Answer, Table, only_writer
from emotrack.train.pretraining.corpus.work import Job, Worker, run_plainly, to_do


@dataclass(frozen=True, slots=True)
class Word:
    TABLE: ClassVar[str] = "words/1"

    text: str
    count: int | None
    share: float
    is_name: bool


@dataclass(frozen=True, slots=True)
class NewerWord:
    TABLE: ClassVar[str] = "words/2"

    text: str


@dataclass(frozen=True, slots=True)
class Letter:
    key: str
    size: int = 1


ROWS = [Word("Ross", None, 0.5, is_name=True), Word("bye", 2, 0.25, is_name=False)]


def fill(folder: Path, key: str = "a") -> Path:
    return Table(folder, Word, "hand").write(
        [Answer(key, ROWS), Answer(f"{key}-silent", []), Answer(f"{key}!", [], "noise")]
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    fill(tmp_path, "a")
    fill(tmp_path, "b")
    table = Table(tmp_path, Word)
    assert list(table.rows()) == ROWS * 2
    assert table.count == 4
    assert table.done == {"a", "a-silent", "a!", "b", "b-silent", "b!"}
    assert table.quarantined == {"a!": "noise", "b!": "noise"}


def test_neither_a_folder_nor_a_file_that_is_named_need_be_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    Table(folder, Word, "hand").write([Answer("a", [Word(os.fsdecode(b"\xff.wav"), 1, 1.0, is_name=True)])])
    table = Table(folder, Word, "hand")
    assert [word.text for word in table.rows()] == ["\ufffd.wav"]
    assert table.done == {"a"}


def test_the_same_work_makes_the_same_shard(tmp_path: Path) -> None:
    assert fill(tmp_path) == fill(tmp_path)
    assert len(Table(tmp_path, Word).shards()) == 1


def test_rows_of_another_making_kind_or_version_are_not_mixed(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(TrainError, match="made by hand, not machine: choose another --out"):
        Table(tmp_path, Word, "machine")
    with pytest.raises(TrainError, match="holds words/1, not words/2"):
        Table(tmp_path, NewerWord)
    pq.write_table(pa.table({"text": ["hello"]}), tmp_path / "foreign.parquet")
    with pytest.raises(TrainError, match=r"foreign\.parquet is no shard of emotrack's"):
        Table(tmp_path, Word)


def test_a_cut_off_shard_is_named(tmp_path: Path) -> None:
    shard = fill(tmp_path)
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(TrainError, match=f"{shard.name} cannot be read, remove it to make it anew"):
        Table(tmp_path, Word)


def test_a_shard_with_a_flipped_bit_is_named(tmp_path: Path) -> None:
    shard = fill(tmp_path)
    damaged = bytearray(shard.read_bytes())
    shares = pq.read_metadata(shard).row_group(0).column(2)
    damaged[(shares.dictionary_page_offset or shares.data_page_offset) + shares.total_compressed_size - 1] ^= 1
    shard.write_bytes(damaged)
    with pytest.raises(TrainError, match=f"{shard.name} cannot be read"):
        list(Table(tmp_path, Word).rows())


@contextmanager
def small_disk() -> Iterator[None]:
    """No file may become larger than 500 bytes: the system refuses the rest, as when the disk is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)  # at once, as pytest writes to files, too


def test_a_full_disk_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    table = Table(tmp_path, Word, "hand")
    with small_disk(), pytest.raises(TrainError, match=r"\.parquet cannot be written: File too large"):
        table.write([Answer("a", ROWS)])
    assert list(tmp_path.iterdir()) == []
    assert not table.done


def test_two_runs_do_not_fill_one_table(tmp_path: Path) -> None:
    with only_writer(tmp_path), pytest.raises(TrainError, match="another run is writing there"), only_writer(tmp_path):
        pass
    with only_writer(tmp_path):
        pass


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "half.partial").write_bytes(b"PAR1")
    with only_writer(tmp_path):
        assert list(tmp_path.glob("*.partial")) == []


def test_a_table_cannot_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "corpus").write_text("")
    with (
        pytest.raises(TrainError, match="corpus/turns cannot be made: Not a directory"),
        only_writer(tmp_path / "corpus/turns"),
    ):
        pass


def test_batches_are_bounded_and_hold_nothing_twice(tmp_path: Path) -> None:
    table = Table(tmp_path, Word, "hand")
    table.write([Answer("b", [])])
    letters = [Letter("a"), Letter("b"), Letter("c"), Letter("a"), Letter("d", 9), Letter("e"), Letter("f")]
    batches = [[letter.key for letter in batch] for batch in to_do(letters, table, most=2, largest=9)]
    assert batches == [["a", "c"], ["d"], ["e", "f"]]


def test_nothing_is_built_where_nothing_is_to_be_done(tmp_path: Path) -> None:
    built = []

    def build() -> object:
        built.append(1)
        return lambda batch: [Answer(letter.key, ROWS) for letter in batch]

    def run(letters: Sequence[Letter]) -> None:
        table = Table(tmp_path, Word, "hand")
        run_plainly(Job("count", (Worker(build),), table, "letters"), to_do(letters, table, 1, 1), lambda _: None)  # type: ignore[arg-type]

    run([Letter("a"), Letter("b")])
    run([Letter("b"), Letter("a")])
    assert len(built) == 1
    assert Table(tmp_path, Word).done == {"a", "b"}


MANY_ROWS = """
import sys
from pathlib import Path
from emotrack.train.pretraining.corpus.rows import TurnRow, turn_id
from emotrack.train.pretraining.corpus.table import Answer, Table

def peak_mb():
    # of this program alone: getrusage counts what the one that started it held
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

def rows(file):
    for number in range(100):
        words = f"{file} {number} " * 20
        yield TurnRow(turn_id(file, number, number + 1), file, file, number, number + 1, None, words, 0.9, "en", None)

table = Table(Path(sys.argv[1]), TurnRow, "test")
for batch in range(100):
    table.write([Answer(f"{batch}-{part}", list(rows(f"{batch}-{part}"))) for part in range(10)])
    if batch == 9:
        assert sum(1 for _ in table.rows()) == 10_000
        print(peak_mb())
assert sum(1 for _ in Table(Path(sys.argv[1]), TurnRow).rows()) == 100_000
print(peak_mb())
"""


def test_memory_is_flat_in_the_number_of_rows(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MANY_ROWS, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )
    tenth, all_of_them = map(float, ran.stdout.split())
    assert all_of_them < 1000
    assert all_of_them < tenth + 100
