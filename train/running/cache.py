"""A frozen encoder's output is computed once, kept on disk, and computed anew when encoder or data have changed.

Runs of several seeds lie beside one another (``OUT/seed-N``): what one of them keeps is what the others would compute
wherever the encoder does not depend on the seed, so they take it from there, and wait for one that is at it.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from emotrack.tracker.messages.output import say
from emotrack.train.running.files import read_facts, read_whole, write_whole
from emotrack.train.running.ranks import rank_0_first

SEEDS = "seed-*"  # what the folders of runs that differ in their seeds alone are called


def cached(path: Path, origin: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What a run, or one of another seed beside it, keeps of this origin, or else what is computed and then kept.

    Args:
        path: of a safetensors file; its folder exists.
        origin: tells apart what is computed (see ``origin_of``).
        compute: gives the tensors.
    """
    with rank_0_first():
        if (kept := _kept(path, origin)) is not None:
            return kept
        with _computing(path, origin):
            if (kept := _kept(path, origin)) is not None:
                return kept
            with torch.inference_mode():
                tensors = compute()
            tensors = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
            write_whole(tensors, path, {"origin": origin})
            return tensors


def _kept(path: Path, origin: str) -> dict[str, Tensor] | None:
    beside = path.parent.parent.glob(f"{SEEDS}/{path.name}") if path.parent.match(SEEDS) else ()
    for each in (path, *sorted(beside)):
        if each.is_file() and read_facts(each).get("origin") == origin:
            return read_whole(each)[0]
    return None


@contextmanager
def _computing(path: Path, origin: str) -> Iterator[None]:
    """Within the block no other seed's run on this machine computes the same; the wait for one that does is said."""
    if not path.parent.match(SEEDS):
        yield
        return
    note = path.parent.with_name(f".{path.stem}-{origin[:16]}.lock")
    with note.open("w") as lock:  # the system lets go of it however the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{path.name}: another seed's run is computing it", None)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def origin_of(encoder: Mapping[str, Tensor], encoded: object) -> str:
    """A key of an encoding: the encoder's weights, in the half precision of a bundle, and the data's ``repr``."""
    digest = hashlib.sha256()
    for _, tensor in sorted(encoder.items()):
        digest.update(tensor.cpu().half().contiguous().view(torch.uint8).numpy().tobytes())
    digest.update(repr(encoded).encode())
    return digest.hexdigest()
