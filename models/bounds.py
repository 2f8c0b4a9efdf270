"""Limits of the network's input, for modules that need them before torch is imported."""

from __future__ import annotations

from typing import Final

SAMPLE_RATE: Final = 16_000  # Hz
FRAME_SAMPLES: Final = 512  # 32 ms, the frame of the voice activity detector
MIN_SPEECH_S: Final = 0.1  # of a turn
MAX_SPEECH_S: Final = 30.0
MAX_SAMPLE: Final = 1e6  # either way; full scale is 1
MAX_CONTEXT: Final = 1_000  # turns in a rolling context
