"""Answers that were paid for, on disk: a question is asked once, whatever becomes of the run."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from emotrack.train.errors import TrainError
from emotrack.train.pretraining.annotating.prompt import VERSION, prompt

_BUSY_S = 30.0  # how long to wait for another process that writes


class AnswerCache:
    """Answers of one model, word for word, by the address of prompt, text and model."""

    def __init__(self, path: Path, model: str) -> None:
        """Open or make the file. Raises ``TrainError``."""
        self._path = path
        self._model = model
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)  # each answer is kept at once
        except (OSError, sqlite3.Error) as error:
            raise TrainError(f"{path} cannot be used: {error}") from error
        self._do("PRAGMA journal_mode = WAL")
        self._do("PRAGMA synchronous = NORMAL")  # outlives a killed process
        self._do("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def get(self, text: str) -> str | None:
        """The answer, if the question was ever answered. Raises ``TrainError``."""
        row = self._do("SELECT answer FROM answers WHERE key = ?", self._key(text)).fetchone()
        return None if row is None else str(row[0])

    def put(self, text: str, answer: str) -> None:
        """Keep an answer: when this returns, it is on disk. Raises ``TrainError``."""
        self._do("INSERT OR REPLACE INTO answers VALUES (?, ?)", self._key(text), answer)

    def unanswered(self, texts: Iterable[str]) -> tuple[int, int]:
        """How many different texts have no answer yet, and their characters. Raises ``TrainError``."""
        self._do("CREATE TEMP TABLE asked (key BLOB PRIMARY KEY, characters INTEGER) WITHOUT ROWID")  # on disk
        for text in texts:
            self._do("INSERT OR IGNORE INTO asked VALUES (?, ?)", self._key(text), len(text))
        count, characters = self._do(
            "SELECT count(*), coalesce(sum(characters), 0) FROM asked WHERE key NOT IN (SELECT key FROM answers)"
        ).fetchone()
        self._do("DROP TABLE asked")
        return int(count), int(characters)

    def _do(self, statement: str, *values: bytes | str | int) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise TrainError(f"{self._path} cannot be used: {error}") from error

    def _key(self, text: str) -> bytes:
        return hashlib.sha256("\0".join((VERSION, prompt(text), self._model)).encode()).digest()
