"""Nothing is reported to anyone: what libraries would tell their makers about their use is switched off.

The package imports this module before anything else, since a library reads its switch once, when it is
imported. A program that imports ``onnxruntime`` by itself has to import emotrack, or set the switch, before that.
"""

from __future__ import annotations

import os
from typing import Final

_YES: Final = {"1", "on", "true", "yes"}
_NO: Final = {"0"}

SWITCHES: Final = {
    "ORT_DISABLE_TELEMETRY": ("1", _YES),  # ONNX Runtime: device, models and sessions; a device id under ~/.cache
    "HF_HUB_DISABLE_TELEMETRY": ("1", _YES),  # huggingface-hub, hf-xet, transformers
    "DO_NOT_TRACK": ("1", _YES),  # the wish that hub and hf-xet heed as well, and other libraries with them
    "RAY_USAGE_STATS_ENABLED": ("0", _NO),  # Ray
}
"""For each variable of the environment the value that switches reports off, and all those that do."""


def switch_off() -> None:
    """Switch every library's reports off in this process and its children; what already switches one off stays."""
    for name, (off, values) in SWITCHES.items():
        if os.environ.get(name, "").lower() not in values:
            os.environ[name] = off


switch_off()
