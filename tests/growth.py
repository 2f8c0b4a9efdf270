"""How the work grows with the input."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

MOST = 9.0  # four times as much takes 4 times as long, 16 if it grows with the square


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times as long four times as much takes, of the processor: 4 if it grows in proportion, 16 if squared.

    The best of three, as the machine may be busy; where it is below ``MOST`` at once, that will do.
    """
    small_s = min(_seconds(work, size) for _ in range(3))
    large_s = _seconds(work, 4 * size)
    for _ in range(2):
        if large_s >= MOST * small_s:
            large_s = min(large_s, _seconds(work, 4 * size))
    return large_s / small_s


def _seconds(work: Callable[[int], object], size: int) -> float:
    gc.collect()
    began = time.process_time()
    work(size)
    return time.process_time() - began
