"""Voice prints that people had kept: a file for each voice, its owner's alone, in one folder.

A print is biometric data. It is written here when it is asked for, and nowhere else.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import numpy as np
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from emotrack.errors import EmotrackError
from emotrack.models.files import write_files
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.messages.plain import plain
from emotrack.tracker.options import Bounds

if TYPE_CHECKING:
    from emotrack.tracker.speakers.networks import SpeakerNetworks, VoicePrint

_log = logging.getLogger(__name__)

MAX_VOICES: Final = 100
MAX_NAME_CHARS: Final = 64
MAX_FILE_BYTES: Final = 200_000  # of the longest print, with room
LENGTHS: Final = Bounds(0.1, 1.001)  # of a print: the mean of vectors of length 1, as far as these are rounded
EVERYBODY: Final = "all"  # no name, since it stands for all of them
FOLDER_VARIABLE: Final = "EMOTRACK_VOICES"

_PATTERN: Final = "voice-*.json"
_UNFINISHED: Final = ".emotrack-*.partial"  # of a process that was killed while it wrote


def _kept_name(name: str) -> str:
    """As ``kept_name``, which raises ``ValueError``."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 0 < len(name) <= MAX_NAME_CHARS or plain(name) != name or "," in name or name == EVERYBODY:
        raise ValueError(
            f"{name!r} is no name for a voice: one line of 1 to {MAX_NAME_CHARS} characters without a comma, and not "
            f"{EVERYBODY!r}"
        )
    return name


class KeptVoice(BaseModel):
    """A person's voice, as its file holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["emotrack.voice/1"] = "emotrack.voice/1"
    name: Annotated[str, AfterValidator(_kept_name)]
    enrolled: AwareDatetime
    seconds: Annotated[float, Field(gt=0.0)]
    """Of clean speech that the print was made of."""
    embedding: Annotated[str, Field(max_length=300)]
    """The network that made the print; no other can compare it."""
    print: Annotated[tuple[float, ...], Field(min_length=1, max_length=4096, repr=False)]
    """The mean of the prints of turns, each of length 1. No message shows it."""

    @property
    def voice_print(self) -> VoicePrint:
        """The print, (numbers,)."""
        return np.array(self.print, dtype=np.float32)


def kept_name(name: str) -> str:
    """A person's name as it is kept. Raises ``EmotrackError`` where it cannot be one."""
    try:
        return _kept_name(name)
    except ValueError as error:
        raise EmotrackError(str(error)) from None


def voice_folder() -> Path:
    """Where voices are kept: by ``EMOTRACK_VOICES``, else the user's folder of data."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share") / "emotrack" / "voices"


class VoiceStore:
    """The voices in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """The file of a voice, whether it is there or not; no name leads out of the folder."""
        return self.folder / f"voice-{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"

    def voices(self) -> list[KeptVoice]:
        """All that can be read, by name; what is damaged is told and left out. Raises ``OSError``."""
        found = [voice for path in self._files()[:MAX_VOICES] if (voice := self._read(path)) is not None]
        return sorted(found, key=lambda voice: voice.name)

    def keep(self, voice: KeptVoice) -> Path:
        """Write a voice, in the place of an earlier one of its name; returns its file.

        Raises ``EmotrackError`` where there are MAX_VOICES, and ``OSError``.
        """
        path = self.path(voice.name)
        if not path.exists() and len(self._files()) >= MAX_VOICES:
            raise EmotrackError(f"{MAX_VOICES} voices are kept in {self.folder}, and no more can be: forget one")
        if not self.folder.is_dir():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(0o700)
            self.folder.chmod(0o700)  # whatever the umask; a folder that was there stays as its owner made it
        write_files({path: voice.model_dump_json(indent=1) + "\n"}, private=True)
        return path

    def forget(self, name: str) -> bool:
        """Delete a voice, readable or not; whether there was one. Raises ``OSError``."""
        path = self.path(name)
        was_there = path.exists()
        path.unlink(missing_ok=True)
        return was_there

    def forget_all(self) -> int:
        """Delete every voice, readable or not, and what is left of unfinished ones; how many.

        Raises ``OSError`` where one cannot be deleted, when all others are.
        """
        files = [path for path in self._files() if path.is_symlink() or not path.is_dir()]
        failure: OSError | None = None
        for path in [*files, *self.folder.glob(_UNFINISHED)]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return len(files)

    def known(self, names: Sequence[str]) -> list[KeptVoice]:
        """The voices of these names, or of all. Raises ``EmotrackError`` where one is not kept, and ``OSError``."""
        voices = {voice.name: voice for voice in self.voices()}
        if EVERYBODY in names:
            if not voices:
                raise EmotrackError(f"no voice is kept in {self.folder}")
            return list(voices.values())
        wanted = dict.fromkeys(kept_name(name) for name in names)
        for name in wanted:
            if name not in voices:
                kept = ", ".join(voices) or "nobody's"
                raise EmotrackError(f"no voice of {name!r} is kept in {self.folder}: {kept}")
        return [voices[name] for name in wanted]

    def _files(self) -> list[Path]:
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self.folder))
        return sorted(self.folder.glob(_PATTERN))

    def _read(self, path: Path) -> KeptVoice | None:
        try:
            voice = KeptVoice.model_validate_json(_content(path))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            reason = f"{'.'.join(map(str, first['loc']))} {first['msg']}".strip()
        except OSError as error:
            reason = error.strerror or "it cannot be read"
        else:
            length = float(np.linalg.norm(voice.voice_print))
            if self.path(voice.name) == path and length in LENGTHS:
                return voice
            reason = f"a print of length {length:.3g} under the name {voice.name!r}"
        _log.warning("%s: no voice, left out: %s", path, reason)
        return None


def _content(path: Path) -> bytes:
    """Of a file, as far as it can be a voice. Raises ``OSError``."""
    if not path.is_file():  # a pipe would be waited for
        raise OSError(errno.EINVAL, "it is no file")
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES)


def enrolled_prints(voices: list[KeptVoice], networks: SpeakerNetworks | None) -> dict[str, VoicePrint]:
    """The prints of ``voices`` that these ``networks`` can compare, by name; who is known, and who is not, is told."""
    if not voices:
        return {}
    if networks is None:
        _log.warning("nobody is known by voice, since voices are not told apart here")
        return {}
    sound = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32)
    made = networks.prints(sound, np.ones(SAMPLE_RATE, dtype=bool))
    numbers = 0 if made is None else len(made)
    usable: dict[str, VoicePrint] = {}
    for voice in voices:
        if (voice.embedding, len(voice.print)) == (networks.prints.name, numbers):
            usable[voice.name] = voice.voice_print
        else:
            _log.warning(
                "%s is not known by voice: enrolled with the embedding %s of %d numbers, and this one is %s of %d",
                voice.name,
                voice.embedding,
                len(voice.print),
                networks.prints.name,
                numbers,
            )
    if usable:
        _log.info("known by voice: %s", ", ".join(usable))
    return usable


def new_voice(name: str, voice_print: VoicePrint, seconds: float, embedding: str, now: datetime) -> KeptVoice:
    """A voice to be kept. Raises ``EmotrackError`` for a name that cannot be one."""
    return KeptVoice(
        name=kept_name(name),
        enrolled=now,
        seconds=round(seconds, 1),
        embedding=embedding,
        print=tuple(round(float(number), 6) for number in voice_print),
    )
