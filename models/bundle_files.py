"""The files of a bundle: a network as a folder that carries everything it needs.

    model.safetensors  weights, half precision
    tokenizer.json     vocabulary
    config.json        class, labels, dimensions, calibration, and the SHA-256 of the two files above
    metrics.json       its measurements
    README.md          model card

Loading reads these files and nothing else: no pickle, no network. The claims of a file are checked before memory is
taken for it: its size, every number of the configuration, and the shapes of all weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save
from tokenizers import Tokenizer

from emotrack.errors import EmotrackError
from emotrack.models.config import NetworkConfig
from emotrack.models.files import write_files
from emotrack.models.hub import HubError
from emotrack.models.sizes import fault
from emotrack.models.text_encoder import TextConfig
from emotrack.models.transformer import TransformerLayer
from emotrack.models.weights import (
    Bundled,
    Network,
    WeightsError,
    check_answers,
    check_shapes,
    filled,
    stored_shapes,
    stored_weights,
)

FORMAT = 2
PACKAGED = Path(__file__).parent / "bundles"
MAX_BYTES = {  # more than any bundle has
    "model.safetensors": 16 << 30,  # a language model of eight billion weights is in it
    "tokenizer.json": 40 << 20,
    "config.json": 1 << 20,
    "metrics.json": 16 << 20,
    "README.md": 1 << 20,
}
FILES = tuple(MAX_BYTES)
FINGERPRINT_DIGITS = 12
_TRUNCATION = {"stride": 0, "strategy": "longest_first", "direction": "right"}


class BundleError(EmotrackError, ValueError):
    """A bundle that cannot be loaded; the message says which and why, in one line."""


def read_bundle(kind: type[Network], folder: Path, device: str) -> Network:
    """A network of this kind from a bundle's folder, ready for inference.

    Raises:
        BundleError: a file is missing or altered, or the contents do not fit together.
    """
    _look_for_files(folder)
    document = _read_config(folder, kind.__name__)
    config = _parse_config(folder, document)
    tokenizer = _read_tokenizer(folder, document, config)
    metrics = _read_object(folder, "metrics.json")
    card = _read(folder, "README.md").decode(errors="replace")
    weights = folder / "model.safetensors"
    try:
        check_shapes(stored_shapes(weights), kind, config, tokenizer)
        with weights.open("rb") as file:
            _check_sum(folder, weights.name, document, hashlib.file_digest(file, "sha256").hexdigest())
            network = filled(kind, config, tokenizer, stored_weights(file))
        check_answers(_moved(network, device))
    except (HubError, WeightsError) as error:
        raise BundleError(f"bundle {folder}: {error}") from error
    except OSError as error:
        raise BundleError(f"bundle {folder}: {weights.name} cannot be read: {error.strerror}") from error
    network.fingerprint = document["sha256"]["model.safetensors"][:FINGERPRINT_DIGITS]
    network.metrics, network.card = metrics, card
    for layer in network.modules():
        if isinstance(layer, TransformerLayer):
            layer.store_by_columns()
    return network


def save_bundle(network: Bundled, folder: Path, metrics: dict[str, Any], card: str) -> None:
    """Write a network as a bundle.

    Args:
        network: its parameters are stored in half precision.
        folder: made when missing; files of the same names are replaced, all or none.
        metrics: written to ``metrics.json``.
        card: the model card, Markdown.

    Raises:
        BundleError: a parameter is larger than half precision can hold, or is no number.
    """
    parameters = {name: tensor.detach().half().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if lost := next((name for name, tensor in parameters.items() if not tensor.isfinite().all()), None):
        raise BundleError(f"{lost}: has numbers that half precision cannot hold, so no bundle can be written")
    folder.mkdir(parents=True, exist_ok=True)
    weights = save(parameters)
    vocabulary = network.tokenizer.to_str().encode()
    document = {
        "format": FORMAT,
        "class": type(network).__name__,
        **asdict(network.config),
        "sha256": {"model.safetensors": _sha256(weights), "tokenizer.json": _sha256(vocabulary)},
    }
    write_files(
        {
            folder / "model.safetensors": weights,
            folder / "tokenizer.json": vocabulary,
            folder / "config.json": json.dumps(document, indent=2) + "\n",
            folder / "metrics.json": json.dumps(metrics, indent=2) + "\n",
            folder / "README.md": card,
        }
    )


def bundle_folder(name_or_path: str | Path) -> Path:
    """Where a bundle lies: the packaged one of that name, or the folder itself. Raises ``BundleError``."""
    packaged = sorted(folder.name for folder in PACKAGED.glob("[!.]*"))
    if str(name_or_path) in packaged:
        return PACKAGED / name_or_path
    try:
        is_folder = stat.S_ISDIR(Path(name_or_path).stat().st_mode)
    except (OSError, ValueError):
        is_folder = False
    if is_folder:
        return Path(name_or_path)
    names = ", ".join(packaged)
    raise BundleError(f"no bundle {str(name_or_path)!r}: give a folder, or the name of a packaged one ({names})")


def _moved(network: Network, device: str) -> Network:
    try:
        return network.to(device)
    except (AssertionError, RuntimeError) as error:
        raise BundleError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from error


def _look_for_files(folder: Path) -> None:
    missing = []
    for name, most in MAX_BYTES.items():
        try:
            found = (folder / name).stat()
        except FileNotFoundError:
            missing.append(name)
            continue
        except OSError as error:
            raise BundleError(f"bundle {folder}: {name} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise BundleError(f"bundle {folder}: {name} is no file")
        if found.st_size > most:
            raise BundleError(f"bundle {folder}: {name} has {found.st_size:,} bytes, and at most {most:,} are read")
    if missing:
        raise BundleError(f"bundle {folder}: missing {', '.join(missing)}")


def _read_config(folder: Path, kind: str) -> dict[str, Any]:
    document = _read_object(folder, "config.json")
    if document.get("format") != FORMAT:
        raise BundleError(f"bundle {folder}: format {document.get('format')!r}, this version reads {FORMAT}")
    if document.get("class") != kind:
        raise BundleError(f"bundle {folder}: class {document.get('class')!r}, not {kind}")
    return document


def _read_object(folder: Path, name: str) -> dict[str, Any]:
    try:
        document = json.loads(_read(folder, name))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"bundle {folder}: {name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BundleError(f"bundle {folder}: {name} is not an object")
    return document


def _parse_config(folder: Path, document: dict[str, Any]) -> NetworkConfig:
    fields = {name: value for name, value in document.items() if name not in {"format", "class", "sha256"}}
    try:
        config = TypeAdapter(NetworkConfig).validate_python(fields, extra="forbid")
    except ValidationError as error:
        raise BundleError(f"bundle {folder}: config.json, {fault(error)}") from error
    except RecursionError as error:
        raise BundleError(f"bundle {folder}: config.json is nested too deeply") from error
    return config


def _read_tokenizer(folder: Path, document: dict[str, Any], config: NetworkConfig) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(_read_checked(folder, "tokenizer.json", document).decode())
    except BundleError:
        raise
    except Exception as error:  # the tokenizers package raises nothing narrower
        raise BundleError(f"bundle {folder}: tokenizer.json cannot be read: {error}") from error
    size, largest = tokenizer.get_vocab_size(), max(tokenizer.get_vocab().values(), default=0)
    # Encoders of the hub may keep places for tokens that their vocabulary does not have.
    if size > config.text.vocabulary or (size < config.text.vocabulary and isinstance(config.text, TextConfig)):
        raise BundleError(
            f"bundle {folder}: tokenizer.json has {size} tokens, config.json says {config.text.vocabulary}"
        )
    if largest >= config.text.vocabulary:
        raise BundleError(f"bundle {folder}: tokenizer.json has a token {largest} of {config.text.vocabulary}")
    if tokenizer.padding is not None:
        raise BundleError(f"bundle {folder}: tokenizer.json, padding: there is none in a bundle")
    if tokenizer.truncation != _TRUNCATION | {"max_length": config.text.max_tokens}:
        raise BundleError(
            f"bundle {folder}: tokenizer.json, truncation: texts are cut on the right, at the {config.text.max_tokens} "
            "tokens of config.json, without a stride"
        )
    return tokenizer


def _read(folder: Path, name: str) -> bytes:
    try:
        with (folder / name).open("rb") as file:
            return file.read(min(os.fstat(file.fileno()).st_size, MAX_BYTES[name]))
    except OSError as error:
        raise BundleError(f"bundle {folder}: {name} cannot be read: {error.strerror}") from error


def _read_checked(folder: Path, name: str, document: dict[str, Any]) -> bytes:
    contents = _read(folder, name)
    _check_sum(folder, name, document, _sha256(contents))
    return contents


def _check_sum(folder: Path, name: str, document: dict[str, Any], found: str) -> None:
    sums = document.get("sha256")
    if not isinstance(sums, dict) or sums.get(name) != found:
        raise BundleError(f"bundle {folder}: {name} is not the file the bundle was saved with (SHA-256 differs)")


def _sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()
