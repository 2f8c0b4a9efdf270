"""Which audio there is to transcribe, and who speaks in it where that is known.

    DIR           every audio file in it, however deep
    LIST          a text file: one path a line, relative to the list's folder
    LibriSpeech   SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac beside SPEAKER-CHAPTER.trans.txt (Panayotov et al. 2015)
    MSP-PODCAST   Audios/*.wav; who speaks is in Labels/*.csv (Lotfian and Busso 2017)

Known layouts are recognised by what lies there. Their own transcripts are not read: the words are the recogniser's.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emotrack.tracker.text_files import MAX_MARK_BYTES, marked_encoding
from emotrack.train.corpora.corpus import read_table
from emotrack.train.errors import TrainError

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("aac", "ac3", "aif", "aiff", "amr", "ape", "au", "avi", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mov"),
        *("mp2", "mp3", "mp4", "mpeg", "mpga", "mpg", "nist", "oga", "ogg", "ogv", "opus", "snd", "sph", "spx", "ts"),
        *("tta", "w64", "wav", "webm", "wma", "wmv", "wv"),
    )
)
"""Of files that hold audio."""
_MSP_AUDIO, _MSP_LABELS = "Audios", "Labels"
_NOBODY = frozenset({"", "unknown"})  # MSP-PODCAST's speaker of many files


@dataclass(frozen=True, slots=True)
class AudioFound:
    """An audio file that was not opened yet."""

    path: Path
    source: str
    """The path relative to the folder that was read, or as its list has it."""
    speaker: str | None


@dataclass(frozen=True, slots=True)
class AudioClip:
    """An audio file and the address of its contents: the same sound under two names is one clip."""

    path: Path
    source: str
    speaker: str | None
    key: str
    """SHA-256 of the file."""
    size: int
    """Bytes."""


def read_clip(found: AudioFound) -> AudioClip:
    """Read the whole file for its address. Raises ``OSError``."""
    with found.path.open("rb") as file:
        key = hashlib.file_digest(file, "sha256").hexdigest()
        return AudioClip(found.path, found.source, found.speaker, key, os.fstat(file.fileno()).st_size)


def find_audio(where: Path) -> Iterator[AudioFound]:
    """The audio files of a folder or a list, in the order of their names or of the list.

    Raises:
        TrainError: there is no such folder or list, or no audio in it.
    """
    if where.is_dir():
        found = _in_folder(where)
    elif where.suffix.lower() in SUFFIXES and where.is_file():
        found = iter([AudioFound(where, where.name, None)])
    else:
        found = _in_list(where)
    first = next(found, None)
    if first is None:
        raise TrainError(f"{where}: no audio in it")
    yield first
    yield from found


def _in_folder(folder: Path) -> Iterator[AudioFound]:
    is_msp = (folder / _MSP_AUDIO).is_dir() and (folder / _MSP_LABELS).is_dir()
    speakers = _msp_speakers(folder / _MSP_LABELS) if is_msp else {}
    for parent, folders, names in os.walk(folder / _MSP_AUDIO if is_msp else folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        chapters = {name.removesuffix(".trans.txt") for name in names if name.endswith(".trans.txt")}
        for name in sorted(names):
            path = Path(parent, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            chapter = path.stem.rpartition("-")[0]
            speaker = chapter.partition("-")[0] if chapter in chapters else speakers.get(name)
            yield AudioFound(path, str(path.relative_to(folder)), speaker)


def _in_list(path: Path) -> Iterator[AudioFound]:
    try:
        with path.open("rb") as raw:
            encoding, _ = marked_encoding(raw.peek()[:MAX_MARK_BYTES]) or ("utf-8", 0)
            for line in io.TextIOWrapper(raw, encoding):
                if source := line.strip().strip("\ufeff"):
                    yield AudioFound(path.parent / source, source, None)
    except FileNotFoundError as error:
        raise TrainError(f"{path}: no such folder or list") from error
    except UnicodeDecodeError as error:
        raise TrainError(f"{path}: is neither a folder nor audio nor a list of paths") from error
    except OSError as error:
        raise TrainError(f"{path}: {error.strerror}") from error


def _msp_speakers(labels: Path) -> dict[str, str]:
    """File name -> speaker, from whichever tables of a release say so."""
    speakers: dict[str, str] = {}
    for table in sorted(labels.glob("*.csv")):
        try:
            rows = read_table(table, ("FileName", "SpkrID"))
        except TrainError:
            continue  # it is about something else
        speakers |= {row["FileName"]: row["SpkrID"] for row in rows if row["SpkrID"].strip().lower() not in _NOBODY}
    return speakers
