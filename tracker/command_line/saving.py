"""What is kept of a session, and what is said of it: ``--save``, ``--keep-audio`` and ``--notice-given``."""

from __future__ import annotations

import argparse
import os
import stat
from pathlib import Path

from emotrack.errors import UsageError
from emotrack.tracker.messages.plain import unicode
from emotrack.tracker.sinks.audio_archive import audio_folder


def check_saving(arguments: argparse.Namespace) -> None:
    """Raise ``UsageError`` where nothing could be saved so."""
    if arguments.keep_audio and not arguments.save:
        raise UsageError("--keep-audio goes with --save: the audio is kept beside the session")
    _refuse_what_is_read(arguments)


def saved_to(arguments: argparse.Namespace, *, without_folders: bool = False) -> str | None:
    """Where the session is kept, and whether the voices are; None when nothing is."""
    if not arguments.save:
        return None
    path = unicode(arguments.save.name) if without_folders else arguments.save
    return f"{path}, voices included" if arguments.keep_audio else str(path)


def consent(arguments: argparse.Namespace, *, by_site: bool = False) -> str:
    """What people should know, or were told, and what is kept: for a terminal without a dashboard."""
    know = "was told" if arguments.notice_given else "should know"
    kept = saved_to(arguments)
    recorded = f"Saved to {kept}{', by site' if by_site else ''}." if kept else "Nothing is recorded."
    return f"Everyone who can be heard {know} that emotions are being estimated here. {recorded}"


def _refuse_what_is_read(arguments: argparse.Namespace) -> None:
    """Raise ``UsageError`` where events or voices would be written into what the session reads, also through links."""
    written: dict[str, Path | int] = {"standard output": 1}
    if arguments.save:
        written["--save"] = arguments.save
    if arguments.keep_audio:
        written["--keep-audio"] = audio_folder(arguments.save)
        if arguments.save == audio_folder(arguments.save):
            raise UsageError(f"--save {arguments.save}: is the folder of --keep-audio; give it another ending")
    for option in ("file", "captions", "mqtt_credentials"):
        path: Path | None = getattr(arguments, option, None)  # of which a command has some
        for output, target in written.items():
            if path is not None and _is_same(path, target):
                raise UsageError(f"{output} would be written into {path}, which --{option.replace('_', '-')} reads")


def _is_same(path: Path, target: Path | int) -> bool:
    try:
        one, other = path.stat(), os.stat(target)  # noqa: PTH116 - of a descriptor, too
    except OSError:  # what is not there yet is nothing that is read
        return False
    return os.path.samestat(one, other) and not stat.S_ISCHR(one.st_mode)
