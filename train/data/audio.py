"""Reading audio files as the network takes them: mono, 16 kHz, float32."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soxr
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from numpy.typing import NDArray

from emotrack.models.bounds import SAMPLE_RATE
from emotrack.tracker.sources.decoder import open_container
from emotrack.train.errors import TrainError

RUN_UP_S = 0.2  # decoded before a stretch, since some codecs find their way into the middle of a file only slowly


def read_audio(path: Path, start_s: float = 0.0, end_s: float = math.inf) -> NDArray[np.float32]:
    """Decode a file, or a stretch of it without most of what comes before -> (samples,) at 16 kHz, channels averaged.

    Raises:
        TrainError: the file is missing, cannot be decoded, or has no finite audio in it.
    """
    try:
        with open_container(path) as container:
            if not container.streams.audio:
                raise TrainError(f"{path}: no audio in it")
            rate = container.streams.audio[0].rate
            blocks = list(_blocks(container, start_s, end_s))
    except FileNotFoundError as error:
        raise TrainError(f"{path}: No such file or directory") from error
    except av.FFmpegError as error:
        raise TrainError(f"{path}: cannot be decoded: {error.strerror}") from error
    if not blocks:
        raise TrainError(f"{path}: no audio in it")
    samples = np.concatenate(blocks).astype(np.float32)
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    if not np.isfinite(samples).all():
        raise TrainError(f"{path}: samples that are not finite numbers")
    return samples


def _blocks(container: InputContainer, start_s: float, end_s: float) -> Iterator[NDArray[np.float32]]:
    """The blocks of a stretch, (samples,) each, at the file's own rate."""
    stream = container.streams.audio[0]
    zero = float((stream.start_time or 0) * (stream.time_base or 0))  # time of the file's first sample
    if start_s > RUN_UP_S:
        container.seek(round((zero + start_s - RUN_UP_S) * av.time_base))
    planar = AudioResampler(format="fltp")  # sample format only, soxr changes the rate
    for frame in container.decode(stream):
        begins = (frame.time or 0.0) - zero
        if begins >= end_s:
            return
        first = max(0, round((start_s - begins) * frame.sample_rate))
        last = None if end_s == math.inf else round((end_s - begins) * frame.sample_rate)
        block = np.concatenate([part.to_ndarray().mean(axis=0) for part in planar.resample(frame)])[first:last]
        if len(block):
            yield block
