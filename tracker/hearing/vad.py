"""Voice activity detection: silero's ONNX model, one 32 ms frame after another, those of several channels together.

The package ``silero-vad`` carries the model file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Final
from weakref import WeakSet

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotrack.tracker.audio import FRAME_SAMPLES, SAMPLE_RATE, Samples
from emotrack.tracker.packaged_weights import packaged_model

_MODEL: Final = (
    "silero-vad==6.2.3",
    "data/silero_vad_16k_op15.onnx",
    "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
)

MAX_TOGETHER: Final = 32  # frames, 2 ms: the event loop is held up no longer
MANY: Final = 8  # detectors, from which on a frame waits for those of others, ...
GATHER_S: Final = 0.008  # ... so long, which is a quarter of a frame
_RATE: Final = np.array(SAMPLE_RATE, dtype=np.int64)
_CONTEXT_SAMPLES = 64  # the end of the frame before, which the model wants in front of each frame


@cache
def _load_model() -> onnxruntime.InferenceSession:
    """The one copy of the model in this process; it holds no state, so every channel may share it."""
    return packaged_model(*_MODEL, threads=1)  # a frame takes about 0.1 ms: a second one costs more than it gives


class VoiceActivityDetector:
    """Speech probability of each frame of one channel."""

    def __init__(self) -> None:
        _load_model()  # or say now that it cannot be had
        self.reset()

    def reset(self) -> None:
        """Forget what was heard; the recurrent state drifts on endless streams and wants this between turns."""
        self.state: NDArray[np.float32] = np.zeros((2, 1, 128), dtype=np.float32)
        self.heard: Samples = np.zeros((1, _CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32)

    def probability(self, frame: Samples) -> float:
        """Probability in [0, 1] that ``frame``, (FRAME_SAMPLES,) at 16 kHz, holds speech."""
        return self.probabilities([self], [frame])[0]

    @staticmethod
    def probabilities(detectors: Sequence[VoiceActivityDetector], frames: Sequence[Samples]) -> list[float]:
        """The same for several detectors at once, each with its frame."""
        for detector, frame in zip(detectors, frames, strict=True):
            detector.heard[0, :_CONTEXT_SAMPLES] = detector.heard[0, -_CONTEXT_SAMPLES:]
            detector.heard[0, _CONTEXT_SAMPLES:] = frame
        inputs = np.concatenate([detector.heard for detector in detectors])  # (detectors, samples)
        states = np.concatenate([detector.state for detector in detectors], axis=1)  # (2, detectors, 128)
        output, states = _load_model().run(None, {"input": inputs, "state": states, "sr": _RATE})
        for place, detector in enumerate(detectors):
            detector.state = states[:, place : place + 1]
        return [float(probability) for probability in output[:, 0]]


class Detecting:
    """Judges the frames of several channels together: a model so small is quicker with several.

    With 16 frames it takes a third of the time for each that it takes with one. What waits when the event loop gets to
    it is judged together; with many channels, what comes within ``GATHER_S``.
    """

    def __init__(self) -> None:
        self._asked: list[tuple[VoiceActivityDetector, Samples, asyncio.Future[float]]] = []
        self._known: WeakSet[VoiceActivityDetector] = WeakSet()

    async def probability(self, detector: VoiceActivityDetector, frame: Samples) -> float:
        """As ``detector.probability(frame)``; a detector is asked for one frame at a time."""
        loop = asyncio.get_running_loop()
        self._known.add(detector)
        if not self._asked and len(self._known) < MANY:
            loop.call_soon(self._answer)  # after whatever else is due now, which may ask, too
        elif not self._asked:
            loop.call_later(GATHER_S, self._answer)
        answer: asyncio.Future[float] = loop.create_future()
        self._asked.append((detector, frame, answer))
        return await answer

    def _answer(self) -> None:
        asked, self._asked = self._asked, []
        wanted = [request for request in asked if not request[2].cancelled()]
        for first in range(0, len(wanted), MAX_TOGETHER):
            detectors, frames, answers = zip(*wanted[first : first + MAX_TOGETHER], strict=True)
            try:
                found = VoiceActivityDetector.probabilities(detectors, frames)
            except Exception as error:  # noqa: BLE001  # it is raised where the answer is awaited
                for answer in answers:
                    answer.set_exception(error)
                continue
            for answer, probability in zip(answers, found, strict=True):
                answer.set_result(probability)
