"""How the work grows with the input."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times as long four times as much takes, of the processor: 4 if it grows in proportion, 16 if squared.

    The best of three, as the machine may be busy.
    """
    return min(_seconds(work, 4 * size) for _ in range(3)) / min(_seconds(work, size) for _ in range(3))


def _seconds(work: Callable[[int], object], size: int) -> float:
    gc.collect()
    began = time.process_time()
    work(size)
    return time.process_time() - began
