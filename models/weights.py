"""Weights in a file, and a network that is filled with them.

The shapes that a configuration asks for are compared with those in the file before any memory is taken. A network that
is filled is tried out once, so that a network which cannot answer is never handed on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from emotrack.errors import EmotrackError
from emotrack.models.config import NetworkConfig
from emotrack.models.hub import HubError

MAX_HEADER_BYTES = 16 << 20  # of a safetensors file; that of the largest encoders has 100,000
DTYPES = ("F16", "BF16", "F32")

Shapes = Mapping[str, tuple[int, ...]]


class WeightsError(EmotrackError, ValueError):
    """Weights that are none, or are not those of a configuration; the message says which, in one line."""


class Bundled(nn.Module):
    """A network that a bundle describes: it is made of a configuration and a vocabulary, and filled with weights."""

    def __init__(self, config: NetworkConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.fingerprint = "unsaved"
        """The first digits of the weights' SHA-256."""
        self.metrics: dict[str, Any] = {}
        """A bundle's measurements; they are saved again with the network."""
        self.card = "# A network that has not been trained\n"
        """The model card, Markdown; saved again too."""

    def try_out(self) -> list[float]:
        """Probabilities of some turn, heard in every way that a turn may be heard."""
        raise NotImplementedError


Network = TypeVar("Network", bound=Bundled)


def stored_shapes(path: Path) -> Shapes:
    """The shape of every tensor in a safetensors file, by name; only its header is read.

    Raises:
        WeightsError: it is none, is shorter or longer than its header says, or holds other things than weights.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise WeightsError(f"{path.name}: a header of {length:,} bytes, and at most {MAX_HEADER_BYTES:,} are read")
        with safe_open(path, "numpy") as weights:
            slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118 - it is no mapping
            shapes = {name: tuple(each.get_shape()) for name, each in slices.items()}
            dtypes = {name: str(each.get_dtype()) for name, each in slices.items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} cannot be read: {_one_line(error)}") from error
    if odd := next((name for name, dtype in dtypes.items() if dtype not in DTYPES), None):
        raise WeightsError(f"{path.name}, {odd}: weights are {', '.join(DTYPES)}, not {dtypes[odd]}")
    return shapes


def check_shapes(stored: Shapes, kind: type[Bundled], config: NetworkConfig, tokenizer: Tokenizer) -> None:
    """Compare a file's shapes with those of a configuration. Raises ``WeightsError`` where they differ."""
    with torch.device("meta"):  # no memory is taken there
        wanted = {name: tuple(each.shape) for name, each in _unfilled(kind, config, tokenizer).state_dict().items()}
    for name, shape in wanted.items():
        if name not in stored:
            raise WeightsError(f"the weights do not fit config.json: {name} is missing")
        if stored[name] != shape:
            raise WeightsError(f"the weights do not fit config.json: {name} has the shape {stored[name]}, not {shape}")
    if unknown := next((name for name in stored if name not in wanted), None):
        raise WeightsError(f"the weights do not fit config.json: nothing is called {unknown}")


def stored_weights(file: BinaryIO) -> Iterator[tuple[str, Tensor]]:
    """The weights in a safetensors file by name, one after the other, so that the file is never in memory as a whole.

    It is read by its descriptor, whatever it is called, and whatever takes its place meanwhile.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        with safe_open(f"/dev/fd/{file.fileno()}", "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - it is no mapping
                yield name, weights.get_tensor(name)
    except (SafetensorError, OSError, RuntimeError) as error:  # torch has a class of its own for no error
        raise WeightsError(f"the weights cannot be read: {_one_line(error)}") from error


def filled(
    kind: type[Network], config: NetworkConfig, tokenizer: Tokenizer, weights: Iterable[tuple[str, Tensor]]
) -> Network:
    """A network with these weights, for inference. Raises ``WeightsError`` for numbers that are none."""
    network = _unfilled(kind, config, tokenizer)
    state: dict[str, Tensor] = {}
    for name, stored in weights:
        state[name] = tensor = stored.to(torch.float32, copy=True)  # not a view of the file, which may change
        # A sum takes a tenth of the time; only a tensor whose sum is infinite is looked at number by number.
        if not tensor.sum().isfinite() and not tensor.isfinite().all():
            raise WeightsError(f"model.safetensors, {name}: holds numbers that are infinite or none")
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False).eval()


def check_answers(network: Bundled) -> None:
    """Try a network out. Raises ``WeightsError`` where no probabilities come of it."""
    try:
        shares = network.try_out()
    except Exception as error:  # an encoder's library may fail in any way
        raise WeightsError(f"the network does not answer: {_one_line(error)}") from error
    if not all(math.isfinite(share) for share in shares):
        raise WeightsError("the network answers with numbers that are none")


def _unfilled(kind: type[Network], config: NetworkConfig, tokenizer: Tokenizer) -> Network:
    """A network whose weights may be anything. Raises ``WeightsError`` where there is none of such a configuration."""
    try:
        with _Unfilled():
            return kind(config, tokenizer)
    except HubError as error:
        raise WeightsError(str(error)) from error
    except Exception as error:  # an encoder's library may fail in any way
        raise WeightsError(f"config.json describes no network: {_one_line(error)}") from error


class _Unfilled(TorchFunctionMode):
    """Leaves parameters as they are made: random numbers would take longer than all else, and are replaced anyway."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = [*args, *(kwargs or {}).values()]
        if getattr(func, "__module__", None) == nn.init.__name__ and isinstance(found[0], nn.Parameter):
            return found[0]
        return func(*args, **(kwargs or {}))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
