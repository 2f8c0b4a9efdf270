"""Voice activity detection: silero's ONNX model, one 32 ms frame after another.

The package ``silero-vad`` carries the model file. It is never imported, since that would bring torch's thread count
down to one for the whole process; its file is read where it lies.
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, Samples
from emotrack.tracker.errors import EmotrackError

MODEL_FILE = "silero_vad_16k_op15.onnx"
# Thresholds are not portable between the weights in circulation, so exactly one file is accepted.
MODEL_SHA256 = "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"

_CONTEXT_SAMPLES = 64  # the end of the frame before, which the model wants in front of each frame


@cache
def _load_model() -> onnxruntime.InferenceSession:
    """The one copy of the model in this process; it holds no state, so every channel may share it."""
    package = importlib.util.find_spec("silero_vad")
    if package is None or not package.submodule_search_locations:
        raise EmotrackError("the package silero-vad is not installed; reinstall emotrack")
    path = Path(package.submodule_search_locations[0]) / "data" / MODEL_FILE
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise EmotrackError(f"the voice activity model {path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(weights).hexdigest() != MODEL_SHA256:
        raise EmotrackError(f"{path} is not the voice activity model emotrack was tuned for; install silero-vad 6.2.3")
    options = onnxruntime.SessionOptions()
    # A frame takes about 0.1 ms: a second thread, or one that spins between frames, costs more than it gives.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])


class VoiceActivityDetector:
    """Speech probability of each frame of one channel."""

    def __init__(self) -> None:
        self._model = _load_model()
        self._rate = np.array(SAMPLE_RATE, dtype=np.int64)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard; the recurrent state drifts on endless streams and wants this between turns."""
        self._state: NDArray[np.float32] = np.zeros((2, 1, 128), dtype=np.float32)
        self._input: Samples = np.zeros((1, _CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32)

    def probability(self, frame: Samples) -> float:
        """Probability in [0, 1] that ``frame``, (FRAME_SAMPLES,) at 16 kHz, holds speech."""
        self._input[0, :_CONTEXT_SAMPLES] = self._input[0, -_CONTEXT_SAMPLES:]
        self._input[0, _CONTEXT_SAMPLES:] = frame
        output, self._state = self._model.run(None, {"input": self._input, "state": self._state, "sr": self._rate})
        return float(output[0, 0])
