"""Files that are there whole or not at all: a full disk, an error or a kill leaves the file that was there before."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


def write_files(files: Mapping[Path, str | bytes], *, private: bool = False) -> None:
    """Write files that belong together, text in UTF-8; where one cannot be written, all are as they were.

    Args:
        files: the content of each. Their folders exist.
        private: see ``whole_file``.

    Raises:
        OSError: one cannot be written.
    """
    with ExitStack() as unfinished:
        for path, content in files.items():
            written = unfinished.enter_context(whole_file(path, private=private))
            written.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_file(path: Path, *, private: bool = False, new: bool = False) -> Iterator[Path]:
    """A file to write, which takes the place of ``path`` when the block ends, and is gone where the block fails.

    Links are followed; a file that cannot be replaced, such as a pipe or a device, is written itself.

    Args:
        path: in a folder that exists.
        private: only its owner may read it, even if the umask, or the file there before, allows others.
        new: nothing may be there yet.

    Raises:
        FileExistsError: something is there, and ``new`` forbids that.
        OSError: it cannot be written; a file that was there is unchanged.
    """
    if new and os.path.lexists(path):
        raise FileExistsError(f"{path} exists")
    if path.exists() and not path.is_file():
        yield path
        return
    path = Path(os.path.realpath(path))
    unfinished = path.with_name(f".emotrack-{secrets.token_hex(8)}.partial")  # hidden, and no other writer's
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666))
    try:
        yield unfinished
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())  # else a power cut could leave an empty file under the good name
        if new:
            _publish(unfinished, path)
        else:
            unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _publish(unfinished: Path, path: Path) -> None:
    """Give a finished file its name, if no one else has taken that meanwhile."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:  # FAT, as on memory sticks, has no links; then the name is claimed first
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        unfinished.replace(path)
