"""The two networks that tell speakers apart: when each of up to three voices is active, and what a voice is like.

Both are pyannote's (community-1, CC BY 4.0: its segmentation, and WeSpeaker's ResNet34 as speaker embedding), in the
form in which they lie inside the library of ``moonshine-voice``. Another embedding is another ``VoicePrints``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.packaged_weights import open_model, weights_within
from emotrack.tracker.speakers.fbank import BANDS, HOP, log_mel

WINDOW: Final = 10 * SAMPLE_RATE  # samples that segmentation looks at
STEP: Final = 270  # samples, 16.9 ms, from one of its frames to the next
FRAMES: Final = 589  # of a window
VOICES: Final = 3  # that it tells apart in a window

LEAST_PRINT_S: Final = 0.3  # of clean speech makes a voice print

_PACKAGE: Final = "moonshine-voice==0.0.73"
_LIBRARY: Final = "*moonshine.*"
_SEGMENTATION: Final = (1_594_080, "9715e3996ef181252aa1cc0c9398060f42b2c984c2fb65e3604262555e2efb1a")
_EMBEDDING: Final = (6_975_920, "6e4af7d49562e6e7042672e444d6394935cb2c23c3a7dd4919da45922b91735b")

VoicePrint = NDArray[np.float32]  # (numbers,), of length 1


class Segmentation(Protocol):
    """Tells when each of the voices in a window is active."""

    def __call__(self, samples: Samples) -> NDArray[np.bool_]:
        """The activity, (frames, VOICES), of the latest WINDOW samples or fewer, (samples,); a frame each STEP."""
        ...


class VoicePrints(Protocol):
    """Tells what a voice is like, whatever it says."""

    name: str
    """No other embedding's: prints of two cannot be compared."""

    def __call__(self, samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        """The print of a voice.

        Args:
            samples: (samples,) at 16 kHz.
            clean: (frames,), one each STEP samples: whether nobody else speaks in it.

        Returns:
            (numbers,), or None where less than LEAST_PRINT_S is clean.
        """
        ...


@dataclass(frozen=True, slots=True)
class SpeakerNetworks:
    """What speakers are told apart by."""

    segmentation: Segmentation
    prints: VoicePrints


def load_speaker_networks(prints: Path | None = None) -> SpeakerNetworks:
    """The networks of the installed package, or another speaker embedding. Raises ``EmotrackError`` without them."""
    return SpeakerNetworks(PackagedSegmentation(), PackagedVoicePrints() if prints is None else VoicePrintsFile(prints))


class PackagedSegmentation:
    """The segmentation network in an installed package."""

    def __init__(self) -> None:
        """Raises ``EmotrackError`` where it cannot be had."""
        self._model = open_model(weights_within(_PACKAGE, _LIBRARY, *_SEGMENTATION), threads=1)

    def __call__(self, samples: Samples) -> NDArray[np.bool_]:
        """See ``Segmentation``."""
        window = np.zeros((1, 1, WINDOW), dtype=np.float32)
        window[0, 0, : len(samples)] = samples
        active: NDArray[np.bool_] = self._model.run(None, {"waveforms": window})[0][0] > 0.5  # (FRAMES, VOICES)
        return active[: min(FRAMES, len(samples) // STEP)]


class PackagedVoicePrints:
    """The speaker embedding in an installed package."""

    name = "wespeaker-resnet34"

    def __init__(self) -> None:
        """Raises ``EmotrackError`` where it cannot be had."""
        self._model = open_model(weights_within(_PACKAGE, _LIBRARY, *_EMBEDDING), threads=1)

    def __call__(self, samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        """See ``VoicePrints``."""
        features, weights = _weighted(samples, clean)
        if weights.sum() < LEAST_PRINT_S * SAMPLE_RATE / HOP:
            return None
        inputs = {"fbank": features[None], "weights": weights[None]}
        return of_length_one(self._model.run(None, inputs)[0][0])


class VoicePrintsFile:
    """A speaker embedding in an ONNX file as WeSpeaker exports it: ``feats``, (1, frames, 80), to numbers."""

    def __init__(self, path: Path) -> None:
        """Raises ``EmotrackError`` where the file is no such network."""
        try:
            content = path.read_bytes()
            self._model = open_model(content, threads=1)
        except OSError as error:
            raise EmotrackError(f"--speaker-model {path}: {error.strerror}") from error
        except Exception as error:  # noqa: BLE001  # ONNX Runtime has a class of its own for each kind of damage
            reason = str(error).splitlines()[0]
            raise EmotrackError(f"--speaker-model {path}: it is no ONNX network: {reason}") from None
        inputs: list[Any] = self._model.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 3 or inputs[0].shape[2] != BANDS:
            raise EmotrackError(f"--speaker-model {path}: it takes no log mel energies (1, frames, {BANDS})")
        self._input = inputs[0].name
        self.name = f"{path.name}:{hashlib.sha256(content).hexdigest()[:12]}"  # files of one name are not one network

    def __call__(self, samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        """See ``VoicePrints``."""
        features, weights = _weighted(samples, clean)
        if weights.sum() < LEAST_PRINT_S * SAMPLE_RATE / HOP:
            return None
        return of_length_one(self._model.run(None, {self._input: features[weights > 0.5][None]})[0][0])


def _weighted(samples: Samples, clean: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The features of a voice, (frames, BANDS), their mean removed, and each frame's weight, (frames,)."""
    features = log_mel(samples)
    if not len(features) or not len(clean):
        return features, np.zeros(len(features), dtype=np.float32)
    places = (np.arange(len(features)) * HOP + HOP) // STEP
    weights = clean[np.minimum(places, len(clean) - 1)].astype(np.float32)
    return features - features.mean(axis=0), weights


def of_length_one(numbers: NDArray[np.float32]) -> VoicePrint:
    """The direction of ``numbers``, (numbers,)."""
    return numbers / max(float(np.linalg.norm(numbers)), 1e-9)
