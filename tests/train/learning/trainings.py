"""Stand-ins for trainings that other processes do; nothing heavy is imported here."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from emotrack.train.errors import CollapsedError, DivergedError
from emotrack.train.learning.listening import tell


def trained(folder: Path, seed: int) -> Path:
    """Tells of an epoch, prints a line on either stream, and notes its environment."""
    tell("words", folder, {"epoch": 1, "loss": 0.5, "weighted_f1": 0.25})
    print("as it should be")
    print("not quite", file=sys.stderr)
    (folder / f"{seed}.txt").write_text(f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {os.environ['OMP_NUM_THREADS']}")
    return folder / f"{seed}.txt"


def scored(out: Path, seed: int) -> Path:
    """Writes metrics; seed 1 diverges."""
    if seed == 1:
        fails("diverged")
    out.mkdir()
    scores = dict.fromkeys(("weighted_f1", "macro_f1", "uar", "accuracy", "ece"), seed / 10)
    (out / "metrics.json").write_text(json.dumps({"dev": {"online": scores}}))
    return out


def meets(folder: Path, seed: int, others: int) -> int:
    """Waits for others that run meanwhile, and for nobody who does not."""
    (folder / str(seed)).touch()
    for _ in range(1000):
        if len(list(folder.iterdir())) >= others:
            return seed
        time.sleep(0.01)
    raise TimeoutError


def fails(how: str) -> Path:
    """Each in another way."""
    if how == "killed":
        os.kill(os.getpid(), 9)
    if how == "collapsed":
        raise CollapsedError("speech: collapsed", {"weighted_f1": 0.125})
    if how == "diverged":
        raise DivergedError("speech: the loss is no longer finite in epoch 1")
    if how == "memory":
        raise MemoryError
    raise AssertionError(how)


def waits(folder: Path) -> None:
    """Until it is ended."""
    (folder / str(os.getpid())).touch()
    time.sleep(600)
