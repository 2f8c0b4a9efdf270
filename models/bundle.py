"""Bundles of the emotion network: the front door to ``bundle_files``."""

from __future__ import annotations

from pathlib import Path

from emotrack.models.bundle_files import (
    FILES,
    MAX_BYTES,
    PACKAGED,
    BundleError,
    bundle_folder,
    read_bundle,
    save_bundle,
)
from emotrack.models.network import EmotionNetwork

__all__ = ["FILES", "MAX_BYTES", "PACKAGED", "BundleError", "bundle_folder", "load_bundle", "save_bundle"]


def load_bundle(name_or_path: str | Path = "mini", device: str = "cpu") -> EmotionNetwork:
    """Load a bundle, ready for inference; the hub is never asked.

    Args:
        name_or_path: the name of a packaged bundle, or a folder.
        device: where the weights go, as torch names it.

    Raises:
        BundleError: unknown name, missing or altered file, or contents that do not fit together.
    """
    return read_bundle(EmotionNetwork, bundle_folder(name_or_path), device)
