"""A terminal lent to the dashboard: single key presses, a screen nobody else writes on, and all put back after."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from emotrack.tracker.dashboard.keys import KeyReader

HELD_BYTES = 16_384  # of what others wrote to stderr; earlier output is forgotten
_IFLAG, _LFLAG, _CC = 0, 3, 6  # places in what termios.tcgetattr returns


@contextmanager
def keys_to(on_key: Callable[[str], None], stdin: TextIO) -> Iterator[None]:
    """Within the context the name of every key pressed goes to ``on_key`` at once; ``stdin`` may have no keys.

    Ctrl-C still interrupts. Ctrl-S and Ctrl-Z do nothing: the one would hold back the screen, the other would leave
    the shell with it.
    """
    fd = _keyboard(stdin)
    if fd is None:
        yield
        return
    before = termios.tcgetattr(fd)
    loop = asyncio.get_running_loop()
    termios.tcsetattr(fd, termios.TCSADRAIN, _unbuffered(before))
    try:
        loop.add_reader(fd, _read, loop, fd, KeyReader(), on_key)
        yield
    finally:
        loop.remove_reader(fd)
        with suppress(termios.error):  # the terminal itself may be gone
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def has_keys(stdin: TextIO) -> bool:
    """Whether a person can press keys there."""
    return _keyboard(stdin) is not None


def _keyboard(stdin: TextIO) -> int | None:
    """The descriptor of a terminal whose keys are ours to read."""
    try:
        fd = stdin.fileno()
        # A job in the background would be stopped by the system for touching the terminal.
        return fd if os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp() else None
    except (OSError, ValueError):  # closed, replaced, or not our terminal
        return None


def _unbuffered(before: list[Any]) -> list[Any]:
    mode = list(before)
    mode[_IFLAG] &= ~termios.IXON
    mode[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
    mode[_CC] = list(before[_CC])
    mode[_CC][termios.VMIN], mode[_CC][termios.VTIME], mode[_CC][termios.VSUSP] = 1, 0, b"\0"
    return mode


def _read(loop: asyncio.AbstractEventLoop, fd: int, keys: KeyReader, on_key: Callable[[str], None]) -> None:
    try:
        pressed = os.read(fd, 1024)
    except OSError:
        pressed = b""
    if not pressed:  # the terminal hung up
        loop.remove_reader(fd)
    for key in keys.feed(pressed):
        on_key(key)


@contextmanager
def terminal_may_go() -> Iterator[None]:
    """Within the context a terminal that hung up ends what is shown, and is no failure: nobody is there to see it."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


@contextmanager
def stderr_held(stderr: TextIO) -> Iterator[None]:
    """Within the context nothing on a terminal's ``stderr`` disturbs the screen; its last lines follow afterwards.

    Native libraries write there too (ALSA is talkative), so the descriptor itself is diverted.
    """
    try:
        fd = stderr.fileno()
    except (OSError, ValueError):  # closed or replaced
        fd = -1
    if fd < 0 or not os.isatty(fd):
        yield
        return
    held = bytearray()

    def keep() -> None:
        with suppress(BlockingIOError):
            while written := os.read(pipe_out, 4096):
                held.extend(written)
                del held[:-HELD_BYTES]

    stderr.flush()
    terminal = os.dup(fd)
    pipe_out, pipe_in = os.pipe()
    os.set_blocking(pipe_out, False)
    os.dup2(pipe_in, fd)
    os.close(pipe_in)
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe_out, keep)
    try:
        yield
    finally:
        loop.remove_reader(pipe_out)
        with suppress(OSError):
            stderr.flush()
        os.dup2(terminal, fd)
        keep()
        for used in (terminal, pipe_out):
            os.close(used)
        with suppress(OSError):
            os.write(fd, held)
