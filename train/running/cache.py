"""A frozen encoder's output is computed once, kept on disk, and computed anew when encoder or data have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from emotrack.train.running.files import read_whole, write_whole
from emotrack.train.running.ranks import rank_0_first


def cached(path: Path, origin: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What a file keeps of this origin, or else what is computed, which it then keeps.

    Args:
        path: of a safetensors file; its folder exists.
        origin: tells apart what is computed (see ``origin_of``).
        compute: gives the tensors.
    """
    with rank_0_first():
        if path.is_file():
            tensors, facts = read_whole(path)
            if facts.get("origin") == origin:
                return tensors
        with torch.inference_mode():
            tensors = compute()
        tensors = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
        write_whole(tensors, path, {"origin": origin})
        return tensors


def origin_of(encoder: Mapping[str, Tensor], encoded: object) -> str:
    """A key of an encoding: the encoder's weights, in the half precision of a bundle, and the data's ``repr``."""
    digest = hashlib.sha256()
    for _, tensor in sorted(encoder.items()):
        digest.update(tensor.cpu().half().contiguous().view(torch.uint8).numpy().tobytes())
    digest.update(repr(encoded).encode())
    return digest.hexdigest()
