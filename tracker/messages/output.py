"""What a command says: standard output and standard error, whatever they are, and nothing but harmless words there."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO, cast

from emotrack.errors import EmotrackError
from emotrack.tracker.messages.plain import plain_line, plain_text

if TYPE_CHECKING:
    from rich.console import RenderableType

STDOUT = "standard output"


class OutputError(EmotrackError):
    """Standard output takes no more."""


def say(line: object, who: str | None = "emotrack") -> None:
    """One line on standard error, ``who`` says it in front; where that is closed or gone, nobody hears it."""
    with contextlib.suppress(OSError, ValueError):
        print(plain_line(str(line) if who is None else f"{who}: {line}"), file=sys.stderr, flush=True)


def show(text: object, end: str = "\n") -> None:
    """Lines on standard output: harmless on a terminal, as they are for another program. Raises ``OutputError``."""
    _print(plain_text(str(text)) if sys.stdout.isatty() else str(text), end)


def show_tables(*renderables: RenderableType) -> None:
    """What rich draws, on standard output; the words in it are plain already. Raises ``OutputError``."""
    from rich.console import Console

    drawn = io.StringIO()  # drawn before it is written: rich ends the process itself where nobody reads
    console = Console(file=drawn, force_terminal=sys.stdout.isatty(), width=Console().width, highlight=False)
    for renderable in renderables:
        console.print(renderable, markup=False)
    _print(drawn.getvalue(), "")


def _print(text: str, end: str) -> None:
    try:
        print(text, end=end, flush=True)
    except (OSError, ValueError) as error:
        raise OutputError(_given_up(error)) from error


def hold_tongue() -> None:
    """All is said: what falls apart behind a failure, such as an event loop half made, has nothing to add."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None


def open_streams() -> None:
    """Make the three streams usable, whatever they are; before anything else is opened.

    A descriptor that is closed would be given to the next file, and all that is printed would land in it. So it is
    taken here: what is written to a closed standard output fails. What is read by programs is UTF-8, and the names of
    files in it are as they are on the disk.
    """
    sys.stdin = _stream(0, sys.stdin, os.O_RDONLY, "r")
    sys.stdout = _stream(1, sys.stdout, os.O_RDONLY, "w")
    sys.stderr = _stream(2, sys.stderr, os.O_WRONLY, "w")
    if sys.stdout.isatty():
        _reconfigure(sys.stdout, errors="replace")
    else:
        _reconfigure(sys.stdout, encoding="utf-8", errors="surrogateescape")


def flush_output() -> str | None:
    """Write what standard output still holds; why that failed, if it did."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        return _given_up(error)
    return None


def _given_up(error: OSError | ValueError) -> str:
    """Standard output takes no more: what it still holds goes nowhere, or Python would complain once more."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return f"cannot write to {STDOUT}: {getattr(error, 'strerror', None) or error}"


def _stream(descriptor: int, stream: TextIO | None, how: int, mode: str) -> TextIO:
    if stream is not None:
        return stream
    with contextlib.suppress(OSError):
        os.fstat(descriptor)
        return cast("TextIO", os.fdopen(descriptor, mode, closefd=False))
    opened = os.open(os.devnull, how)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    return cast("TextIO", os.fdopen(descriptor, mode, closefd=False))


def _reconfigure(stream: TextIO, **how: str) -> None:
    change = cast("Callable[..., None] | None", getattr(stream, "reconfigure", None))
    if change is not None:
        change(**how)
