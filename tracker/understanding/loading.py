"""Loading and warming the models. Importing torch takes a second, in which the recogniser loads."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Final

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import SAMPLE_RATE
from emotrack.tracker.understanding.recognisers import open_recogniser

if TYPE_CHECKING:
    from emotrack.models.network import EmotionNetwork
    from emotrack.tracker.speakers.networks import SpeakerNetworks
    from emotrack.tracker.understanding.engine import Engine

_log = logging.getLogger(__name__)

_M_MMAP_THRESHOLD: Final = -3  # these are glibc's, in its malloc.h
_M_ARENA_MAX: Final = -8
_GIVEN_BACK_FROM: Final = 1 << 19  # bytes


def load_engine(
    bundle: str,
    asr: str,
    device: str,
    language: str | None,
    *,
    own_process: bool = False,
    speakers: bool = False,
    speaker_model: str | None = None,
) -> Engine:
    """Load and warm the network and the recogniser side by side, and with ``speakers`` what tells voices apart.

    With ``own_process`` the process is the tracker's alone, and its threads, its garbage collector and its memory are
    set for the models; otherwise the process is left as it is.

    Raises ``EmotrackError`` when the bundle, the recogniser or the device cannot be had.
    """
    with (
        _without_garbage() if own_process else nullcontext(),
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="recogniser") as side,
    ):
        threads = recogniser_threads(len(os.sched_getaffinity(0)))
        recogniser = side.submit(open_recogniser, asr, device, threads, language)
        if own_process:
            _use_one_thread()
            _keep_little_memory()
        network = _load_network(bundle, device)
        from emotrack.tracker.understanding.engine import Engine

        engine = Engine(network, recogniser.result(), _speaker_networks(speaker_model) if speakers else None)
    if own_process:
        _hand_back_memory()
    return engine


def _speaker_networks(speaker_model: str | None) -> SpeakerNetworks | None:
    """Where they cannot be had, everything else works; a model that somebody named must be there."""
    from emotrack.tracker.speakers.networks import load_speaker_networks

    try:
        return load_speaker_networks(speaker_model)
    except EmotrackError as error:
        if speaker_model is not None:
            raise EmotrackError(f"--speaker-model {error}") from error
        _log.warning("voices are not told apart: %s", error)
        return None


@contextmanager
def _without_garbage() -> Iterator[None]:
    """Look for no garbage while the models load, and never again in what was loaded."""
    gc.disable()  # nothing of what is loaded is garbage; to look for some now takes a tenth of the time ...
    try:
        yield
    finally:
        gc.freeze()  # ... and later, each time, holds everything up for 100 ms
        gc.enable()


def _keep_little_memory() -> None:
    """Let a thread take what another has freed, and give back large pieces at once.

    By itself glibc keeps what each thread has freed for that thread, and the models have a thread each.
    """
    with suppress(OSError, TypeError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _GIVEN_BACK_FROM)


def _hand_back_memory() -> None:
    """Give back what loading took and nothing needs any more, a tenth of all: glibc does not do it by itself."""
    with suppress(OSError, TypeError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # a second thread for matrices so small costs more than it gives


def recogniser_threads(cores: int) -> int:
    """The threads that a recogniser gets on so many cores; of the encoders and the context network, each has one.

    Where there are cores enough, one is left to those. Of two it takes both: the others need some milliseconds at a
    time, it needs hundreds in the pause that may end a turn, and on slow cores the second thread halves the wait.
    """
    return max(min(cores, 2), min(4, cores - 1))


def _load_network(bundle: str, device: str) -> EmotionNetwork:
    import numpy as np
    import torch

    from emotrack.models.bundle import load_bundle

    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise EmotrackError("--device cuda: no CUDA device is available")
    network = load_bundle(bundle, "cuda" if has_cuda and device != "cpu" else "cpu")
    network.store_in_half()
    try:
        network.embed_speech(np.zeros(3 * SAMPLE_RATE, dtype=np.float32))
        network.embed_text("ready when you are")
    except ValueError as error:
        raise EmotrackError(f"bundle {bundle}: {error}") from error
    return network
