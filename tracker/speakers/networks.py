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
import onnxruntime
from numpy.typing import NDArray

from emotrack.errors import EmotrackError
from emotrack.tracker.audio import SAMPLE_RATE, Samples
from emotrack.tracker.packaged_weights import open_model, open_optimised, weights_within
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

VoicePrint = NDArray[np.float32]  # (numbers,), of length 1; of several prints the mean, which is shorter


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
            (numbers,), of length 1, or None where less than LEAST_PRINT_S is clean.
        """
        ...


@dataclass(frozen=True, slots=True)
class SpeakerNetworks:
    """What speakers are told apart by."""

    segmentation: Segmentation
    prints: VoicePrints


def load_speaker_networks(prints: str | None = None) -> SpeakerNetworks:
    """The networks of the installed package, or another speaker embedding, by its path or hub id.

    Raises ``EmotrackError`` where one cannot be had.
    """
    return SpeakerNetworks(
        PackagedSegmentation(), PackagedVoicePrints() if prints is None else _named_voice_prints(prints)
    )


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


class _OnnxVoicePrints:
    """A speaker embedding for ONNX Runtime.

    It takes log mel energies, (1, frames, BANDS), and perhaps the frames' weights, (1, frames); of one without weights
    the frames that count nothing are left out.
    """

    def __init__(self, name: str, model: onnxruntime.InferenceSession) -> None:
        """Raises ``EmotrackError`` where the network takes something else."""
        self.name = name
        self._model = model
        inputs: list[Any] = model.get_inputs()
        ranks = [len(each.shape) for each in inputs]
        if ranks not in ([3], [3, 2]) or inputs[0].shape[2] not in (BANDS, None, "D"):
            raise EmotrackError(f"{name}: takes no log mel energies, (1, frames, {BANDS})")
        self._inputs = [each.name for each in inputs]

    def __call__(self, samples: Samples, clean: NDArray[np.bool_]) -> VoicePrint | None:
        """See ``VoicePrints``."""
        features, weights = _weighted(samples, clean)
        if weights.sum() < LEAST_PRINT_S * SAMPLE_RATE / HOP:
            return None
        given = [features[None], weights[None]] if len(self._inputs) > 1 else [features[weights > 0.5][None]]
        return of_length_one(self._model.run(None, dict(zip(self._inputs, given, strict=True)))[0][0])


class PackagedVoicePrints(_OnnxVoicePrints):
    """The speaker embedding in an installed package."""

    def __init__(self) -> None:
        """Raises ``EmotrackError`` where it cannot be had."""
        weights = weights_within(_PACKAGE, _LIBRARY, *_EMBEDDING)
        super().__init__("wespeaker-resnet34", open_optimised(weights, threads=1))


class VoicePrintsFile(_OnnxVoicePrints):
    """A speaker embedding in an ONNX file, as WeSpeaker and pyannote export theirs."""

    def __init__(self, path: Path) -> None:
        """Raises ``EmotrackError`` where the file is no such network."""
        try:
            content = path.read_bytes()
            model = open_optimised(content, threads=1)
        except OSError as error:
            raise EmotrackError(f"{path}: {error.strerror}") from error
        except Exception as error:  # noqa: BLE001  # ONNX Runtime has a class of its own for each kind of damage
            raise EmotrackError(f"{path}: is no ONNX network: {str(error).splitlines()[0]}") from None
        # files of one name are not one network
        super().__init__(f"{path.name}:{hashlib.sha256(content).hexdigest()[:12]}", model)


def _named_voice_prints(model: str) -> VoicePrintsFile:
    """A speaker embedding by its path or its hub id; only a model that somebody names is downloaded."""
    path = Path(model).expanduser()
    if not path.exists() and path.suffix != ".onnx":
        from emotrack.models.hub import download  # torch comes with it

        repository, _, revision = model.partition("@")
        path = download(repository, ["*.onnx"], revision or None)
    found = sorted(path.rglob("*.onnx")) if path.is_dir() else [path]
    if len(found) != 1:
        raise EmotrackError(f"{model}: holds {len(found)} ONNX files, and must hold one")
    return VoicePrintsFile(found[0])


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
