"""The bundled conversation, as the tests use it."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np

from emotrack.tracker.audio import Samples

EXAMPLES = Path(__file__).parents[2] / "examples"
AUDIO = EXAMPLES / "kitchen-table.flac"
CAPTIONS = EXAMPLES / "kitchen-table.vtt"
TRUTH = json.loads((EXAMPLES / "kitchen-table.json").read_text())["turns"]


def samples() -> Samples:
    """The conversation as (samples, 2) at 16 kHz."""
    with av.open(str(AUDIO)) as container:
        frames = [frame.to_ndarray().reshape(-1, 2) for frame in container.decode(audio=0)]
    return np.concatenate(frames).astype(np.float32) / 32768.0
