"""Reading audio files as the network takes them: mono, 16 kHz, float32."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soxr
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from emotrack.models.features import SAMPLE_RATE
from emotrack.train.errors import TrainError


def read_audio(path: Path) -> NDArray[np.float32]:
    """Decode a whole file -> (samples,) at 16 kHz, channels averaged.

    Raises:
        TrainError: the file is missing, cannot be decoded, or has no finite audio in it.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise TrainError(f"{path}: no audio in it")
            rate = container.streams.audio[0].rate
            planar = AudioResampler(format="fltp")  # sample format only, soxr changes the rate
            blocks = [
                part.to_ndarray().mean(axis=0) for frame in container.decode(audio=0) for part in planar.resample(frame)
            ]
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
