"""What is made of a session: a report, an export."""

from __future__ import annotations

from pathlib import Path

from emotrack.errors import EmotrackError
from emotrack.models.files import write_files
from emotrack.tracker.sessions.reading.event_parser import HEAD_BYTES, begins_session


def write_document(text: str, path: Path) -> None:
    """Write a document that only its owner can read, whole or not at all.

    Raises:
        EmotrackError: it cannot be written, or a saved session is there, be it the one that the document is made of.
    """
    try:
        if path.is_file() and _holds_session(path):
            raise EmotrackError(f"{path}: is a saved session; give the document another name")
        write_files({path: text}, private=True)
    except OSError as error:
        raise EmotrackError(f"cannot write {path}: {error.strerror}") from error


def _holds_session(path: Path) -> bool:
    with path.open("rb") as file:
        return begins_session(file.read(HEAD_BYTES))
