"""A pre-trained CARE as a folder, which stage I begins with (``--data care=DIR``).

    model.safetensors  weights, half precision
    config.json        dimensions, and the SHA-256 of the weights
    metrics.json       how training went
    README.md          what it is

Reading it takes these files and nothing else; nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from emotrack.models.care import Care, CareConfig, small_care
from emotrack.models.files import write_files
from emotrack.models.published_care import PublishedCare, PublishedCareConfig
from emotrack.train.errors import TrainError

FORMAT = 1

AnyCareConfig = CareConfig | PublishedCareConfig


def build_care(config: AnyCareConfig) -> Care:
    """A CARE with random weights."""
    return PublishedCare(config) if isinstance(config, PublishedCareConfig) else small_care(config)


def save_care(encoder: Care, config: AnyCareConfig, folder: Path, metrics: dict[str, Any], card: str) -> None:
    """Write an encoder; files of the same names are replaced.

    Args:
        encoder: its weights are stored in half precision.
        config: its dimensions.
        folder: made when missing.
        metrics: written to ``metrics.json``.
        card: what it is, Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: value.detach().half().cpu().contiguous() for name, value in encoder.state_dict().items()})
    document = {"format": FORMAT, "care": asdict(config), "sha256": hashlib.sha256(weights).hexdigest()}
    write_files(
        {
            folder / "model.safetensors": weights,
            folder / "config.json": json.dumps(document, indent=2) + "\n",
            folder / "metrics.json": json.dumps(metrics, indent=2) + "\n",
            folder / "README.md": card,
        }
    )


def load_care(folder: Path) -> tuple[Care, AnyCareConfig]:
    """Read a folder that ``save_care`` wrote, with weights in full precision.

    Raises:
        TrainError: a file is missing or altered, or they do not fit together.
    """
    document = _read_config(folder)
    try:
        weights = (folder / "model.safetensors").read_bytes()
        config: AnyCareConfig = TypeAdapter(AnyCareConfig).validate_python(document.get("care"), extra="forbid")
        if hashlib.sha256(weights).hexdigest() != document["sha256"]:
            raise TrainError(f"{folder}: model.safetensors is not the file that was saved with it (SHA-256 differs)")
        encoder = build_care(config)
        encoder.load_state_dict({name: value.float() for name, value in load(weights).items()})
    except OSError as error:
        raise TrainError(f"{folder}: {error.filename} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise TrainError(f"{folder}: config.json: {error.errors()[0]['msg']}") from error
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise TrainError(f"{folder}: the weights do not fit config.json: {str(error).splitlines()[0]}") from error
    return encoder, config


def care_address(folder: Path) -> str:
    """Content address of a saved encoder. Raises ``TrainError`` where there is none."""
    return str(_read_config(folder)["sha256"])


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / "config.json").read_text())
    except OSError as error:
        raise TrainError(f"{folder}: no pre-trained CARE there: config.json: {error.strerror}") from error
    except ValueError as error:
        raise TrainError(f"{folder}: config.json is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT or "sha256" not in document:
        raise TrainError(f"{folder}: no pre-trained CARE of format {FORMAT} there")
    return document
