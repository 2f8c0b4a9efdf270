"""Ctrl-C at any moment: no traceback, and one exit code.

Python turns Ctrl-C into an exception between any two of its steps, also within the import of a library that aborts by
it, and while it shuts down. Here the process takes care of the signal from its first moment to its
last.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

ENDED_BY_HAND = ("live", "watch", "replay", "correct")
"""Commands that go on until somebody ends them: with them Ctrl-C is a normal end."""
EXIT_CUT_SHORT = 130
"""Any other command was cut short by it: as of a process that the signal ended."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_code_of(argv: Sequence[str]) -> int:
    """The exit code of a command that Ctrl-C ends."""
    return 0 if argv[:1] and argv[0] in ENDED_BY_HAND else EXIT_CUT_SHORT


def end_at_once(code: int) -> None:
    """From now on Ctrl-C ends the process at once: there is nothing to lose."""

    def end(*_: object) -> None:
        os._exit(code)

    signal.signal(signal.SIGINT, end)


@contextmanager
def raising_interrupts(code: int) -> Iterator[None]:
    """Within the context Ctrl-C raises ``KeyboardInterrupt``, so that what is half done is put away.

    While a module is being imported it ends the process at once: an exception would abort some native libraries, and
    of others it would make an error of another kind.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            os._exit(code)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        end_at_once(code)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def take_over(code: int) -> None:
    """Begin: Ctrl-C ends the process at once, now and in the last moments, when Python no longer looks after it."""
    end_at_once(code)
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the first to come is the last to go
    usual = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            usual(unraisable)
            return
        os._exit(code)  # it came where Python cannot pass it on, and would have been lost

    sys.unraisablehook = hook


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Within the context Ctrl-C, SIGTERM and SIGHUP call ``stop`` on the running event loop.

    A SIGHUP that the process was started to ignore, as by nohup, stays ignored.
    """
    import asyncio  # takes its time, in which nobody would look after Ctrl-C

    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
