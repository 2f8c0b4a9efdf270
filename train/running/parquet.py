"""Parquet files, where the package that reads and writes them is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emotrack.errors import UsageError
from emotrack.models.extras import missing_extra
from emotrack.train.errors import TrainError


def pyarrow() -> Any:
    """The package, with its Parquet part. Raises ``UsageError`` that names the extra where it is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(missing_extra(error) or f"pyarrow cannot be imported: {error}") from error
    return pa


def read_parquet(path: Path) -> Any:
    """The table in a file. Raises ``TrainError`` where it cannot be read, ``UsageError`` where nothing can read it."""
    arrow = pyarrow()
    try:
        return arrow.parquet.read_table(path)
    except (OSError, arrow.ArrowInvalid) as error:
        raise TrainError(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from error
