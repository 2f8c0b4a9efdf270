"""What can go wrong for a user, each with one clear line and an exit code."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from emotrack.errors import EmotrackError

if TYPE_CHECKING:
    import asyncio  # nothing that --help needs: it brings ssl

# What native libraries say where memory or threads run out.
_OUT_OF_MEANS = re.compile(
    r"can't start new thread|bad_alloc|failed to map segment|(can't|cannot|failed to) allocate", re.IGNORECASE
)


class SourceError(EmotrackError):
    """The audio source cannot be opened, or broke off."""


class CaptionsError(EmotrackError):
    """The captions file is missing or malformed."""


class RecogniserError(EmotrackError):
    """The speech recogniser that was asked for cannot be had."""


def reason_of(error: BaseException) -> str | None:
    """Why the machine, not the program, failed: files, memory, threads or libraries; None for any other error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    while isinstance(error, ImportError) and isinstance(error.__cause__, ImportError):
        error = error.__cause__  # what the loader said, not what the library advises
    match error:
        case Exception() if _OUT_OF_MEANS.search(str(error)):
            return f"there is not enough memory: {error}"
        case OSError(filename=str() | bytes() as name, strerror=str() as reason):
            return f"{os.fsdecode(name)}: {reason}"
        case OSError():
            return error.strerror or str(error) or type(error).__name__
        case MemoryError():
            return "there is not enough memory"
        case ImportError():
            return f"a part of the installation cannot be loaded: {error}"
        case _:
            return None


def look_at(work: asyncio.Future[Any]) -> None:
    """To call when work is done that may be thrown away: what goes wrong in it is nobody's business then.

    asyncio would print it. Whoever does await the work still gets it.
    """
    if not work.cancelled():
        work.exception()


class SinkError(EmotrackError):
    """A sink can take no more events; the others go on."""
