"""Files are there whole or not at all, and private ones are their owner's alone."""

from __future__ import annotations

import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emotrack.models.files import whole_file, write_files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def full_disk(after_bytes: int) -> Iterator[None]:
    """A write beyond so many bytes of a file fails, as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_private_file_is_its_owners_alone_whatever_was_there(tmp_path: Path, mask: int) -> None:
    private, public = tmp_path / "private", tmp_path / "public"
    private.write_text("before")
    private.chmod(0o666)
    with umask(mask):
        write_files({private: "after"}, private=True)
        write_files({public: b"all"})
    assert (private.read_text(), mode(private)) == ("after", 0o600)
    assert (public.read_bytes(), mode(public)) == (b"all", 0o666 & ~mask)


def test_a_full_disk_leaves_all_files_as_they_were(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    write_files({small: "good", large: "good"})
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        write_files({small: "new", large: "x" * 2000})
    assert (small.read_text(), large.read_text()) == ("good", "good")
    assert sorted(tmp_path.iterdir()) == [large, small]


def test_a_link_is_followed_and_a_pipe_written(tmp_path: Path) -> None:
    file, link, pipe = tmp_path / "file", tmp_path / "link", tmp_path / "pipe"
    file.write_text("before")
    link.symlink_to(file)
    write_files({link: "after"})
    assert link.is_symlink()
    assert file.read_text() == "after"

    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_files({pipe: "through"}, private=True)
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_new_file_takes_no_ones_place(tmp_path: Path) -> None:
    path = tmp_path / "path"
    with whole_file(path, new=True) as unfinished:
        unfinished.write_text("mine")
        assert not path.exists()
    with pytest.raises(FileExistsError), whole_file(path, new=True):
        pass
    path.unlink()
    begun = whole_file(path, new=True)
    begun.__enter__().write_text("mine")
    path.write_text("another's, meanwhile")
    with pytest.raises(FileExistsError):
        begun.__exit__(None, None, None)
    assert path.read_text() == "another's, meanwhile"
    assert list(tmp_path.iterdir()) == [path]
